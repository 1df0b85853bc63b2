"""Reads calls: pages, streams, and one call with everything that belongs to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.errors import UsageError
from cajanegra.storage import optional_indexes, places
from cajanegra.storage.database import Database, reading
from cajanegra.storage.filters import CallFilter, id_in, of_scope
from cajanegra.storage.fitting import fit_identity, stored_request_id
from cajanegra.storage.pattern_names import current_names
from cajanegra.storage.places import Direction, Place
from cajanegra.storage.rows import as_given, tenant_request_id
from cajanegra.storage.tables import CONTENTS, ERROR_ANALYSIS, ERROR_RECOVERY, REQUEST_LOGS

__all__ = ["CallDetail", "CallFilter", "Page", "call", "calls", "iterate", "reading"]

MAX_PAGE = 500
SCAN = 20_000
"""Recovery steps that are looked at for a page when a filter has no index."""
SCAN_STEP = 4_000
"""Calls that are looked at in one go for a page when a filter has no index."""
SCANNING = 0.2
"""Seconds for which a page is looked for then."""
_FIRST_GO = 8
"""The part of ``SCAN_STEP`` that is looked at first; each go is twice as long as the one before."""
_CHUNK = 500
"""Rows that a stream holds in memory at a time; SQLite of old allows 999 values in a statement."""

_KEY = "cursor_key"
_TICK = timedelta(microseconds=1)
"""What both databases tell times apart by."""

Row = dict[str, Any]
_LOGS = REQUEST_LOGS.c


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls, newest first; those without a time, which others have written, come last.

    Attributes:
        items: column names to values; times are UTC without a zone.
        next_cursor: leads to the calls before these; ``None`` on the last page.
        previous_cursor: leads to the calls after these, those included that are yet to come; ``None`` where
            the list is empty.
        scanned_until: up to when calls were looked at, of a page that is short since the time for it was
            over; UTC without a zone.
    """

    items: Sequence[Row]
    next_cursor: str | None
    previous_cursor: str | None = None
    scanned_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallDetail:
    """One call with what belongs to it.

    Attributes:
        call: its row.
        steps: its recovery steps, in order.
        patterns: the error patterns that its attempts met.
        prompt: what was asked, where content is captured.
        answer: what was answered, where content is captured.
    """

    call: Row
    steps: Sequence[Row]
    patterns: Sequence[Row]
    prompt: Any
    answer: str | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Request ids of the calls beside one in a list; ``None`` where the list ends."""

    newer: str | None
    older: str | None


def calls(
    db: Database,
    where: CallFilter,
    *,
    limit: int = 50,
    cursor: str | None = None,
    scan: int | None = None,
    seconds: float = 0.0,
) -> Page:
    """A page of calls, newest first; rows that arrive meanwhile do not shift it.

    Args:
        db: the database.
        where: which calls.
        limit: at most so many.
        cursor: where to go on, as another page says.
        scan: of how many calls in one go it is seen whether they match, where no index knows: then a page may
            be short or empty although its ``next_cursor`` leads on. ``None`` is all.
        seconds: how long to go on with more of them; the first go is then about few, which most pages have
            enough of.

    Raises:
        UsageError: the limit is not between 1 and 500, or the cursor or a filter makes no sense.
        StorageError: the database cannot be read.
    """
    check_limit(limit)
    place = None if cursor is None else places.decode(cursor, where, "calls")
    direction: Direction = place.direction if place else "older"
    rows: list[Row] = []
    reached = place
    end = time.monotonic() + seconds
    at_once = scan if scan is None or not seconds else max(1, scan // _FIRST_GO)
    with reading(db) as connection:
        among = where.among(db.dialect) if scan is not None else {}
        served = optional_indexes.served(connection, among)
        among = {name: condition for name, condition in among.items() if name not in served}
        looked_at = [*where.within(), *served.values()]
        while True:
            begin = time.monotonic()
            bound = (
                _last_looked_at(connection, looked_at, reached, direction, at_once)
                if at_once and among
                else None
            )
            for query in _queries(db, where, reached, direction, bound):
                if len(rows) <= limit:
                    rows += rows_of(connection, query.limit(limit + 1 - len(rows)))
            now = time.monotonic()
            if bound is None or len(rows) > limit or now + 2 * (now - begin) > end:
                break
            reached = _behind(direction, bound)
            at_once = min(2 * at_once, scan) if at_once and scan else None
    more = len(rows) > limit
    rows = rows[:limit]
    ends = [Place(direction, row["created_at"], row.pop(_KEY)) for row in rows]
    first = ends[0] if ends else place
    last = ends[-1] if ends else place
    scanned = None
    if bound is not None and not more:  # nothing has been decided about what lies beyond
        last, more, scanned = _behind(direction, bound), True, bound
    items = [seen_by(where.scope, row) for row in rows]
    if direction == "newer":
        return Page(items[::-1], _cursor(first, where, "older"), _cursor(last, where, "newer"), scanned)
    older = _cursor(last, where, "older") if more else None
    return Page(items, older, _cursor(first, where, "newer"), scanned)


def iterate(db: Database, where: CallFilter, *, limit: int | None = None) -> Iterator[Row]:
    """All calls with their recovery steps (``steps``, in order), newest first, in constant memory.

    Args:
        db: the database.
        where: which calls.
        limit: at most so many.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    left = limit
    for query in _queries(db, where, None, "older", None):
        with reading(db) as connection:
            streamed = connection.execution_options(stream_results=True, yield_per=_CHUNK)
            for some in streamed.execute(query.limit(left)).mappings().partitions():
                left = None if left is None else left - len(some)
                steps = steps_of(connection, [row["id"] for row in some])
                for row in some:
                    kept = {name: row[name] for name in row if name != _KEY}
                    yield {**seen_by(where.scope, kept), "steps": steps.get(row["id"], [])}


def call(db: Database, scope: Scope, request_id: str) -> CallDetail | None:
    """The call with this request id, or ``None``.

    In the scope of a tenant only that tenant's call is found, under the id that it was given, also when it is
    stored under another because somebody else had it first.
    """
    with reading(db) as connection:
        row = find(connection, scope, request_id)
        return _detail(connection, scope, row) if row else None


def neighbours(db: Database, where: CallFilter, request_id: str, *, scan: int) -> Neighbours | None:
    """The calls beside one in a list; ``None`` where there is no such call, whether the list has it or not.

    Args:
        db: the database.
        where: which calls the list has.
        request_id: of the call.
        scan: of how many calls at most it is seen whether they match, to each side.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    with reading(db) as connection:
        row = find(connection, where.scope, request_id)
    if row is None:
        return None
    here = seen_by(where.scope, row)["request_id"]

    def beside(direction: Direction) -> str | None:
        cursor = places.encode(Place(direction, row["created_at"], here), where, "calls")
        page = calls(db, where, limit=1, cursor=cursor, scan=scan)
        return page.items[0]["request_id"] if page.items else None

    return Neighbours(beside("newer"), beside("older"))


def newest_id(db: Database) -> int:
    """The greatest id of a call; 0 where there is none.

    Raises:
        StorageError: the database cannot be read.
    """
    with reading(db) as connection:
        return connection.execute(select(func.max(_LOGS.id))).scalar() or 0


def find(connection: Connection, scope: Scope, request_id: str) -> Row | None:
    """The row of a call, as it is stored."""
    wanted = stored_request_id(request_id)
    names = [wanted]
    if not isinstance(scope, AllTenants):
        names.append(tenant_request_id(fit_identity(scope), wanted))
    query = select(REQUEST_LOGS).where(*of_scope(scope), _LOGS.request_id.in_(names))
    found = rows_of(connection, query.order_by(_LOGS.id))
    return next((row for row in found if seen_by(scope, row)["request_id"] == wanted), None)


def seen_by(scope: Scope, row: Row) -> Row:
    """A row as the scope may see it."""
    return row if isinstance(scope, AllTenants) else as_given(row)


def check_limit(limit: int) -> None:
    """Whether a page may have so many entries.

    Raises:
        UsageError: it may not.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise UsageError(f"limit must be between 1 and {MAX_PAGE}, not {limit}")


def rows_of(connection: Connection, query: Select[Any]) -> list[Row]:
    """What a query finds."""
    return [dict(row) for row in connection.execute(query).mappings()]


def oldest_of_newest(connection: Connection, where: CallFilter, count: int) -> datetime | None:
    """When the last of the ``count`` newest calls was begun; ``None`` where there are not so many."""
    query = select(_LOGS.created_at).where(*where.within(), _LOGS.created_at.is_not(None))
    query = query.order_by(_LOGS.created_at.desc()).offset(count - 1).limit(1)
    return connection.execute(query).scalar()


def _behind(direction: Direction, at: datetime) -> Place:
    """The place behind all calls of a moment."""
    return Place(direction, at, "") if direction == "older" else Place(direction, at + _TICK, "")


def _last_looked_at(
    connection: Connection,
    looked_at: Sequence[ColumnElement[bool]],
    place: Place | None,
    direction: Direction,
    scan: int,
) -> datetime | None:
    """The time at which a look at so many calls ends; ``None`` where there are not so many."""
    if place and place.at is None:
        return None
    near = [beyond(place)] if place else []  # first: SQLite begins at the first bound that is named
    query = select(_LOGS.created_at).where(*near, *looked_at, _LOGS.created_at.is_not(None))
    order = _LOGS.created_at.desc() if direction == "older" else _LOGS.created_at.asc()
    return connection.execute(query.order_by(order).offset(scan - 1).limit(1)).scalar()


def beyond(place: Place) -> ColumnElement[bool]:
    """The times of calls beyond a place, where an index begins; its own, while it has more calls."""
    at = _LOGS.created_at
    if place.direction == "newer":
        return at >= place.at
    return at <= place.at if place.request_id else at < place.at


def _queries(
    db: Database, where: CallFilter, place: Place | None, direction: Direction, bound: datetime | None
) -> Iterator[Select[Any]]:
    """What is asked one after the other for a list: calls with a time, and those without, which come last."""
    key = id_in(where.scope)
    query, conditions = select(REQUEST_LOGS, key.label(_KEY)), where.conditions(db.dialect)
    older = direction == "older"
    order = (_LOGS.created_at.desc(), key.desc()) if older else (_LOGS.created_at.asc(), key.asc())
    # SQLite begins at the first bound that is named: those of the page stand before those of the filter.
    nearer: list[ColumnElement[bool]] = [_LOGS.created_at.is_not(None)]
    if place is not None and place.at is not None:
        nearer.insert(0, _passed(place, key))
    if bound is not None:
        nearer.insert(0, _LOGS.created_at >= bound if older else _LOGS.created_at <= bound)
    timed = query.where(*nearer, *conditions).order_by(*order)
    # By an expression: with an index in this order the databases would look through it for the few rows.
    plain = func.coalesce(key, "")
    untimed = query.where(*conditions, _LOGS.created_at.is_(None))
    untimed = untimed.order_by(plain.desc() if older else plain.asc())
    is_among_untimed = place is not None and place.at is None
    if place is not None and is_among_untimed:
        untimed = untimed.where(key < place.request_id if older else key > place.request_id)
    else:
        yield timed
    if bound is None and (older or is_among_untimed):
        yield untimed
    if not older and is_among_untimed:
        yield timed


def _passed(place: Place, key: ColumnElement[str]) -> ColumnElement[bool]:
    at = _LOGS.created_at
    if place.direction == "older":
        same = and_(at == place.at, key < place.request_id)
        return and_(beyond(place), or_(at < place.at, same))
    same = and_(at == place.at, key > place.request_id)
    return and_(beyond(place), or_(at > place.at, same))


def _cursor(place: Place | None, where: CallFilter, direction: Direction) -> str | None:
    if place is None:
        return None
    return places.encode(Place(direction, place.at, place.request_id, place.step), where, "calls")


def _detail(connection: Connection, scope: Scope, row: Row) -> CallDetail:
    steps = select(ERROR_RECOVERY).where(ERROR_RECOVERY.c.request_log_id == row["id"])
    content = select(CONTENTS).where(CONTENTS.c.request_log_id == row["id"])
    captured = next(iter(rows_of(connection, content)), {})
    metadata = row["response_metadata"]
    names = metadata.get("patterns", []) if isinstance(metadata, dict) else []
    current = set(current_names(connection, names).values()) if names else ()
    patterns = select(ERROR_ANALYSIS).where(ERROR_ANALYSIS.c.error_pattern.in_(current))
    return CallDetail(
        call=seen_by(scope, row),
        steps=rows_of(connection, steps.order_by(ERROR_RECOVERY.c.step_number, ERROR_RECOVERY.c.id)),
        patterns=rows_of(connection, patterns.order_by(ERROR_ANALYSIS.c.error_pattern)) if names else [],
        prompt=captured.get("prompt"),
        answer=captured.get("answer"),
    )


def steps_of(connection: Connection, ids: Sequence[int]) -> dict[int, list[Row]]:
    """The recovery steps of calls in their order, by the id of the call."""
    query = select(ERROR_RECOVERY).where(ERROR_RECOVERY.c.request_log_id.in_(ids))
    steps: dict[int, list[Row]] = {}
    for row in rows_of(connection, query.order_by(ERROR_RECOVERY.c.step_number, ERROR_RECOVERY.c.id)):
        steps.setdefault(row["request_log_id"], []).append(row)
    return steps
