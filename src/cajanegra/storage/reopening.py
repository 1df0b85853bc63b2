"""Opens error patterns again that were resolved and come back, and notes for which tenants they did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from cajanegra.storage.fitting import fit_time
from cajanegra.storage.pattern_names import members
from cajanegra.storage.tables import ERROR_ANALYSIS, PATTERN_CHANGES, PATTERN_TENANTS, PATTERNS
from cajanegra.storage.tallies import PatternTallies

_ANALYSIS, _OWN, _TENANTS = ERROR_ANALYSIS.c, PATTERNS.c, PATTERN_TENANTS.c


def reopen(
    connection: Connection,
    totals: Iterable[Any],
    by_total: Mapping[str, Mapping[str, PatternTallies]],
    own: Mapping[str, Any],
    now: datetime,
) -> set[tuple[str, str]]:
    """Open the patterns again that are resolved and that a call met which began after that.

    Args:
        connection: in the transaction that counts.
        totals: rows of ``ai_error_analysis``, after counting: name, status, time of resolution.
        by_total: what was counted, by the name of such a row and by the name of grouping.
        own: rows of ``cajanegra_patterns`` by their names, those of grouping.
        now: the time that it is, aware.

    Returns:
        Name of grouping and tenant for whom a pattern came back, now or after another's failure opened it.
    """
    before = _resolved_before(connection, own)
    came_back: set[tuple[str, str]] = set()
    for name, status, resolved_at in totals:
        is_resolved = status == "resolved"
        since = _seconds(resolved_at if is_resolved else before.get(name))
        if since is None:
            if is_resolved:  # somebody wrote the status alone: from now on it is known since when
                here = _ANALYSIS.error_pattern == name
                connection.execute(update(ERROR_ANALYSIS).where(here).values(resolved_at=fit_time(now)))
            continue
        met = {
            (grouped, tenant)
            for grouped, found in by_total[name].items()
            for tenant, begun in found.begun.items()
            if begun > since and found.by_tenant[tenant].failures > 0
        }
        if met and is_resolved:
            _open(connection, name, datetime.fromtimestamp(since, UTC), now)
        came_back |= met
    return came_back


def forget_regressions(connection: Connection, name: str) -> None:
    """Forget for which tenants a pattern came back, and what is merged into it."""
    here = _TENANTS.pattern.in_(list(members(connection, [name]))) & _TENANTS.regressed_at.is_not(None)
    connection.execute(update(PATTERN_TENANTS).where(here).values(regressed_at=None))


def _resolved_before(connection: Connection, own: Mapping[str, Any]) -> dict[str, Any]:
    """Since when patterns that are open again had been resolved, under the names that are counted."""
    found = {name: row.resolved_before for name, row in own.items()}
    merged = {row.merged_into for row in own.values() if row.merged_into} - found.keys()
    if merged:
        query = select(_OWN.pattern, _OWN.resolved_before).where(_OWN.pattern.in_(merged))
        found |= {row.pattern: row.resolved_before for row in connection.execute(query)}
    return found


def _open(connection: Connection, name: str, since: datetime, now: datetime) -> None:
    at = fit_time(now)
    opened = {"resolution_status": "open", "resolved_at": None, "updated_at": at}
    connection.execute(update(ERROR_ANALYSIS).where(_ANALYSIS.error_pattern == name).values(opened))
    reopened = {"regressed_at": at, "resolved_before": fit_time(since)}
    connection.execute(update(PATTERNS).where(_OWN.pattern == name).values(reopened))
    forget_regressions(connection, name)
    change = {"change": "regressed", "before": "resolved", "after": "open", "changed_at": at}
    connection.execute(insert(PATTERN_CHANGES).values(pattern=name, **change))


def _seconds(time: Any) -> float | None:
    """A stored time in seconds since the Unix epoch; on SQLite anything may stand there."""
    try:
        found = datetime.fromisoformat(time) if isinstance(time, str) else time
        return float((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (AttributeError, ValueError, OverflowError):
        return None
