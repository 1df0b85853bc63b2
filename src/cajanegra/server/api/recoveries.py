"""``/recoveries`` and what is below it: what recovery did, step by step and all together."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from cajanegra.domain.principal import AllTenants
from cajanegra.server.access import Reader
from cajanegra.server.api import models
from cajanegra.server.api.conditional import NOT_MODIFIED, ConditionalRoute
from cajanegra.server.api.figure_models import covered
from cajanegra.server.api.queries import PageQuery, Text, WindowQuery
from cajanegra.server.api.recovery_models import (
    CorrectionEffect,
    CorrectionEffects,
    Flow,
    Flows,
    RecoveryStatistics,
    RecoveryTarget,
    RecoveryTargets,
    StrategyStatistics,
)
from cajanegra.storage import correction_effects
from cajanegra.storage import recoveries as stored
from cajanegra.storage.reads import SCAN
from cajanegra.storage.steps import StepFilter, steps

router = APIRouter(route_class=ConditionalRoute, tags=["recoveries"])


class StepQuery(PageQuery):
    """Which steps of which calls."""

    strategy: Annotated[
        Literal["retry", "fallback", "simplify"] | None, Field(description="What was done.")
    ] = None
    trigger: Annotated[Text | None, Field(description="Error pattern that made the step necessary.")] = None
    successful: Annotated[bool | None, Field(description="Whether it got an answer.")] = None


@router.get("/recoveries", responses=NOT_MODIFIED)
def list_recovery_steps(access: Reader, query: Annotated[StepQuery, Query()]) -> models.StepPage:
    """Recovery steps: those of the newest calls first, those of one call in their order."""
    page = steps(
        access.reads,
        query.filter(access.scope),
        StepFilter(query.strategy, query.trigger, query.successful),
        limit=query.limit,
        cursor=query.cursor,
        scan=SCAN,
    )
    return models.StepPage(
        items=[models.ListedStep.of(row) for row in page.items], next_cursor=page.next_cursor
    )


@router.get("/recoveries/statistics", responses=NOT_MODIFIED)
def show_recovery_statistics(access: Reader, query: Annotated[WindowQuery, Query()]) -> RecoveryStatistics:
    """How often each strategy worked, for each error pattern, and how fast."""
    found = stored.remedies(access.reads, query.in_window(access.scope))
    return RecoveryStatistics(
        items=[StrategyStatistics.model_validate(one, from_attributes=True) for one in found.remedies],
        others=found.others,
        **covered(found.coverage),
    )


@router.get("/recoveries/flow", responses=NOT_MODIFIED)
def show_recovery_flow(access: Reader, query: Annotated[WindowQuery, Query()]) -> Flows:
    """From failure kind through strategy to outcome: how many failures went which way."""
    found = stored.flows(access.reads, query.in_window(access.scope))
    return Flows(
        items=[
            Flow(kind=one.kind or None, strategy=one.strategy, answered=one.answered, failures=one.failures)
            for one in found.flows
        ],
        **covered(found.coverage),
    )


@router.get("/recoveries/targets", responses=NOT_MODIFIED)
def show_recovery_targets(access: Reader, query: Annotated[WindowQuery, Query()]) -> RecoveryTargets:
    """How often each strategy worked at each provider, how long it took, and what it cost."""
    found = stored.targets(access.reads, query.in_window(access.scope))
    return RecoveryTargets(items=[RecoveryTarget.of(one) for one in found.targets], **covered(found.coverage))


@router.get("/recoveries/corrections", responses=NOT_MODIFIED)
def show_correction_effects(access: Reader) -> CorrectionEffects:
    """What each correction that is enabled did since then, beside what was done before."""
    tenant = None if isinstance(access.scope, AllTenants) else access.scope
    found = correction_effects.effects(access.reads, access.scope)
    return CorrectionEffects(items=[CorrectionEffect.of(one, tenant) for one in found])
