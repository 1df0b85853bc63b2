"""What recovery steps came to, read from ``ai_error_recovery``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select

from cajanegra.domain.outcome import Outcome
from cajanegra.domain.principal import Scope
from cajanegra.storage.database import Database, reading
from cajanegra.storage.filters import of_scope
from cajanegra.storage.tables import ERROR_RECOVERY, REQUEST_LOGS

MOST_STEPS = 10_000
"""The latest steps of a pattern that are summed up."""

_STEPS = ERROR_RECOVERY.c
_PATTERN = _STEPS.recovery_result["trigger"]["pattern"].as_string()


def outcomes(db: Database, *, after: int = 0, limit: int = MOST_STEPS) -> Sequence[Outcome]:
    """The latest steps in rows with greater ids than ``after``, newest first: a walk along the primary key.

    Raises:
        StorageError: the database cannot be read.
    """
    return _read(db, _latest(limit).where(_STEPS.id > after))


def outcomes_of(
    db: Database,
    scope: Scope,
    patterns: Sequence[str],
    *,
    limit: int = MOST_STEPS,
    scan: int | None = None,
) -> Sequence[Outcome]:
    """The latest steps that failures of these patterns made necessary, newest first.

    Args:
        db: the database.
        scope: whose calls are meant.
        patterns: names under which failures were grouped.
        limit: steps at most.
        scan: the newest steps of all among which they are looked for; default is among all.

    Raises:
        StorageError: the database cannot be read.
    """
    query = _latest(limit).where(_PATTERN.in_(patterns))
    if scan is not None:
        newest = select(func.coalesce(func.max(_STEPS.id), 0)).scalar_subquery()
        query = query.where(_STEPS.id > newest - scan)
    if own := of_scope(scope):
        calls = select(REQUEST_LOGS.c.id).where(*own)
        query = query.where(_STEPS.request_log_id.in_(calls))
    return _read(db, query)


def _latest(limit: int) -> Select[Any]:
    result = _STEPS.recovery_result
    return (
        select(
            _STEPS.id,
            _STEPS.strategy_name,
            _STEPS.was_successful,
            _STEPS.recovery_time_ms,
            _STEPS.created_at,
            _PATTERN.label("pattern"),
            result["provider"].as_string().label("provider"),
            result["model"].as_string().label("model"),
            result["wait_taken"].as_string().label("wait"),
            result["tokens"].as_string().label("tokens"),
            result["cost"].as_string().label("cost"),
        )
        .order_by(_STEPS.id.desc())
        .limit(limit)
    )


def _read(db: Database, query: Select[Any]) -> Sequence[Outcome]:
    with reading(db) as connection:
        rows = connection.execute(query).mappings()
        return [_outcome(row) for row in rows if row["pattern"] is not None]


def _outcome(row: Any) -> Outcome:
    wait, tokens, cost = (_number(row[name]) for name in ("wait", "tokens", "cost"))
    return Outcome(
        row["id"],
        row["pattern"],
        row["strategy_name"],
        row["provider"],
        row["model"],
        row["was_successful"] == "true",
        row["recovery_time_ms"],
        None if wait is None else round(wait * 1000),
        None if tokens is None else round(tokens),
        cost,
        row["created_at"],
    )


def _number(text: str | None) -> float | None:
    """A number that stands in JSON; anybody may have written it."""
    try:
        found = float(text) if text is not None else None
    except ValueError:
        return None
    return found if found is not None and 0 <= found < float("inf") else None
