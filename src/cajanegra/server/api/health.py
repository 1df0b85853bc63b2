"""Health of the process (open to all), of what it depends on (with a key), and the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from cajanegra.domain.principal import ALL_TENANTS, Principal, Role
from cajanegra.ports import ProviderState
from cajanegra.server.authentication import Authentication
from cajanegra.server.context import Context
from cajanegra.server.counting import RecordCounting
from cajanegra.server.metrics import Metrics
from cajanegra.server.monitoring import DatabaseState, Monitoring
from cajanegra.server.problems import ProblemError, ProblemRoute, responses

Budgets = list[tuple[str, str | None, float]]
"""Provider, tenant, and the share of the retry budget that is left."""
_MOST_BUDGETS = 10


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Requests may be sent here."""

    status: Literal["ready"] = "ready"


class Hold(BaseModel):
    """Why and until when a provider, or one model of it, is not asked."""

    model: str | None = Field(description="`null` is the whole account.")
    reason: str = Field(description="The failure kind.", examples=["rate_limit"])
    until: datetime


class RetryBudget(BaseModel):
    """What is left of the repetitions that a tenant may ask of a provider; none below a half."""

    tenant_id: str | None
    left: float = Field(description="Share of a full budget, 0 to 1.")


class ProviderHealth(BaseModel):
    """One provider, as all recording processes know it."""

    name: str
    state: Literal["available", "held"]
    holds: list[Hold]
    retry_budgets: list[RetryBudget] = Field(
        description="Those that are not full, the emptiest first, 10 at most; of the gateway in the process "
        "that answers, since each process keeps its own."
    )


class SpoolHealth(BaseModel):
    """What waits for the database on this machine, and what could not be kept."""

    waiting_bytes: int
    lag_seconds: float = Field(description="Age of the oldest event that waits.")
    dropped_calls: int
    dropped_events: int
    lost_contents: int
    refused_records: int


class Health(BaseModel):
    """How the server is."""

    status: Literal["ok", "degraded"] = Field(
        description="`degraded`: it records, and cannot show what it has."
    )
    version: str
    database: DatabaseState
    database_version: str | None = Field(
        description="Only for keys of all tenants; `null` where the database does not answer.",
        examples=["PostgreSQL 17.5"],
    )
    providers: list[ProviderHealth]
    spool: SpoolHealth | None = Field(
        description="Only for keys of all tenants: it tells of everybody's calls."
    )


def health_router(
    context: Context,
    authentication: Authentication,
    monitoring: Monitoring,
    metrics: Metrics,
    counting: RecordCounting,
    retry_budgets: Callable[[], Budgets],
) -> APIRouter:
    """The routes of health and metrics."""
    router = APIRouter(route_class=ProblemRoute, tags=["health"])

    @router.get("/health/live")
    async def live() -> Alive:
        """Whether the process answers; if not, it should be started again. Needs no key."""
        return Alive()

    @router.get("/health/ready", responses=responses(503))
    async def ready() -> Ready:
        """Whether requests should be sent here. Needs no key.

        Not before the database has answered once, nor while the server stops. An outage of the database later
        changes nothing: calls are recorded all the while.
        """
        if not await monitoring.is_ready():
            raise ProblemError(503, "the server is starting or stopping", {"Retry-After": "2"})
        return Ready()

    @router.get("/api/v1/ai/health", responses=responses(401, 403, 429, 503))
    async def health(
        principal: Principal = Depends(authentication),  # noqa: B008, FAST002 - an annotation finds none
    ) -> Health:
        """Database, providers and spool."""
        database = await monitoring.database()
        sees_all = principal.scope is ALL_TENANTS
        budgets = [one for one in retry_budgets() if sees_all or one[1] == principal.scope]
        found = await run_in_threadpool(_providers, context, monitoring, database.state, budgets)
        spool = await run_in_threadpool(_spool, monitoring) if sees_all else None
        return Health(
            status="ok" if database.state == "ok" else "degraded",
            version=version("cajanegra"),
            database=database.state,
            database_version=database.version if sees_all else None,
            providers=found,
            spool=spool,
        )

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **responses(401, 403, 429)},
    )
    def show_metrics(
        principal: Principal = Depends(authentication),  # noqa: B008, FAST002 - an annotation finds none
    ) -> Response:
        """Numbers for Prometheus. Needs a key of all tenants, since it counts the calls of all."""
        if principal.scope is not ALL_TENANTS or not principal.may(Role.READER):
            raise ProblemError(403, "the metrics count the calls of all tenants; give a reader's key of all")
        is_up = counting.update()
        return Response(metrics.text(monitoring.spool(), database_up=is_up), media_type=CONTENT_TYPE_LATEST)

    return router


def _providers(
    context: Context, monitoring: Monitoring, state: DatabaseState, budgets: Budgets
) -> list[ProviderHealth]:
    held = monitoring.held_providers(time.time()) if state == "ok" else []
    names = [provider.name for provider in context.settings.chain]
    names += sorted({one.provider for one in held}.difference(names))
    return [_provider(name, [one for one in held if one.provider == name], budgets) for name in names]


def _provider(name: str, held: list[ProviderState], budgets: Budgets) -> ProviderHealth:
    holds = [
        Hold(model=one.model or None, reason=one.kind, until=datetime.fromtimestamp(one.until, UTC))
        for one in held
    ]
    spent = sorted((share, tenant or "") for provider, tenant, share in budgets if provider == name)
    return ProviderHealth(
        name=name,
        state="held" if holds else "available",
        holds=holds,
        retry_budgets=[
            RetryBudget(tenant_id=tenant or None, left=share) for share, tenant in spent[:_MOST_BUDGETS]
        ],
    )


def _spool(monitoring: Monitoring) -> SpoolHealth | None:
    found = monitoring.spool()
    if found is None:
        return None
    return SpoolHealth(
        waiting_bytes=found.bytes,
        lag_seconds=0.0 if found.oldest_at is None else max(time.time() - found.oldest_at, 0.0),
        dropped_calls=found.dropped_calls,
        dropped_events=found.dropped_events,
        lost_contents=found.lost_contents,
        refused_records=found.quarantined_records,
    )
