"""What each correction has done since it was enabled, beside what was done before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.storage.database import Database, reading
from cajanegra.storage.figures import number_in, sum_of
from cajanegra.storage.filters import of_scope
from cajanegra.storage.fitting import fit_identity
from cajanegra.storage.percentiles import percentiles
from cajanegra.storage.tables import (
    ERROR_ANALYSIS,
    ERROR_RECOVERY,
    PATTERN_CHANGES,
    PATTERN_TENANTS,
    PATTERNS,
    REQUEST_LOGS,
)

LOOKED_AT = 200_000
"""Steps that are looked at: the newest."""
MOST_CORRECTIONS = 100

_ANALYSIS = ERROR_ANALYSIS.c
_STEPS = ERROR_RECOVERY.c
_RESULT = _STEPS.recovery_result


@dataclass(frozen=True, slots=True)
class Tried:
    """What steps came to: how many, how many got an answer, their median time, and the answers' cost."""

    steps: int = 0
    successes: int = 0
    p50_ms: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What one correction has done.

    Attributes:
        pattern: what it is enabled for.
        kind: the failure kind.
        strategy: what is done.
        settings: how, as they were decoded.
        since: when it was enabled (UTC, without a zone); ``None`` where that was done by hand.
        before: the steps after failures of the pattern before that.
        obeyed: the steps in which it was obeyed since.
        not_obeyed: how many steps it was not obeyed in.
        obstacle: why not, the most frequent reason.
    """

    pattern: str
    kind: str | None
    strategy: str
    settings: Any
    since: datetime | None
    before: Tried
    obeyed: Tried
    not_obeyed: int
    obstacle: str | None


def effects(db: Database, scope: Scope) -> Sequence[Effect]:
    """What the corrections did that are enabled now, for calls of the scope; at most 100, by pattern.

    Looked at are the newest 200,000 steps.

    Raises:
        StorageError: the database cannot be read.
    """
    with reading(db) as connection:
        enabled = connection.execute(_enabled(scope)).all()
        if not enabled:
            return []
        steps = _steps(connection, scope, {row.error_pattern: row.since for row in enabled})
        tried = _tried(connection, steps)
        obstacles = _obstacles(connection, steps)
    return [
        Effect(
            row.error_pattern,
            row.error_code,
            row.auto_correction_enabled,
            row.correction_config,
            row.since,
            tried.get((row.error_pattern, "before"), Tried()),
            tried.get((row.error_pattern, "obeyed"), Tried()),
            tried.get((row.error_pattern, "not_obeyed"), Tried()).steps,
            obstacles.get(row.error_pattern),
        )
        for row in enabled
    ]


def _enabled(scope: Scope) -> Select[Any]:
    changes = PATTERN_CHANGES.c
    since = (
        select(changes.pattern, func.max(changes.changed_at).label("since"))
        .where(changes.change == "correction", changes.after.is_not(None))
        .group_by(changes.pattern)
        .subquery()
    )
    strategy = _ANALYSIS.auto_correction_enabled
    query = (
        select(
            _ANALYSIS.error_pattern,
            _ANALYSIS.error_code,
            strategy,
            _ANALYSIS.correction_config,
            since.c.since,
        )
        .select_from(ERROR_ANALYSIS.outerjoin(since, since.c.pattern == _ANALYSIS.error_pattern))
        .where(_ANALYSIS.error_pattern.is_not(None), strategy.is_not(None), strategy != "")
    )
    if not isinstance(scope, AllTenants):
        met = PATTERN_TENANTS.c
        own = (
            select(func.coalesce(PATTERNS.c.merged_into, met.pattern))
            .select_from(PATTERN_TENANTS.outerjoin(PATTERNS, PATTERNS.c.pattern == met.pattern))
            .where(met.tenant_id == fit_identity(scope))
        )
        query = query.where(_ANALYSIS.error_pattern.in_(own))
    return query.order_by(_ANALYSIS.error_pattern).limit(MOST_CORRECTIONS)


def _steps(connection: Connection, scope: Scope, since: Mapping[str, datetime | None]) -> Select[Any]:
    """The steps after failures of these patterns, with it and whether its correction was obeyed."""
    trigger = _RESULT["trigger"]["pattern"].as_string()
    merged = PATTERNS.alias()
    pattern = func.coalesce(merged.c.merged_into, trigger)
    obeyed = _obeyed(connection.dialect.name)
    known = [(pattern == name, at) for name, at in since.items() if at is not None]
    phases: list[tuple[ColumnElement[bool], str]] = [
        (obeyed == "true", "obeyed"),
        (obeyed == "false", "not_obeyed"),
    ]
    if known:
        began = case(*known)
        phases = [(_STEPS.created_at < began, "before"), *phases, (began.is_not(None), "besides")]
    newest = connection.scalar(select(func.max(_STEPS.id))) or 0
    query = (
        select(
            pattern.label("pattern"),
            case(*phases, else_="before").label("phase"),
            _STEPS.was_successful,
            _STEPS.recovery_time_ms.label("ms"),
            number_in(_RESULT, "cost", connection.dialect.name).label("cost"),
            _RESULT["correction"]["obstacle"].as_string().label("obstacle"),
        )
        .select_from(ERROR_RECOVERY.outerjoin(merged, merged.c.pattern == trigger))
        .where(_STEPS.id > newest - LOOKED_AT, pattern.in_(list(since)))
    )
    if own := of_scope(scope):
        query = query.where(_STEPS.request_log_id.in_(select(REQUEST_LOGS.c.id).where(*own)))
    return query


def _obeyed(dialect: str) -> ColumnElement[str]:
    """``true`` or ``false``, whoever wrote it."""
    on_postgresql: ColumnElement[str] = _RESULT["correction"]["obeyed"].as_string()
    on_sqlite: ColumnElement[str] = func.json_type(_RESULT, "$.correction.obeyed")
    return on_postgresql if dialect == "postgresql" else on_sqlite


def _tried(connection: Connection, steps: Select[Any]) -> Mapping[tuple[str, str], Tried]:
    each = steps.subquery()
    keys = (each.c.pattern, each.c.phase)
    took = {
        (row["pattern"], row["phase"]): row["p50"]
        for row in percentiles(connection, steps, (0.5,), ("pattern", "phase"))
    }
    sums = (func.count(), sum_of(each.c.was_successful == "true"), func.sum(each.c.cost))
    return {
        (pattern, phase): Tried(count, successes, took[pattern, phase], cost)
        for pattern, phase, count, successes, cost in connection.execute(select(*keys, *sums).group_by(*keys))
    }


def _obstacles(connection: Connection, steps: Select[Any]) -> Mapping[str, str]:
    """Why corrections were not obeyed: the reason that came most."""
    each = steps.subquery()
    keys = (each.c.pattern, each.c.obstacle)
    query = select(*keys).where(each.c.phase == "not_obeyed", each.c.obstacle.is_not(None))
    found: dict[str, str] = {}
    for pattern, obstacle in connection.execute(query.group_by(*keys).order_by(func.count().desc(), *keys)):
        found.setdefault(pattern, obstacle)
    return found
