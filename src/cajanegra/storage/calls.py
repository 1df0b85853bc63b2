"""Inserts calls, and decides about those whose ``request_id`` is there already."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, case, delete, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from cajanegra.domain.failure import FailureKind
from cajanegra.domain.record import COPIED, CallRecord, FeedbackRecord
from cajanegra.errors import StorageError
from cajanegra.storage import loading, partitions, recent
from cajanegra.storage.counted import CountedCalls
from cajanegra.storage.fitting import fit_identity, fit_time, stored_request_id
from cajanegra.storage.fitting_columns import Values
from cajanegra.storage.met import Met, met_before
from cajanegra.storage.rollups import deltas
from cajanegra.storage.rollups.deltas import Counted
from cajanegra.storage.rows import (
    CALL_COLUMNS,
    GIVEN_ID,
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
    load: loading.Load
    fuller: Sequence[WrittenCall]
    """The calls to which rows of other tables belong."""
    counted: Counted
    """What is counted of the calls."""

    @classmethod
    def of(cls, calls: Sequence[CallRecord], now: datetime, dialect: str) -> CallRows:
        """The rows of calls, for a kind of database."""
        columns = call_columns(calls, now)
        return cls(
            calls,
            columns,
            loading.prepare(dialect, REQUEST_LOGS.name, CALL_COLUMNS, list(columns.values())),
            _fuller(calls, columns),
            deltas.counted(columns, calls),
        )


NO_ROWS = loading.Load(0)
NO_CALLS = CallRows((), {}, NO_ROWS, (), ((), CountedCalls()))


class RepeatedError(Exception):
    """A call is in the database already."""


class WrittenCall(NamedTuple):
    """A call that is in the database now.

    Attributes:
        record: the call.
        id: of its row; 0 where nothing asked for it yet.
        name: the ``request_id`` of its row.
        at: the ``created_at`` of its row, as text.
    """

    record: CallRecord
    id: int
    name: str
    at: str


@dataclass(slots=True)
class Written:
    """What became of the calls of a batch.

    Attributes:
        new: calls that the database has now and had not before.
        fuller: those that are new, or whose end has been put right, and to which rows of other tables belong.
        replaced: by id, the failures that were counted for a call whose end has been put right.
        is_partitioned: whether the table is.
        to_count: what is counted of the calls, those taken out included that are not what they were.
    """

    is_partitioned: bool = False
    new: int = 0
    fuller: list[WrittenCall] = field(default_factory=list)
    replaced: dict[int, list[Met]] = field(default_factory=dict)
    to_count: loading.Load = NO_ROWS


class _Known(NamedTuple):
    """A call that is in the database, or goes there in this batch."""

    tenant_id: str | None
    created_at: str
    rank: int
    id: int | None = None
    is_dated: bool = True
    """Whether it is known when the call began; else ``created_at`` is when it was written."""


@dataclass(slots=True)
class _Decided:
    """Calls that are to be inserted, by their ``request_id``, and those that put an earlier end right."""

    new: dict[str, CallRecord] = field(default_factory=dict)
    better: dict[int, CallRecord] = field(default_factory=dict)


def insert_new(
    connection: Connection, parts: Iterable[CallRows], now: datetime, *, was_partitioned: bool = False
) -> Written:
    """Insert calls, as they come, that are all taken for new.

    Args:
        connection: in a transaction.
        parts: the calls.
        now: the time that it is, aware.
        was_partitioned: whether the table was when it was written to last; what this then needs besides is
            made while the database has the rows.

    Raises:
        SQLAlchemyError: what the database says.
        RepeatedError: one of them is there already; the transaction is to be rolled back.
        MissingDayError: there is no partition for one of them; the same.
    """
    written = Written()
    fuller: list[WrittenCall] = []
    names: list[Values] = []
    notes: list[loading.Load] = []
    counted: list[Counted] = []

    def note_ids() -> None:
        notes.extend(recent.prepare(some, now) for some in names[len(notes) :])

    def loads() -> Iterator[loading.Load]:
        for part in parts:
            if part.calls:
                written.new += len(part.calls)
                fuller.extend(part.fuller)
                names.append(part.columns["request_id"])
                counted.append(part.counted)
                yield part.load
        # The database still has some of the rows before it.
        written.to_count = deltas.prepare(counted, connection.dialect.name)
        if was_partitioned:
            note_ids()

    try:
        inserted = _load(connection, loads())
        # Asked when the rows are in: now nobody can convert the table before they are seen.
        written.is_partitioned = partitions.is_partitioned(connection)
        if written.is_partitioned:
            note_ids()
            recent.note(connection, notes)
    except IntegrityError as error:
        if not loading.is_duplicate(error):
            raise
        raise RepeatedError from None
    if inserted < written.new:
        raise RepeatedError
    written.fuller = _with_ids(connection, fuller, written)
    return written


def insert_unknown(connection: Connection, parts: Sequence[CallRows], now: datetime) -> Written:
    """Insert those calls that are not there, and put right those that were declared interrupted.

    Raises:
        SQLAlchemyError: what the database says.
        StorageError: another writer has inserted the same call at the same time; the next try finds it.
        MissingDayError: there is no partition for one of them; the transaction is to be rolled back.
    """
    is_partitioned = partitions.is_partitioned(connection, to_insert=True)
    if is_partitioned:  # before it is read what there is, so that nobody inserts the same meanwhile
        recent.claim(connection, (name for part in parts for name in part.columns["request_id"]), now)
    decided = _decide(connection, parts, now if is_partitioned else None)
    written = Written(is_partitioned, len(decided.new))
    found: list[Counted] = []
    if decided.new:
        renamed = sorted(decided.new.items())  # in one order, so that two writers do not wait for each other
        columns = call_columns([record for _name, record in renamed], now)
        columns["request_id"] = [name for name, _record in renamed]
        try:
            _load(
                connection,
                [
                    loading.prepare(
                        connection.dialect.name, REQUEST_LOGS.name, CALL_COLUMNS, list(columns.values())
                    )
                ],
            )
        except IntegrityError as error:
            if not loading.is_duplicate(error):
                raise
            raise StorageError("the same call was written by somebody else at the same time") from None
        found.append(deltas.counted(columns, [record for _name, record in renamed]))
        fuller = _fuller([record for _name, record in renamed], columns)
        written.fuller += _with_ids(connection, fuller, written)
    for call_id, record in sorted(decided.better.items(), key=lambda better: better[0]):
        written.replaced[call_id], changed = _put_right(connection, call_id, record, now)
        found += changed
        if _is_fuller(record):
            written.fuller.append(WrittenCall(record, call_id, record.request_id, ""))
    written.to_count = deltas.prepare(found, connection.dialect.name)
    return written


def count_known(connection: Connection, rows: CallRows, now: datetime) -> int:
    """How many of the calls would change nothing if they were written: they are known, or come twice."""
    decided = _decide(connection, [rows], now if partitions.is_partitioned(connection) else None)
    return len(rows.calls) - len(decided.new) - len(decided.better)


def give_feedback(connection: Connection, feedback: Iterable[FeedbackRecord]) -> list[FeedbackRecord]:
    """Write what people said to their calls; returns what belongs to calls that are not there yet."""
    in_order = sorted(feedback, key=lambda record: record.request_id)  # as all writers do
    return [record for record in in_order if not give(connection, record)]


def give(connection: Connection, record: FeedbackRecord) -> bool:
    """Whether the feedback's call is there and has it now.

    It is found by tenant and original id; without a tenant only by the very id that is stored.
    """
    tenant_id, request_id = fit_identity(record.tenant_id), stored_request_id(record.request_id)
    statement = update(REQUEST_LOGS).where(_LOGS.request_id == request_id)
    if tenant_id is not None:
        names = [request_id, tenant_request_id(tenant_id, request_id)]
        statement = update(REQUEST_LOGS).where(_LOGS.tenant_id == tenant_id, _LOGS.request_id.in_(names))
    values = feedback_values(record)
    # What was said later may come earlier: from another process, or another host.
    newer = _LOGS.user_feedback.is_not(None) & (_LOGS.updated_at > values["updated_at"])
    said = {name: case((newer, _LOGS[name]), else_=value) for name, value in values.items()}
    return connection.execute(statement.values(said)).rowcount > 0


def _is_fuller(record: CallRecord) -> bool:
    return bool(record.occurrences) or _needs_id(record)


def _needs_id(record: CallRecord) -> bool:
    return bool(record.steps) or record.prompt is not None or record.answer is not None


def _fuller(calls: Sequence[CallRecord], columns: Mapping[str, Values]) -> list[WrittenCall]:
    return [
        WrittenCall(call, 0, name, at)
        for call, name, at in zip(calls, columns["request_id"], columns["created_at"], strict=True)
        if _is_fuller(call)
    ]


def _load(connection: Connection, loads: Iterable[loading.Load]) -> int:
    try:
        return loading.load(connection, REQUEST_LOGS.name, CALL_COLUMNS, loads)
    except DBAPIError as error:
        if partitions.is_missing_day(error):
            raise partitions.MissingDayError from None
        raise


def _with_ids(connection: Connection, fuller: Sequence[WrittenCall], written: Written) -> list[WrittenCall]:
    """The calls, with their ids where rows need them at once."""
    ids = ids_of(connection, [call for call in fuller if _needs_id(call.record)], written)
    return [call._replace(id=ids.get(call.name, 0)) for call in fuller]


def ids_of(connection: Connection, calls: Sequence[WrittenCall], written: Written) -> dict[str, int]:
    """The ids of calls that have just been inserted, by their ``request_id``."""
    found: dict[str, int] = {}
    if not calls:
        return found
    times = [call.at for call in calls]
    # Their days alone are looked into. In plain storage the time would lead the planner to another index.
    within = (
        [_LOGS.created_at.between(_time(min(times)), _time(max(times)))] if written.is_partitioned else []
    )
    for some in _chunks([*{call.name for call in calls}]):
        query = select(_LOGS.request_id, _LOGS.id).where(_LOGS.request_id.in_(some), *within)
        found |= {row.request_id: row.id for row in connection.execute(query.order_by(_LOGS.id))}
    return found


def _time(at: str) -> datetime:
    return datetime.fromisoformat(at)


def _decide(connection: Connection, parts: Sequence[CallRows], partitioned_at: datetime | None) -> _Decided:
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
            dated = not math.isnan(record.created_at)
            calls.append((names, _Known(tenant_id, created_at, _rank(record), is_dated=dated), record))
    times = [call.created_at for _names, call, _record in calls]
    within = [] if partitioned_at is None or not times else [_lately(times, partitioned_at)]
    known = _known(connection, [name for names, _call, _record in calls for name in names], within)
    decided = _Decided()
    for names, call, record in calls:
        _place(decided, known, names, call, record)
    return decided


def _place(
    decided: _Decided, known: dict[str, _Known], names: list[str], call: _Known, record: CallRecord
) -> None:
    """Under its own id, or under a derived one where another tenant or another call has that."""
    own, of_tenant, repeated = names
    theirs = [name for name in (own, of_tenant) if name in known and known[name].tenant_id == call.tenant_id]
    if not theirs:
        name = of_tenant if own in known else own
    else:
        same = not call.is_dated or known[theirs[0]].created_at == call.created_at
        name = theirs[0] if same else repeated
    there = known.get(name)
    noted = record if name == own else _noting_id(record, own)
    if there is None:
        known[name] = call
        decided.new[name] = noted
    elif call.rank > there.rank:
        known[name] = there._replace(rank=call.rank)
        if there.id is None:
            decided.new[name] = noted
        else:
            decided.better[there.id] = noted


def _rank(record: CallRecord) -> int:
    """How much an end is worth: declared by others, by a forked copy, by whoever began it."""
    return _rank_of(record.error_code, record.response_metadata)


def _rank_of(error_code: str | None, metadata: Any) -> int:
    if error_code == FailureKind.INTERRUPTED:
        return 0
    return 1 if isinstance(metadata, Mapping) and metadata.get(COPIED) else 2


def _noting_id(record: CallRecord, original: str) -> CallRecord:
    metadata = dict(record.request_metadata)
    claimed = metadata.pop(GIVEN_ID, original)
    if claimed != original:  # the application's own key, which is not to vanish where we need it
        noted = metadata.get("changed")
        metadata["changed"] = {GIVEN_ID: claimed, **(noted if isinstance(noted, dict) else {})}
    return replace(record, request_metadata={**metadata, GIVEN_ID: original})


def _lately(times: Sequence[str], now: datetime) -> ColumnElement[bool]:
    """In partitioned storage: the days of the last while and those of the calls themselves."""
    at = _LOGS.created_at
    return or_(at >= fit_time(now - recent.KEPT), at.between(_time(min(times)), _time(max(times))))


def _known(
    connection: Connection, names: Sequence[str], within: Sequence[ColumnElement[bool]]
) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for some in _chunks(names):
        query = select(
            _LOGS.request_id,
            _LOGS.id,
            _LOGS.tenant_id,
            _LOGS.created_at,
            _LOGS.error_code,
            _LOGS.response_metadata,
        ).where(_LOGS.request_id.in_(some), *within)
        for row in connection.execute(query.order_by(_LOGS.id)):
            at = row.created_at.isoformat(" ", "microseconds") if row.created_at else ""
            rank = _rank_of(row.error_code, row.response_metadata)
            found[row.request_id] = _Known(row.tenant_id, at, rank, row.id)
    return found


def _put_right(
    connection: Connection, call_id: int, record: CallRecord, now: datetime
) -> tuple[list[Met], list[Counted]]:
    """Give a call the end that it really had.

    Returns:
        The failures that were counted for it before, and what is to be counted otherwise.
    """
    steps = select(ERROR_RECOVERY).where(ERROR_RECOVERY.c.request_log_id == call_id)
    done = [
        dict(step) for step in connection.execute(steps.order_by(ERROR_RECOVERY.c.step_number)).mappings()
    ]
    call = dict(connection.execute(select(REQUEST_LOGS).where(_LOGS.id == call_id)).mappings().one())
    before = met_before(call, done)
    connection.execute(delete(ERROR_RECOVERY).where(ERROR_RECOVERY.c.request_log_id == call_id))
    if record.prompt is not None or record.answer is not None:
        connection.execute(delete(CONTENTS).where(CONTENTS.c.request_log_id == call_id))
    columns = call_columns([record], now)
    values = {name: column[0] for name, column in columns.items() if name not in _KEPT}
    loading.overwrite(connection, REQUEST_LOGS.name, values, call_id)
    return before, deltas.replaced(call, done, columns, record)


def _chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(names), _MAX_VARIABLES):
        yield names[start : start + _MAX_VARIABLES]
