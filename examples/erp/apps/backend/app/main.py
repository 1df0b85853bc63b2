"""The ERP's backend: ``uvicorn app.main:app``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.config.ai import new_ai_client
from app.config.database import engine
from app.dependencies import get_principal
from app.modules import copilot, imports, incidents
from cajanegra.server import logs_router


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The AI client lives as long as the process, and writes what is waiting when that ends."""
    async with new_ai_client() as ai:
        app.state.ai = ai
        yield
    engine.dispose()


app = FastAPI(title="ERP", lifespan=lifespan)
for module in (copilot, imports, incidents):
    app.include_router(module.router, prefix="/api/v1")
app.include_router(logs_router(engine=engine, principal=get_principal))
