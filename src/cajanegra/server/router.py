"""The routes below ``/api/v1/ai/logs``, to be mounted in any FastAPI application."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool

from cajanegra.recording.recorder import Recorder
from cajanegra.server.access import PrincipalDependency, provide
from cajanegra.server.api import LOGS
from cajanegra.server.context import Context
from cajanegra.server.problems import responses
from cajanegra.settings import Settings
from cajanegra.storage.database import Engine

PREFIX = "/api/v1/ai/logs"


def logs_router(
    settings: Settings | None = None,
    *,
    principal: PrincipalDependency,
    engine: Engine | None = None,
    recorder: Recorder | None = None,
    prefix: str = PREFIX,
) -> APIRouter:
    """The routes of the record, for ``app.include_router(logs_router(...))`` in a host's application.

    The host says who asks; its own middleware, error tracking and rate limits apply. What is waiting is
    written when the application ends (its lifespan).

    Args:
        settings: default is ``Settings()``, for the engine's database where there is one.
        principal: the host's own dependency, which returns the ``Principal`` or raises (``HTTPException``).
        engine: the host's SQLAlchemy engine; without one the settings' database gets a pool of its own.
        recorder: the host's own (``ai_client.recorder``), which it closes itself; default is one of its own.
        prefix: where the routes stand.

    Raises:
        SettingsError: the settings are wrong, or the engine is asynchronous.
    """
    context = Context(settings, engine=engine, recorder=recorder)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncGenerator[None]:
        yield
        await run_in_threadpool(context.close)

    router = APIRouter(lifespan=lifespan)
    add_logs(router, context, principal, prefix)
    return router


def add_logs(router: APIRouter, context: Context, principal: PrincipalDependency, prefix: str) -> None:
    """Put the routes of the record into a router."""
    for resource in LOGS:
        router.include_router(
            resource,
            prefix=prefix,
            dependencies=[Depends(provide(context, principal))],
            responses=responses(401, 403, 422, 429, 503),
        )
