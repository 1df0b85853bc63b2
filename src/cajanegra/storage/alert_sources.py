"""Reads what alerts are made of: patterns with their marks, and the attempts of the last minutes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Select, case, func, or_, select

from cajanegra.domain.alert import Explained, PatternState, Traffic
from cajanegra.domain.call import CallStatus
from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.domain.trend import LEAST, NEW_FOR, WINDOW, hour_of
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.pattern_query import PatternFilter, PatternQuery, PatternRow, complete
from cajanegra.storage.tables import ERROR_ANALYSIS, ERROR_RECOVERY, PATTERN_HOURS, PATTERNS, REQUEST_LOGS

MAX_PATTERNS = 500
"""Patterns that one look takes, those that failed last."""

_ANALYSIS, _OWN, _HOURS = ERROR_ANALYSIS.c, PATTERNS.c, PATTERN_HOURS.c
_LOGS, _STEPS = REQUEST_LOGS.c, ERROR_RECOVERY.c
_FAILED = (CallStatus.ERROR, CallStatus.TIMEOUT)


def pattern_states(connection: Connection, now: datetime) -> Sequence[PatternState]:
    """The patterns that failed in the last day and are new, came back, or fail often enough to escalate."""
    query = PatternQuery(PatternFilter(ALL_TENANTS), now)
    day = fit_time(now - NEW_FOR)
    came_back = select(_OWN.pattern).where(_OWN.regressed_at.is_not(None))
    worth_it = or_(
        query.keys["first"] >= day,
        _ANALYSIS.error_pattern.in_(came_back),
        _ANALYSIS.error_pattern.in_(_frequent(now)),
    )
    latest = query.select().where(query.keys["last"] >= day, worth_it).order_by(query.keys["last"].desc())
    rows = connection.execute(latest.limit(MAX_PATTERNS)).all()
    return [_state(found) for found in complete(connection, query, rows)]


def traffic(connection: Connection, since: datetime) -> Sequence[Traffic]:
    """The attempts of the calls that began since then: what each call ended with, and the failures before."""
    failed = _LOGS.status.in_(_FAILED)
    final = select(
        _LOGS.provider_used.label("provider"),
        _LOGS.module,
        case((failed, func.coalesce(_LOGS.error_code, "unknown"))).label("error_code"),
        case((failed, _LOGS.response_metadata["pattern"].as_string())).label("pattern"),
    ).where(_LOGS.created_at >= fit_time(since))
    trigger = _STEPS.recovery_result["trigger"]
    before = (
        select(
            func.coalesce(trigger["provider"].as_string(), _LOGS.provider_used).label("provider"),
            _LOGS.module,
            trigger["kind"].as_string().label("error_code"),
            trigger["pattern"].as_string().label("pattern"),
        )
        .join(REQUEST_LOGS, _LOGS.id == _STEPS.request_log_id)
        .where(_LOGS.created_at >= fit_time(since), trigger["kind"].as_string().is_not(None))
    )
    attempts = final.union_all(before).subquery()
    columns = [attempts.c[name] for name in ("provider", "module", "error_code", "pattern")]
    query = select(*columns, func.count().label("attempts")).group_by(*columns)
    return [Traffic(**row) for row in connection.execute(query).mappings()]


def explained(connection: Connection, names: Collection[str]) -> Mapping[str, Explained]:
    """What is known of these patterns, by name."""
    query = select(
        _ANALYSIS.error_pattern,
        _ANALYSIS.error_message_pattern,
        _ANALYSIS.probable_cause,
        _ANALYSIS.suggested_action,
    ).where(_ANALYSIS.error_pattern.in_(names))
    return {row[0]: Explained(*row[1:]) for row in connection.execute(query)}


def _frequent(now: datetime) -> Select[tuple[str]]:
    """The patterns that failed often enough in the window of the trend for a rise to say something."""
    name = func.coalesce(_OWN.merged_into, _HOURS.pattern)
    since = hour_of(now) - timedelta(hours=WINDOW - 1)
    return (
        select(name)
        .join_from(PATTERN_HOURS, PATTERNS, _OWN.pattern == _HOURS.pattern, isouter=True)
        .where(_HOURS.hour >= since)
        .group_by(name)
        .having(func.sum(_HOURS.failures) >= LEAST)
    )


def _state(row: PatternRow) -> PatternState:
    return PatternState(
        pattern=row.error_pattern,
        error_code=row.error_code,
        template=row.error_message_pattern,
        probable_cause=row.probable_cause,
        suggested_action=row.suggested_action,
        marks=row.marks,
        total=row.occurrence_count,
        recent=row.trend.recent,
        expected=row.trend.expected,
        first_occurred=_aware(row.first_occurred),
        last_occurred=_aware(row.last_occurred),
        regressed_at=_aware(row.regressed_at),
    )


def _aware(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)
