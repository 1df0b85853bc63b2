"""Keeps what is known of error patterns bounded, and sweeps what belongs to patterns that are gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, delete, func, select, tuple_

from cajanegra.storage.database import Database, writing
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.tables import (
    ERROR_ANALYSIS,
    OCCURRENCES,
    PATTERN_CHANGES,
    PATTERN_FACETS,
    PATTERN_HOURS,
    PATTERN_TENANTS,
    PATTERNS,
)

HOURS_KEPT = timedelta(days=30)
"""How long it is known in which hour a pattern failed."""
VALUES_KEPT = 50
"""Models, modules and so on of one pattern and tenant: those that it met last."""
CHANGES_KEPT = 100
"""Changes of one pattern that its history has: the latest."""


def count_surplus(connection: Connection, now: datetime) -> int:
    """How many rows ``delete_surplus`` would delete."""
    return sum(
        connection.execute(select(func.count()).select_from(rows.subquery())).scalar_one()
        for _table, rows in _surplus(now)
    )


def delete_surplus(db: Database, now: datetime, size: int) -> int:
    """Delete what is too old or too much, and what nobody can ask for any more.

    Args:
        db: the database.
        now: the time that it is, aware.
        size: rows that are deleted in one transaction.

    Raises:
        StorageError: the database cannot be written.
    """
    deleted = 0
    for table, rows in _surplus(now):
        key = tuple_(*table.primary_key.columns)
        count = size
        while count >= size:
            with writing(db) as connection:
                count = connection.execute(delete(table).where(key.in_(rows.limit(size)))).rowcount
            deleted += count
    return deleted


def _surplus(now: datetime) -> Iterator[tuple[Table, Select[Any]]]:
    """The keys of the rows that are to go, by table; a row may be named twice."""
    yield PATTERN_HOURS, _keys(PATTERN_HOURS).where(PATTERN_HOURS.c.hour < fit_time(now - HOURS_KEPT))
    facets, changes = PATTERN_FACETS.c, PATTERN_CHANGES.c
    kinds = [facets.pattern, facets.tenant_id, facets.facet]
    yield PATTERN_FACETS, _beyond(PATTERN_FACETS, VALUES_KEPT, kinds, [facets.last_occurred, facets.value])
    yield PATTERN_CHANGES, _beyond(PATTERN_CHANGES, CHANGES_KEPT, [changes.pattern], [changes.id])
    # Somebody may have deleted the row of a pattern in SQL.
    name = func.coalesce(PATTERNS.c.merged_into, PATTERNS.c.pattern)
    living = select(PATTERNS.c.pattern).join(ERROR_ANALYSIS, ERROR_ANALYSIS.c.error_pattern == name)
    for table in (PATTERN_HOURS, PATTERN_FACETS, PATTERN_CHANGES, PATTERN_TENANTS, OCCURRENCES, PATTERNS):
        yield table, _keys(table).where(table.c.pattern.not_in(living))


def _keys(table: Table) -> Select[Any]:
    return select(*table.primary_key.columns)


def _beyond(
    table: Table, kept: int, groups: Sequence[ColumnElement[Any]], newest: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    """All but so many of each group, the newest."""
    rank = func.row_number().over(partition_by=groups, order_by=[column.desc() for column in newest])
    ranked = _keys(table).add_columns(rank.label("rank")).subquery()
    keys = [ranked.c[column.name] for column in table.primary_key.columns]
    return select(*keys).where(ranked.c.rank > kept)
