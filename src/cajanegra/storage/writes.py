"""Writes batches of finished calls: one transaction each, and the same batch twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Update, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from cajanegra.domain.record import Batch, CallRecord, FeedbackRecord, Occurrence
from cajanegra.errors import RejectedError, SchemaError, StorageError
from cajanegra.storage import copying, migrate
from cajanegra.storage.database import Database, storage_error
from cajanegra.storage.fitting import fit_identity, fit_request_id, fitter
from cajanegra.storage.rows import (
    Row,
    call_row,
    content_row,
    pattern_key,
    pattern_row,
    step_row,
    tenant_request_id,
    with_own_id,
)
from cajanegra.storage.tables import CONTENTS, ERROR_ANALYSIS, ERROR_RECOVERY, REQUEST_LOGS

_MAX_VARIABLES = 500
"""Values in one ``IN``; SQLite of old allows 999 in a statement."""


@dataclass(slots=True)
class _Tally:
    """What a batch adds to one pattern."""

    first: Occurrence
    count: int
    last: datetime


class Store:
    """A ``ports.CallStore`` on PostgreSQL or SQLite.

    Calls are inserted where their ``request_id`` is new; only those that were bring their steps, contents and
    pattern counts along, so that a batch may be written again after a crash.
    """

    def __init__(self, db: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._db = db
        self._clock = clock
        self._ready = False

    def write(self, batch: Batch) -> int:
        """Write a batch; see ``ports.CallStore.write``."""
        try:
            if not self._ready:
                migrate.ensure_sqlite(self._db)
                self._ready = True
            with self._db.transaction() as connection:
                new = self._write_calls(connection, batch.calls)
                _write_feedback(connection, batch.feedback)
        except SQLAlchemyError as error:
            raise _explained(self._db, error) from None
        return new

    def close(self) -> None:
        """Give back every connection."""
        self._db.close()

    def _write_calls(self, connection: Connection, records: Sequence[CallRecord]) -> int:
        now = self._clock()
        by_row = [(call_row(record, now), record) for record in records]
        ids = _insert_new(connection, [row for row, _record in by_row])
        again = [
            (with_own_id(row), record)
            for (row, record), taken in zip(by_row, _taken_by_others(connection, by_row, ids), strict=True)
            if taken
        ]
        own = _insert_new(connection, [row for row, _record in again])
        written = _matched(by_row, ids) + _matched(again, own)
        _write_parts(connection, written)
        _count_patterns(connection, [record for record, _id in written], now)
        return len(written)


def _insert_new(connection: Connection, rows: list[Row]) -> dict[str, int]:
    """Insert the rows whose ``request_id`` is new; the ids of those by ``request_id``."""
    unique = list({row["request_id"]: row for row in reversed(rows)}.values())[::-1]
    if not unique:
        return {}
    if connection.dialect.name == "postgresql":
        return copying.insert_new(connection, unique)
    before = connection.execute(select(func.coalesce(func.max(REQUEST_LOGS.c.id), 0))).scalar_one()
    statement = sqlite.insert(REQUEST_LOGS).on_conflict_do_nothing(index_elements=["request_id"])
    connection.execute(statement, unique)
    # The write lock is ours until the end of the transaction: every greater id is one of these rows.
    found = connection.execute(
        select(REQUEST_LOGS.c.request_id, REQUEST_LOGS.c.id).where(REQUEST_LOGS.c.id > before)
    )
    return {row.request_id: row.id for row in found}


def _taken_by_others(
    connection: Connection, by_row: list[tuple[Row, CallRecord]], ids: dict[str, int]
) -> list[bool]:
    """For each row, whether its ``request_id`` belongs to a call of another tenant."""
    rows = [row for row, _record in by_row]
    owners = {row["request_id"]: row["tenant_id"] for row in reversed(rows) if row["request_id"] in ids}
    unknown = [row["request_id"] for row in rows if row["request_id"] not in ids]
    for start in range(0, len(unknown), _MAX_VARIABLES):
        part = unknown[start : start + _MAX_VARIABLES]
        query = select(REQUEST_LOGS.c.request_id, REQUEST_LOGS.c.tenant_id).where(
            REQUEST_LOGS.c.request_id.in_(part)
        )
        owners |= {row.request_id: row.tenant_id for row in connection.execute(query)}
    return [owners.get(row["request_id"], row["tenant_id"]) != row["tenant_id"] for row in rows]


def _matched(by_row: list[tuple[Row, CallRecord]], ids: dict[str, int]) -> list[tuple[CallRecord, int]]:
    """The records that were inserted, with their ids; of several with one ``request_id`` the first."""
    found: dict[int, CallRecord] = {}
    for row, record in by_row:
        if (row_id := ids.get(row["request_id"])) is not None:
            found.setdefault(row_id, record)
    return [(record, row_id) for row_id, record in found.items()]


def _write_parts(connection: Connection, written: list[tuple[CallRecord, int]]) -> None:
    steps = [step_row(step, row_id) for record, row_id in written for step in record.steps]
    if steps:
        connection.execute(insert(ERROR_RECOVERY), steps)
    contents = [row for record, row_id in written if (row := content_row(record, row_id))]
    if contents:
        connection.execute(insert(CONTENTS), contents)


def _count_patterns(connection: Connection, records: Iterable[CallRecord], now: datetime) -> None:
    tallies: dict[str, _Tally] = {}
    for record in records:
        for occurrence in record.occurrences:
            tally = tallies.setdefault(pattern_key(occurrence), _Tally(occurrence, 0, occurrence.at))
            tally.count += 1
            tally.last = max(tally.last, occurrence.at)
    # Always in the same order, so that two writers cannot wait for each other.
    in_order = [tallies[name] for name in sorted(tallies)]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(ERROR_ANALYSIS)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["error_pattern"],
        set_={
            "occurrence_count": func.coalesce(ERROR_ANALYSIS.c.occurrence_count, 0) + new.occurrence_count,
            "last_occurred": _later(connection, ERROR_ANALYSIS.c.last_occurred, new.last_occurred),
            "updated_at": new.updated_at,
        },
    )
    for tally in in_order:
        connection.execute(statement, pattern_row(tally.first, tally.count, tally.last, now))


def _later(connection: Connection, old: Any, new: Any) -> Any:
    """The later of two times, of which the first may be NULL."""
    greatest = func.greatest if connection.dialect.name == "postgresql" else func.max
    return greatest(func.coalesce(old, new), new)


def _write_feedback(connection: Connection, feedback: Sequence[FeedbackRecord]) -> None:
    if not feedback:
        return
    for record in feedback:
        connection.execute(_feedback_update(record))


def _feedback_update(record: FeedbackRecord) -> Update:
    """Found by tenant and original id; without a tenant only by the very id that is stored."""
    tenant_id, request_id = fit_identity(record.tenant_id), fit_request_id(record.request_id)
    logs = REQUEST_LOGS.c
    statement = update(REQUEST_LOGS).where(logs.request_id == request_id)
    if tenant_id is not None:
        names = [request_id, tenant_request_id(tenant_id, request_id)]
        statement = update(REQUEST_LOGS).where(logs.tenant_id == tenant_id, logs.request_id.in_(names))
    values = {"user_feedback": record.user_feedback, "updated_at": record.at}
    if record.correction_applied is not None:
        values["correction_applied"] = record.correction_applied
    return statement.values({name: fitter(logs[name])(value) for name, value in values.items()})


def _explained(db: Database, error: SQLAlchemyError) -> StorageError:
    known = storage_error(db, error)
    if isinstance(known, SchemaError) or not isinstance(error, DBAPIError):
        return known
    return RejectedError(str(known)) if _is_about_the_data(error) else known


def _is_about_the_data(error: DBAPIError) -> bool:
    """Whether other rows could be written now: not so without privileges or on a standby."""
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(error, DataError | IntegrityError):
        return True
    if isinstance(error, ProgrammingError):
        return state is None  # the driver has no way to send the value
    return state is not None and state.startswith(_LIMIT_EXCEEDED)


_LIMIT_EXCEEDED = "54"
"""PostgreSQL's class of codes for values beyond its own limits, such as the length of a string in JSONB."""
