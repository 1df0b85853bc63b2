"""Inserts calls, and decides about those whose ``request_id`` is there already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, case, delete, select, update
from sqlalchemy.exc import IntegrityError

from cajanegra.domain.failure import FailureKind
from cajanegra.domain.record import COPIED, CallRecord, FeedbackRecord
from cajanegra.errors import StorageError
from cajanegra.storage import loading
from cajanegra.storage.fitting import fit_identity, fit_request_id
from cajanegra.storage.fitting_columns import Values
from cajanegra.storage.rows import (
    CALL_COLUMNS,
    call_columns,
    feedback_values,
    repeated_request_id,
    tenant_request_id,
)
from cajanegra.storage.tables import CONTENTS, ERROR_RECOVERY, REQUEST_LOGS

_LOGS = REQUEST_LOGS.c
_MAX_VARIABLES = 500
"""Values in one ``IN``; SQLite of old allows 999 in a statement."""
_KEPT = ("request_id", "created_at", "user_feedback", "correction_applied")
"""Columns of a call that stay when its end is put right."""


@dataclass(frozen=True, slots=True)
class CallRows:
    """Calls, and what the database is given of them."""

    calls: Sequence[CallRecord]
    columns: dict[str, Values]
    text: bytes
    """The columns as COPY takes them; empty for SQLite."""


NO_CALLS = CallRows((), {}, b"")


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the calls of a batch.

    Attributes:
        records: those that are in the database now and were not before, with their ids.
        replaced: by id, the patterns that were counted for a call whose end has been put right.
    """

    records: list[tuple[CallRecord, int]] = field(default_factory=list)
    replaced: dict[int, list[str]] = field(default_factory=dict)


class _Known(NamedTuple):
    """A call that is in the database, or goes there in this batch."""

    tenant_id: str | None
    created_at: str
    rank: int
    id: int | None = None


@dataclass(slots=True)
class _Decided:
    """Calls that are to be inserted, by their ``request_id``, and those that put an earlier end right."""

    new: dict[str, CallRecord] = field(default_factory=dict)
    better: dict[int, CallRecord] = field(default_factory=dict)


def insert(connection: Connection, coming: Iterator[CallRows], now: datetime) -> Written:
    """Insert the calls that are new, as they come, and put right those that were declared interrupted.

    Raises:
        SQLAlchemyError: what the database says.
        StorageError: another writer has inserted the same call at the same time; the next try finds it.
    """
    parts: list[CallRows] = []
    if _insert_all(connection, coming, parts):
        return Written(_with_ids(connection, parts))
    decided = _decide(connection, parts)
    written = Written()
    if decided.new:
        renamed = sorted(decided.new.items())  # in one order, so that two writers do not wait for each other
        columns = call_columns([record for _name, record in renamed], now)
        columns["request_id"] = [name for name, _record in renamed]
        try:
            loading.load(connection, REQUEST_LOGS.name, CALL_COLUMNS, list(columns.values()))
        except IntegrityError as error:
            if not loading.is_duplicate(error):
                raise
            raise StorageError("the same call was written by somebody else at the same time") from None
        ids = _ids(connection, decided.new)
        written.records.extend((record, ids[name]) for name, record in renamed)
    for call_id, record in sorted(decided.better.items(), key=lambda better: better[0]):
        written.replaced[call_id] = _put_right(connection, call_id, record, now)
        written.records.append((record, call_id))
    return written


def give_feedback(connection: Connection, feedback: Iterable[FeedbackRecord]) -> list[FeedbackRecord]:
    """Write what people said to their calls; returns what belongs to calls that are not there yet."""
    in_order = sorted(feedback, key=lambda record: record.request_id)  # as all writers do
    return [record for record in in_order if not give(connection, record)]


def give(connection: Connection, record: FeedbackRecord) -> bool:
    """Whether the feedback's call is there and has it now.

    It is found by tenant and original id; without a tenant only by the very id that is stored.
    """
    tenant_id, request_id = fit_identity(record.tenant_id), fit_request_id(record.request_id)
    statement = update(REQUEST_LOGS).where(_LOGS.request_id == request_id)
    if tenant_id is not None:
        names = [request_id, tenant_request_id(tenant_id, request_id)]
        statement = update(REQUEST_LOGS).where(_LOGS.tenant_id == tenant_id, _LOGS.request_id.in_(names))
    values = feedback_values(record)
    # What was said later may come earlier: from another process, or another host.
    newer = _LOGS.user_feedback.is_not(None) & (_LOGS.updated_at > values["updated_at"])
    said = {name: case((newer, _LOGS[name]), else_=value) for name, value in values.items()}
    return connection.execute(statement.values(said)).rowcount > 0


def _insert_all(connection: Connection, coming: Iterator[CallRows], parts: list[CallRows]) -> bool:
    """Insert all calls, if none of them is there already; else none. All are in ``parts`` then."""

    def taken() -> Iterator[CallRows]:
        for part in coming:
            if part.calls:
                parts.append(part)
                yield part

    savepoint = connection.begin_nested()
    try:
        if connection.dialect.name == "postgresql":
            loading.copy(connection, REQUEST_LOGS.name, CALL_COLUMNS, (part.text for part in taken()))
            complete = True
        else:
            columns = (list(part.columns.values()) for part in taken())
            inserted = loading.insert_stream(connection, REQUEST_LOGS.name, CALL_COLUMNS, columns)
            complete = inserted == sum(len(part.calls) for part in parts)
    except IntegrityError as error:
        if not loading.is_duplicate(error):
            raise
        complete = False
    if complete:
        savepoint.commit()
    else:
        savepoint.rollback()
        parts += (part for part in coming if part.calls)
    return complete


def _with_ids(connection: Connection, parts: Sequence[CallRows]) -> list[tuple[CallRecord, int]]:
    """The calls; with their ids where something else belongs to them, else 0."""
    named = [
        (name, record)
        for part in parts
        for name, record in zip(part.columns["request_id"], part.calls, strict=True)
    ]
    needed = [
        name
        for name, record in named
        if record.steps or record.prompt is not None or record.answer is not None
    ]
    ids = _ids(connection, needed)
    return [(record, ids.get(name, 0)) for name, record in named]


def _ids(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in _chunks(list(names)):
        query = select(_LOGS.request_id, _LOGS.id).where(_LOGS.request_id.in_(some))
        found |= {row.request_id: row.id for row in connection.execute(query)}
    return found


def _decide(connection: Connection, parts: Sequence[CallRows]) -> _Decided:
    calls: list[tuple[list[str], _Known, CallRecord]] = []
    for part in parts:
        columns = part.columns
        rows = zip(
            part.calls, columns["request_id"], columns["tenant_id"], columns["created_at"], strict=True
        )
        for record, request_id, tenant_id, created_at in rows:
            names = [
                request_id,
                tenant_request_id(tenant_id, request_id),
                repeated_request_id(tenant_id, request_id, created_at),
            ]
            calls.append((names, _Known(tenant_id, created_at, _rank(record)), record))
    known = _known(connection, [name for names, _call, _record in calls for name in names])
    decided = _Decided()
    for names, call, record in calls:
        _place(decided, known, names, call, record)
    return decided


def _place(
    decided: _Decided, known: dict[str, _Known], names: list[str], call: _Known, record: CallRecord
) -> None:
    """Under its own id, or under a derived one where another tenant or another call has that."""
    for name in names:
        there = known.get(name)
        if there is None:
            known[name] = call
            decided.new[name] = record if name == names[0] else _noting_id(record, names[0])
            return
        if there.tenant_id != call.tenant_id:
            continue
        if there.created_at != call.created_at:
            continue
        if call.rank > there.rank:
            known[name] = there._replace(rank=call.rank)
            if there.id is None:
                decided.new[name] = record if name == names[0] else _noting_id(record, names[0])
            else:
                decided.better[there.id] = record
        return


def _rank(record: CallRecord) -> int:
    """How much an end is worth: declared by others, by a forked copy, by whoever began it."""
    return _rank_of(record.error_code, record.response_metadata)


def _rank_of(error_code: str | None, metadata: Any) -> int:
    if error_code == FailureKind.INTERRUPTED:
        return 0
    return 1 if isinstance(metadata, Mapping) and metadata.get(COPIED) else 2


def _noting_id(record: CallRecord, original: str) -> CallRecord:
    return replace(record, request_metadata={**record.request_metadata, "request_id": original})


def _known(connection: Connection, names: Sequence[str]) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for some in _chunks(names):
        query = select(
            _LOGS.request_id,
            _LOGS.id,
            _LOGS.tenant_id,
            _LOGS.created_at,
            _LOGS.error_code,
            _LOGS.response_metadata,
        ).where(_LOGS.request_id.in_(some))
        for row in connection.execute(query):
            at = row.created_at.isoformat(" ", "microseconds") if row.created_at else ""
            rank = _rank_of(row.error_code, row.response_metadata)
            found[row.request_id] = _Known(row.tenant_id, at, rank, row.id)
    return found


def _put_right(connection: Connection, call_id: int, record: CallRecord, now: datetime) -> list[str]:
    """Give a call the end that it really had; the patterns that were counted for it before."""
    results = connection.execute(
        select(ERROR_RECOVERY.c.recovery_result).where(ERROR_RECOVERY.c.request_log_id == call_id)
    ).scalars()
    before = [pattern for result in results if (pattern := _pattern_of((result or {}).get("trigger")))]
    metadata = connection.execute(select(_LOGS.response_metadata).where(_LOGS.id == call_id)).scalar()
    if pattern := _pattern_of(metadata):
        before.append(pattern)
    connection.execute(delete(ERROR_RECOVERY).where(ERROR_RECOVERY.c.request_log_id == call_id))
    if record.prompt is not None or record.answer is not None:
        connection.execute(delete(CONTENTS).where(CONTENTS.c.request_log_id == call_id))
    columns = call_columns([record], now)
    values = {name: column[0] for name, column in columns.items() if name not in _KEPT}
    loading.overwrite(connection, REQUEST_LOGS.name, values, call_id)
    return before


def _pattern_of(details: Any) -> str | None:
    pattern = details.get("pattern") if isinstance(details, Mapping) else None
    return pattern if isinstance(pattern, str) else None


def _chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(names), _MAX_VARIABLES):
        yield names[start : start + _MAX_VARIABLES]
