"""Reads error patterns: what fails, how often, since when, and whether it grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec
from sqlalchemy import Connection, Row, and_, or_

from cajanegra.domain.trend import MARKS
from cajanegra.errors import UsageError
from cajanegra.storage import cursors
from cajanegra.storage.database import Database, reading
from cajanegra.storage.pattern_query import PatternFilter, PatternQuery, PatternRow, complete
from cajanegra.storage.reads import MAX_PAGE
from cajanegra.storage.tables import ERROR_ANALYSIS

__all__ = ["SORTS", "PatternFilter", "PatternPage", "PatternRow", "Sort", "iterate", "page"]

Sort = Literal["count", "last", "first", "trend"]
SORTS: tuple[Sort, ...] = get_args(Sort)

MOST_RANKED = 2_000
"""Patterns, those that failed last, among which the order by trend chooses."""
_CHUNK = 200
"""Patterns that are looked at in one go where a mark is asked for."""
_GREATEST = 2**63 - 1
"""What the column holds; a cursor may say anything."""
_ANALYSIS = ERROR_ANALYSIS.c


class PatternPage(msgspec.Struct, frozen=True):
    """Some patterns.

    Attributes:
        items: the patterns.
        next_cursor: leads to those after these; ``None`` on the last page.
    """

    items: Sequence[PatternRow]
    next_cursor: str | None


def page(
    db: Database,
    where: PatternFilter,
    *,
    now: datetime,
    sort: Sort = "count",
    limit: int = 50,
    cursor: str | None = None,
) -> PatternPage:
    """A page of patterns: the most frequent, the latest, the newest, or those that grow most, first.

    By ``trend`` the patterns stand in the order of how far they are above their baseline, among the 2,000
    that failed last.

    Raises:
        UsageError: the limit is not between 1 and 500, or a filter, the order or the cursor makes no sense.
        StorageError: the database cannot be read.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise UsageError(f"limit must be between 1 and {MAX_PAGE}, not {limit}")
    if sort not in SORTS:
        raise UsageError(f"{sort!r} is not an order of patterns; choose one of {', '.join(SORTS)}")
    if where.mark is not None and where.mark not in MARKS:
        raise UsageError(f"{where.mark!r} is not a mark; choose one of {', '.join(MARKS)}")
    query = PatternQuery(where, now)
    with reading(db) as connection:
        if sort == "trend":
            return _ranked(connection, query, limit, cursor)
        return _sorted(connection, query, sort, limit, cursor)


def iterate(db: Database, where: PatternFilter, *, now: datetime) -> Iterator[PatternRow]:
    """All patterns, the most frequent first, a page in memory at a time.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    cursor: str | None = None
    while True:
        found = page(db, where, now=now, limit=MAX_PAGE, cursor=cursor)
        yield from found.items
        cursor = found.next_cursor
        if cursor is None:
            return


def _sorted(
    connection: Connection, query: PatternQuery, sort: str, limit: int, cursor: str | None
) -> PatternPage:
    key = query.keys[sort]
    ordered = query.select().order_by(key.desc(), _ANALYSIS.error_pattern)
    place = _place(sort, cursor) if cursor is not None else None
    size = limit + 1 if query.where.mark is None else max(limit + 1, _CHUNK)
    found: list[tuple[Row[Any], PatternRow]] = []
    while len(found) <= limit:
        some = ordered.limit(size)
        if place is not None:
            value, name = place
            some = some.where(or_(key < value, and_(key == value, _ANALYSIS.error_pattern > name)))
        rows = connection.execute(some).all()
        for row, pattern in zip(rows, complete(connection, query, rows), strict=True):
            if _is_marked(pattern, query):
                found.append((row, pattern))
        if len(rows) < size:
            break
        place = _place_of(rows[-1], sort), rows[-1].error_pattern
    items = [pattern for _row, pattern in found[:limit]]
    if len(found) <= limit:
        return PatternPage(items, None)
    last = found[limit - 1][0]
    value = _place_of(last, sort)
    shown = value.isoformat() if isinstance(value, datetime) else value
    return PatternPage(items, cursors.encode([sort, shown, last.error_pattern]))


def _place_of(row: Row[Any], sort: str) -> Any:
    value = row._mapping[f"by_{sort}"]  # noqa: SLF001 - SQLAlchemy's public name for it
    return value if isinstance(value, datetime) else int(value)


def _place(sort: str, cursor: str) -> tuple[Any, str]:
    name, value, pattern = cursors.decode(cursor, str, (int, str), str)
    found: Any = None
    if name == sort == "count" and isinstance(value, int):
        found = min(value, _GREATEST)
    elif name == sort != "count" and isinstance(value, str):
        found = _moment(value, sort).replace(tzinfo=None)
    if found is None:
        raise _other_list(sort)
    return found, pattern


def _moment(text: str, sort: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _other_list(sort) from None


def _other_list(sort: str) -> UsageError:
    return UsageError(f"the cursor is not one of a list by {sort}; begin again without it")


def _ranked(connection: Connection, query: PatternQuery, limit: int, cursor: str | None) -> PatternPage:
    after: tuple[Any, ...] | None = None
    if cursor is not None:
        name, *place, as_of = cursors.decode(cursor, str, int, (int, float), str, str)
        moment = _moment(as_of, "trend")
        if name != "trend" or moment.tzinfo is None:
            raise _other_list("trend")
        query = PatternQuery(query.where, moment)  # the next page is one of the same ranking
        after = tuple(place)
    latest = query.select().order_by(query.keys["last"].desc(), _ANALYSIS.error_pattern).limit(MOST_RANKED)
    rows = connection.execute(latest).all()
    found = sorted((row for row in complete(connection, query, rows) if _is_marked(row, query)), key=_rank)
    if after is not None:
        found = [row for row in found if _rank(row) > after]
    items = found[:limit]
    if len(found) <= limit:
        return PatternPage(items, None)
    return PatternPage(items, cursors.encode(["trend", *_rank(items[-1]), query.now.isoformat()]))


def _rank(row: PatternRow) -> tuple[int, float, str]:
    """Where it stands by trend: what has not failed lately comes last."""
    return int(row.trend.recent == 0), -row.trend.score, row.error_pattern


def _is_marked(row: PatternRow, query: PatternQuery) -> bool:
    return query.where.mark is None or query.where.mark in row.marks
