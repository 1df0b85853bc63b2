"""Counts failures under their error patterns, in the transaction that writes their calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, select, update

from cajanegra.domain.pattern import GROUPING_VERSION
from cajanegra.storage.adding import Counter
from cajanegra.storage.calls import Written
from cajanegra.storage.fitting_columns import time_text
from cajanegra.storage.occurrences import write_links
from cajanegra.storage.reopening import reopen
from cajanegra.storage.rows import pattern_row
from cajanegra.storage.tables import (
    ERROR_ANALYSIS,
    OCCURRENCES,
    PATTERN_CHANGES,
    PATTERN_FACETS,
    PATTERN_HOURS,
    PATTERN_TENANTS,
    PATTERNS,
)
from cajanegra.storage.tallies import PatternTallies, tally

PATTERN_TABLES = (PATTERNS, PATTERN_TENANTS, PATTERN_HOURS, PATTERN_FACETS, OCCURRENCES, PATTERN_CHANGES)
"""What counting in full needs beside ``ai_error_analysis``."""

_ANALYSIS = ERROR_ANALYSIS.c

_TOTALS = Counter(
    ERROR_ANALYSIS,
    (
        "error_pattern", "error_code", "error_message_pattern", "occurrence_count", "last_occurred",
        "probable_cause", "suggested_action", "resolution_status", "created_at", "updated_at",
    ),
    keys=("error_pattern",),
    sums=("occurrence_count",),
    latest=("last_occurred",),
    replaced=("updated_at",),
    returning=("error_pattern", "resolution_status", "resolved_at"),
)  # fmt: skip
_KNOWN_TOTALS = replace(_TOTALS, columns=("id", *_TOTALS.columns))
"""With the id of the row that is there: an insert without one takes a number from PostgreSQL's sequence,
which has 2^31 of them, even where it becomes an update."""
_OWN = Counter(
    PATTERNS,
    ("pattern", "failures", "recovered", "first_occurred", "last_occurred", "grouping_version"),
    keys=("pattern",),
    sums=("failures", "recovered"),
    earliest=("first_occurred",),
    latest=("last_occurred",),
    replaced=("grouping_version",),
    returning=("pattern", "merged_into", "resolved_before"),
)
_TENANTS = Counter(
    PATTERN_TENANTS,
    ("pattern", "tenant_id", "failures", "recovered", "first_occurred", "last_occurred", "regressed_at"),
    keys=("pattern", "tenant_id"),
    sums=("failures", "recovered"),
    earliest=("first_occurred", "regressed_at"),
    latest=("last_occurred",),
)
_HOURS = Counter(
    PATTERN_HOURS,
    ("pattern", "tenant_id", "hour", "failures"),
    keys=("pattern", "tenant_id", "hour"),
    sums=("failures",),
)
_FACETS = Counter(
    PATTERN_FACETS,
    ("pattern", "tenant_id", "facet", "value", "failures", "last_occurred"),
    keys=("pattern", "tenant_id", "facet", "value"),
    sums=("failures",),
    latest=("last_occurred",),
)


def count_patterns(connection: Connection, written: Written, now: datetime, *, in_full: bool) -> None:
    """Count the failures of calls that were written; those counted for an end that was replaced go.

    Every table is gone through in one order, so that two writers seldom wait for each other.

    Args:
        connection: in the transaction that has written the calls.
        written: the calls.
        now: the time that it is, aware.
        in_full: whether there are the ``PATTERN_TABLES``; without them only the guide's table is kept.
    """
    tallies = tally(written, now)
    if not tallies:
        return
    if not in_full:
        _count_totals(connection, {name: [found] for name, found in tallies.items()}, now)
        return
    own = _count_own(connection, tallies)
    by_total: dict[str, dict[str, PatternTallies]] = {}
    for name, found in tallies.items():
        by_total.setdefault(own[name].merged_into or name, {})[name] = found
    totals = _count_totals(connection, {name: [*found.values()] for name, found in by_total.items()}, now)
    came_back = reopen(connection, totals, by_total, own, now)
    _count_details(connection, tallies, came_back, now)
    write_links(connection, tallies, written)
    if written.replaced:
        _drop_empty(connection, list(tallies))


def _count_own(connection: Connection, tallies: Mapping[str, PatternTallies]) -> dict[str, Any]:
    """Count under the names of grouping; returns the rows by their names.

    The rows stay locked, so that whoever merges a pattern waits until what was counted under it is there.
    """
    rows = [
        (name, found.total.failures, found.total.recovered, *_span(found), GROUPING_VERSION)
        for name, found in tallies.items()
    ]
    return {row.pattern: row for row in _OWN.add(connection, rows)}


def _span(found: PatternTallies) -> tuple[str | None, str | None]:
    return time_text(found.total.first), time_text(found.total.last)


def _count_totals(
    connection: Connection, by_total: Mapping[str, list[PatternTallies]], now: datetime
) -> list[Any]:
    """Count in ``ai_error_analysis``; returns name, status and time of resolution of the rows."""
    rows = []
    for name, found in sorted(by_total.items()):
        count = sum(tallies.total.failures for tallies in found)
        sample = next((tallies.sample for tallies in found if tallies.sample), None)
        if sample is not None and count >= 0:
            last = max(tallies.total.last for tallies in found)
            row = pattern_row(sample, count, last, now) | {"error_pattern": name}
            rows.append(tuple(_sent(row[column]) for column in _TOTALS.columns))
        elif count < 0:
            _take(connection, name, -count)
    known = _ids(connection, [row[0] for row in rows])
    return [
        *_KNOWN_TOTALS.add(connection, [(known[row[0]], *row) for row in rows if row[0] in known]),
        *_TOTALS.add(connection, [row for row in rows if row[0] not in known]),
    ]


def _ids(connection: Connection, names: list[str]) -> dict[str, int]:
    """The ids of the patterns that have a row in ``ai_error_analysis``."""
    if not names:
        return {}
    query = select(_ANALYSIS.error_pattern, _ANALYSIS.id).where(_ANALYSIS.error_pattern.in_(names))
    return {row.error_pattern: row.id for row in connection.execute(query)}


def _sent(value: Any) -> Any:
    return time_text(value) if isinstance(value, datetime) else value


def _take(connection: Connection, name: str, count: int) -> None:
    """Count so many failures less; a pattern that never happened goes, unless somebody has dealt with it."""
    here = _ANALYSIS.error_pattern == name
    left = func.coalesce(_ANALYSIS.occurrence_count, 0) - count
    connection.execute(
        update(ERROR_ANALYSIS).where(here).values(occurrence_count=case((left > 0, left), else_=0))
    )
    untouched = (_ANALYSIS.resolution_status == "open") & _ANALYSIS.auto_correction_enabled.is_(None)
    connection.execute(delete(ERROR_ANALYSIS).where(here, _ANALYSIS.occurrence_count == 0, untouched))


def _count_details(
    connection: Connection,
    tallies: Mapping[str, PatternTallies],
    came_back: Collection[tuple[str, str]],
    now: datetime,
) -> None:
    at = time_text(now)
    tenants: list[tuple[Any, ...]] = []
    hours: list[tuple[Any, ...]] = []
    facets: list[tuple[Any, ...]] = []
    for name, found in tallies.items():
        for tenant, one in sorted(found.by_tenant.items()):
            span = time_text(one.first), time_text(one.last)
            regressed_at = at if (name, tenant) in came_back else None
            tenants.append((name, tenant, one.failures, one.recovered, *span, regressed_at))
        for (tenant, hour), count in sorted(found.by_hour.items()):
            hours.append((name, tenant, time_text(hour), count))
        for key, one in sorted(found.facets()):
            facets.append((name, *key, one.failures, time_text(one.last)))
    _TENANTS.add(connection, tenants)
    _HOURS.add(connection, hours)
    _FACETS.add(connection, facets)


def _drop_empty(connection: Connection, names: list[str]) -> None:
    """Drop what only ends had that were replaced."""
    for table in (PATTERN_TENANTS, PATTERN_HOURS, PATTERN_FACETS):
        connection.execute(delete(table).where(table.c.pattern.in_(names), table.c.failures <= 0))
    nothing = (PATTERNS.c.failures <= 0) & PATTERNS.c.merged_into.is_(None)
    connection.execute(delete(PATTERNS).where(PATTERNS.c.pattern.in_(names), nothing))
