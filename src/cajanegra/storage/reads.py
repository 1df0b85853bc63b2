"""Reads calls: pages, streams, and one call with everything that belongs to it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.errors import UsageError
from cajanegra.storage.database import Database, storage_error
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.fitting import fit_identity, fit_request_id
from cajanegra.storage.rows import tenant_request_id
from cajanegra.storage.tables import CONTENTS, ERROR_ANALYSIS, ERROR_RECOVERY, REQUEST_LOGS

__all__ = ["CallDetail", "CallFilter", "Page", "after", "call", "calls", "iterate", "newest_id"]

MAX_PAGE = 500
_CHUNK = 1_000
"""Rows that a stream holds in memory at a time."""
_GREATEST_ID = 2**31 - 1
"""What the column holds; a cursor may say anything."""

Row = dict[str, Any]
_LOGS = REQUEST_LOGS.c


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls, newest first.

    Attributes:
        items: column names to values; times are UTC without a zone.
        next_cursor: leads to the calls before these; ``None`` on the last page.
    """

    items: Sequence[Row]
    next_cursor: str | None


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


def calls(db: Database, where: CallFilter, *, limit: int = 50, cursor: str | None = None) -> Page:
    """A page of calls, newest first; rows that arrive meanwhile do not shift it.

    Raises:
        UsageError: the limit is not between 1 and 500, or the cursor or a filter makes no sense.
        StorageError: the database cannot be read.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise UsageError(f"limit must be between 1 and {MAX_PAGE}, not {limit}")
    query = _newest_first(db, where).limit(limit + 1)
    if cursor is not None:
        query = query.where(_beyond(*_decode(cursor), nulls_first=db.dialect == "postgresql"))
    with reading(db) as connection:
        rows = _rows(connection, query)
    more = len(rows) > limit
    return Page(rows[:limit], _encode(rows[limit - 1]) if more else None)


def iterate(db: Database, where: CallFilter) -> Iterator[Row]:
    """All calls, newest first, in constant memory.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    query = _newest_first(db, where)
    with reading(db) as connection:
        streamed = connection.execution_options(stream_results=True, yield_per=_CHUNK)
        for row in streamed.execute(query).mappings():
            yield dict(row)


def after(db: Database, where: CallFilter, row_id: int, *, limit: int = MAX_PAGE) -> Sequence[Row]:
    """Calls written after the one with ``row_id``, oldest first: what a tail has not shown yet."""
    query = select(REQUEST_LOGS).where(_LOGS.id > row_id, *where.conditions(db.dialect))
    with reading(db) as connection:
        return _rows(connection, query.order_by(_LOGS.id).limit(limit))


def newest_id(db: Database) -> int:
    """The greatest id of a call; 0 where there is none."""
    with reading(db) as connection:
        return connection.execute(select(_LOGS.id).order_by(_LOGS.id.desc()).limit(1)).scalar() or 0


def call(db: Database, request_id: str, tenant_id: str | None = None) -> CallDetail | None:
    """The call with this request id, or ``None``.

    With a tenant only that tenant's call is found, under its original id too when it is stored under
    another because somebody else had it first.
    """
    wanted = fit_request_id(request_id)
    query = select(REQUEST_LOGS).where(_LOGS.request_id == wanted)
    if tenant_id is not None:
        tenant = fit_identity(tenant_id)
        names = [wanted, tenant_request_id(tenant, wanted)]
        query = select(REQUEST_LOGS).where(_LOGS.tenant_id == tenant, _LOGS.request_id.in_(names))
    with reading(db) as connection:
        row = next(iter(_rows(connection, query)), None)
        return _detail(connection, row) if row else None


@contextmanager
def reading(db: Database) -> Iterator[Connection]:
    """A connection to read with.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    try:
        with db.engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise storage_error(db, error) from None


def _newest_first(db: Database, where: CallFilter) -> Select[Any]:
    query = select(REQUEST_LOGS).where(*where.conditions(db.dialect))
    return query.order_by(_LOGS.created_at.desc(), _LOGS.id.desc())


def _detail(connection: Connection, row: Row) -> CallDetail:
    steps = select(ERROR_RECOVERY).where(ERROR_RECOVERY.c.request_log_id == row["id"])
    content = select(CONTENTS).where(CONTENTS.c.request_log_id == row["id"])
    captured = next(iter(_rows(connection, content)), {})
    metadata = row["response_metadata"]
    names = metadata.get("patterns", []) if isinstance(metadata, dict) else []
    patterns = select(ERROR_ANALYSIS).where(ERROR_ANALYSIS.c.error_pattern.in_(names))
    return CallDetail(
        call=row,
        steps=_rows(connection, steps.order_by(ERROR_RECOVERY.c.step_number, ERROR_RECOVERY.c.id)),
        patterns=_rows(connection, patterns.order_by(ERROR_ANALYSIS.c.error_pattern)) if names else [],
        prompt=captured.get("prompt"),
        answer=captured.get("answer"),
    )


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _beyond(at: datetime | None, row_id: int, *, nulls_first: bool) -> ColumnElement[bool]:
    """What comes after a row in a list, newest first; rows without a time stand at one end of it."""
    without_time = _LOGS.created_at.is_(None)
    if at is None:
        rest = and_(without_time, _LOGS.id < row_id)
        return or_(rest, ~without_time) if nulls_first else rest
    rest = or_(_LOGS.created_at < at, and_(_LOGS.created_at == at, _LOGS.id < row_id))
    return rest if nulls_first else or_(rest, without_time)


def _encode(row: Row) -> str:
    at = row["created_at"].isoformat() if row["created_at"] else None
    return base64.urlsafe_b64encode(json.dumps([at, row["id"]]).encode()).decode()


def _decode(cursor: str) -> tuple[datetime | None, int]:
    try:
        at, row_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = None if at is None else datetime.fromisoformat(at).replace(tzinfo=None)
        return moment, min(int(row_id), _GREATEST_ID)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, UnicodeError):
        raise UsageError("the cursor is not one that was given out; begin again without it") from None
