"""Totals, rates and percentiles of calls and of recovery steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, Select, case, exists, func, literal, null, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.sql.expression import FromClause

from cajanegra.domain.call import CallStatus
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.reads import reading
from cajanegra.storage.tables import ERROR_RECOVERY, REQUEST_LOGS

_LOGS = REQUEST_LOGS.c
_STEPS = ERROR_RECOVERY.c
_ANSWERED = (CallStatus.SUCCESS, CallStatus.FALLBACK)


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of times in milliseconds; ``None`` where there are none."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a set of calls comes to.

    Attributes:
        total: calls.
        answered: calls with the status ``success`` or ``fallback``.
        recovered: answered calls that had at least one recovery step.
        tokens: tokens of the answers, as far as they are known.
        latency: from begin to finish.
        by_status: calls per status; the others likewise.
    """

    total: int
    answered: int
    recovered: int
    tokens: int
    latency: Latency
    by_status: Mapping[str, int]
    by_provider: Mapping[str, int]
    by_module: Mapping[str, int]
    by_task: Mapping[str, int]
    by_error_code: Mapping[str, int]

    @property
    def failed(self) -> int:
        """Calls that nobody answered."""
        return self.total - self.answered


@dataclass(frozen=True, slots=True)
class RecoveryStatistics:
    """What one strategy did about one error pattern.

    Attributes:
        strategy_name: ``retry``, ``fallback`` or ``simplify``.
        pattern: what made the steps necessary; ``None`` where it was not recorded, or all of them are meant.
        steps: how often it was tried.
        successes: how often it got an answer.
        p50_ms: median of wait and attempt together.
        p95_ms: 95th percentile of the same.
    """

    strategy_name: str
    pattern: str | None
    steps: int
    successes: int
    p50_ms: float | None
    p95_ms: float | None

    @property
    def success_rate(self) -> float:
        """Share of the steps that got an answer, 0 to 1."""
        return self.successes / self.steps


def statistics(db: Database, where: CallFilter) -> Statistics:
    """What the calls that the filter means come to.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    conditions = where.conditions(db.dialect)
    answered = _LOGS.status.in_(_ANSWERED)
    has_step = exists(select(literal(1)).where(_STEPS.request_log_id == _LOGS.id))
    totals = select(
        func.count(),
        _count(answered),
        _count(answered & has_step),
        func.coalesce(func.sum(_LOGS.tokens_used), 0),
    ).where(*conditions)
    with reading(db) as connection:
        total, count_answered, recovered, tokens = connection.execute(totals).one()
        times = select(_LOGS.processing_time_ms.label("ms")).where(
            *conditions, _LOGS.processing_time_ms.is_not(None)
        )
        (latency,) = _percentiles(connection, times, (0.5, 0.95, 0.99)) or [{}]
        return Statistics(
            total=total,
            answered=count_answered,
            recovered=recovered,
            tokens=int(tokens),
            latency=Latency(latency.get("p50"), latency.get("p95"), latency.get("p99")),
            by_status=_by(connection, _LOGS.status, conditions),
            by_provider=_by(connection, _LOGS.provider_used, conditions),
            by_module=_by(connection, _LOGS.module, conditions),
            by_task=_by(connection, _LOGS.task, conditions),
            by_error_code=_by(connection, _LOGS.error_code, [*conditions, _LOGS.error_code.is_not(None)]),
        )


def recoveries(db: Database, where: CallFilter, *, by_pattern: bool = True) -> Sequence[RecoveryStatistics]:
    """What each strategy did about each pattern, for the calls that the filter means; most steps first.

    Args:
        db: the database.
        where: which calls.
        by_pattern: a row for each strategy and pattern, or one for each strategy.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    pattern = _STEPS.recovery_result["trigger"]["pattern"].as_string() if by_pattern else null()
    steps = (
        select(
            _STEPS.strategy_name,
            pattern.label("pattern"),
            _STEPS.was_successful,
            _STEPS.recovery_time_ms.label("ms"),
        )
        .select_from(ERROR_RECOVERY.join(REQUEST_LOGS, _LOGS.id == _STEPS.request_log_id))
        .where(*where.conditions(db.dialect))
    )
    each = steps.subquery()
    keys = (each.c.strategy_name, each.c.pattern)
    counts = select(*keys, func.count(), _count(each.c.was_successful == "true")).group_by(*keys)
    with reading(db) as connection:
        times = {
            (row["strategy_name"], row["pattern"]): row
            for row in _percentiles(connection, steps, (0.5, 0.95), ("strategy_name", "pattern"))
        }
        found = [
            RecoveryStatistics(
                strategy, name, count, successes, times[strategy, name]["p50"], times[strategy, name]["p95"]
            )
            for strategy, name, count, successes in connection.execute(counts)
        ]
    return sorted(found, key=lambda row: (-row.steps, row.strategy_name, row.pattern or ""))


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _by(connection: Connection, column: ColumnElement[Any], conditions: Sequence[Any]) -> Mapping[str, int]:
    query = select(column, func.count()).where(*conditions).group_by(column)
    counts = {str(name) if name is not None else "": count for name, count in connection.execute(query)}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _percentiles(
    connection: Connection, query: Select[Any], shares: Sequence[float], keys: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Percentiles of the column ``ms`` of a query, per value of ``keys``.

    The nearest rank: the smallest value that so large a share of the values does not exceed.
    """
    rows = query.subquery()
    grouped = [rows.c[key] for key in keys]
    if connection.dialect.name == "postgresql":
        wanted = [func.percentile_disc(part).within_group(rows.c.ms).label(_name(part)) for part in shares]
        statement = select(*grouped, *wanted).group_by(*grouped) if grouped else select(*wanted)
    else:
        statement = _ranked(rows, shares, keys)
    return [dict(row) for row in connection.execute(statement).mappings()]


def _ranked(rows: FromClause, shares: Sequence[float], keys: Sequence[str]) -> Select[Any]:
    """Percentiles by rank, for a database without a function for them; rows without a time do not count."""
    grouped = [rows.c[key] for key in keys]
    known = rows.c.ms.is_not(None)
    order = func.row_number().over(partition_by=[*grouped, known], order_by=rows.c.ms)
    size = func.count(rows.c.ms).over(partition_by=grouped)
    ranks = select(*grouped, rows.c.ms, order.label("rank"), size.label("size")).subquery()
    outer = [ranks.c[key] for key in keys]
    wanted = [
        func.min(case((ranks.c.rank >= sql_cast(ranks.c.size, Float) * part, ranks.c.ms))).label(_name(part))
        for part in shares
    ]
    statement = select(*outer, *wanted)
    return statement.group_by(*outer) if outer else statement


def _name(share: float) -> str:
    return f"p{round(share * 100)}"
