"""The server as a FastAPI application."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from starlette.concurrency import run_in_threadpool
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from cajanegra.server.api.health import health_router
from cajanegra.server.api.keys import keys_router
from cajanegra.server.api.session import session_router
from cajanegra.server.api.settings import settings_router
from cajanegra.server.authentication import Authentication
from cajanegra.server.context import STOP, Context
from cajanegra.server.counting import RecordCounting
from cajanegra.server.dashboard import Dashboard
from cajanegra.server.dispatch import Dispatch
from cajanegra.server.door import Door
from cajanegra.server.failed_attempts import FailedAttempts
from cajanegra.server.gateway.assembly import new_gateway
from cajanegra.server.gateway.refusals import GATEWAY
from cajanegra.server.metrics import DIRECTORY, Metrics
from cajanegra.server.monitoring import Monitoring
from cajanegra.server.orphans import drain_until
from cajanegra.server.problems import answer_with_problems
from cajanegra.server.reloading import Reloading, reload_router
from cajanegra.server.retaining import retain_until
from cajanegra.server.router import PREFIX, add_logs
from cajanegra.server.verification import Verification
from cajanegra.server.visits import Visits
from cajanegra.settings import Server, Settings
from cajanegra.storage.database import Database

_WORTH_PACKING = 1_000
"""Bytes from which on a response is compressed."""
_CORS_HEADERS = ("Authorization", "Content-Type", "If-None-Match", "X-Cajanegra-Tenant", "X-Request-Id")


class _Application(FastAPI):
    """FastAPI's, behind a way in that a request passes before any layer of FastAPI's own."""

    way_in: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request, or the server's beginning and end, in."""
        await self.way_in(scope, receive, send)

    async def rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The REST API: what comes after the way in."""
        await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None, *, beside: Mapping[str, ASGIApp] | None = None) -> FastAPI:
    """The whole server: the gateway, the record, who may see it, health and metrics, the dashboard.

    Args:
        settings: default is ``Settings()``.
        beside: ASGI applications by the beginning of their paths (``/v1/``), which are reached past the
            REST API's own layers.

    Raises:
        SettingsError: the settings are wrong, or a provider's key is not in the environment.
    """
    context = Context(settings)
    server = context.settings.server
    keys = Database(context.settings.database.url)  # with connections of its own: nobody waits to be let in
    verification = Verification(keys)
    metrics = Metrics()
    visits = Visits(metrics)
    authentication = Authentication(server, verification, FailedAttempts(time.monotonic), metrics)
    gateway = new_gateway(context, authentication, keys)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        context.stopping.clear()
        await run_in_threadpool(counting.update)  # what is in the record by now is not counted
        drain_until(context.stopping, context.settings)
        retain_until(context.stopping, context.settings)
        yield {STOP: context.stopping.set}
        context.stopping.set()
        visits.hurry()
        await gateway.aclose()
        await run_in_threadpool(context.close)
        keys.close()

    app = _Application(
        title="cajanegra",
        description="What was asked of AI providers, what failed and why, and what recovered it.",
        version=version("cajanegra"),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its scripts come from somebody else's server
        redoc_url=None,
        lifespan=lifespan,
    )
    answer_with_problems(app)
    directory = os.environ.get(DIRECTORY)
    counting = RecordCounting(context.reads, metrics, Path(directory) if directory else None)
    add_logs(app.router, context, authentication, PREFIX)
    reloading = Reloading(context, gateway, can_read=settings is None)
    app.state.reload = reloading.soon
    app.include_router(reload_router(reloading, authentication))
    app.include_router(session_router(context, authentication), prefix="/api/v1")
    app.include_router(keys_router(context, authentication), prefix="/api/v1")
    app.include_router(settings_router(context, authentication), prefix="/api/v1")
    app.include_router(
        health_router(context, authentication, Monitoring(context), metrics, counting, gateway.retry_budgets)
    )
    app.router.default = Dashboard(app.router.default)
    _add_layers(app, server, visits, {GATEWAY: gateway, **(beside or {})})
    return app


def _add_layers(app: _Application, server: Server, visits: Visits, beside: Mapping[str, ASGIApp]) -> None:
    """What a request passes on its way in: the layer added last comes first, and the door before all."""
    app.add_middleware(GZipMiddleware, minimum_size=_WORTH_PACKING, compresslevel=5)
    if server.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=server.cors_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=_CORS_HEADERS,
            expose_headers=["X-Request-Id", "ETag"],
        )
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=server.max_body_bytes)
    app.way_in = Door(Dispatch(app.rest, by_prefix=beside), settings=server, visits=visits)
