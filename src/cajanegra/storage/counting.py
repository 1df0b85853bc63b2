"""Counts failures under their error patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, update
from sqlalchemy.dialects import postgresql, sqlite

from cajanegra.domain.record import CallRecord, Occurrence
from cajanegra.storage.rows import pattern_key, pattern_row
from cajanegra.storage.tables import ERROR_ANALYSIS

_PATTERNS = ERROR_ANALYSIS.c


@dataclass(slots=True)
class _Tally:
    """What a batch adds to one pattern, or takes from it."""

    first: Occurrence | None = None
    count: int = 0
    last: datetime | None = None


def count_patterns(
    connection: Connection,
    written: Sequence[tuple[CallRecord, int]],
    replaced: Mapping[int, Sequence[str]],
    now: datetime,
) -> None:
    """Count the failures of calls that were written; those counted for an end that was replaced go."""
    tallies: dict[str, _Tally] = {}
    for record, _id in written:
        for occurrence in record.occurrences:
            tally = tallies.setdefault(pattern_key(occurrence.pattern), _Tally())
            tally.first = tally.first or occurrence
            tally.count += 1
            tally.last = max(tally.last, occurrence.at) if tally.last else occurrence.at
    for patterns in replaced.values():
        for pattern in patterns:
            tallies.setdefault(pattern_key(pattern), _Tally()).count -= 1
    # Always in the same order, so that two writers cannot wait for each other.
    for name in sorted(tallies):
        tally = tallies[name]
        if tally.count > 0 and tally.first is not None and tally.last is not None:
            _add(connection, tally.first, tally.count, tally.last, now)
        elif tally.count < 0:
            _take(connection, name, -tally.count)


def _add(connection: Connection, first: Occurrence, count: int, last: datetime, now: datetime) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(ERROR_ANALYSIS)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["error_pattern"],
        set_={
            "occurrence_count": func.coalesce(_PATTERNS.occurrence_count, 0) + new.occurrence_count,
            "last_occurred": _later(connection, _PATTERNS.last_occurred, new.last_occurred),
            "updated_at": new.updated_at,
        },
    )
    connection.execute(statement, pattern_row(first, count, last, now))


def _take(connection: Connection, name: str, count: int) -> None:
    """Count so many failures less; a pattern that never happened goes, unless somebody has dealt with it."""
    here = _PATTERNS.error_pattern == name
    left = func.coalesce(_PATTERNS.occurrence_count, 0) - count
    connection.execute(
        update(ERROR_ANALYSIS).where(here).values(occurrence_count=case((left > 0, left), else_=0))
    )
    untouched = (_PATTERNS.resolution_status == "open") & _PATTERNS.auto_correction_enabled.is_(None)
    connection.execute(delete(ERROR_ANALYSIS).where(here, _PATTERNS.occurrence_count == 0, untouched))


def _later(connection: Connection, old: Any, new: Any) -> Any:
    """The later of two times, of which the first may be NULL."""
    greatest = func.greatest if connection.dialect.name == "postgresql" else func.max
    return greatest(func.coalesce(old, new), new)
