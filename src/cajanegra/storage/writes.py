"""Writes records: a batch is one transaction, and the same batch twice changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, inspect, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from cajanegra.domain.record import Batch, CallRecord, ContentRecord, FeedbackRecord
from cajanegra.errors import RejectedError, SchemaError, StorageError
from cajanegra.ports import Prepared
from cajanegra.storage import calls, loading, migrate, waiting
from cajanegra.storage.contents import write_contents
from cajanegra.storage.counting import count_patterns
from cajanegra.storage.database import Database, storage_error
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.rows import (
    CONTENT_COLUMNS,
    STEP_COLUMNS,
    call_columns,
    content_columns,
    step_columns,
)
from cajanegra.storage.tables import CONTENTS, ERROR_RECOVERY, REQUEST_LOGS, TRACKS, WAITING

logger = logging.getLogger("cajanegra")

_LONGEST_TRACK = timedelta(days=90)
"""After which a track that has not moved is taken for one whose process died before it could end it."""


class Store:
    """A ``ports.CallStore`` on PostgreSQL or SQLite.

    What was written of a track is known by the track's position in ``cajanegra_tracks``, which moves in the
    transaction that writes. Where that table is missing (a database that has the guide's three tables alone),
    a call that is there already is known by its ``request_id``.
    """

    def __init__(self, db: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._db = db
        self._clock = clock
        self._has_tracks: bool | None = None
        self._waiting = waiting.WaitingRoom(clock)

    def prepare(self, batch: Batch) -> Prepared:
        """See ``ports.CallStore.prepare``."""
        if not batch.calls:
            return Prepared(batch, calls.NO_CALLS)
        columns = call_columns(batch.calls, self._clock())
        text = loading.copy_text(list(columns.values())) if self._db.dialect == "postgresql" else b""
        return Prepared(batch, calls.CallRows(batch.calls, columns, text))

    def write(self, parts: Iterable[Prepared], track: str = "") -> int:
        """See ``ports.CallStore.write``."""
        try:
            if self._has_tracks is None:
                self._has_tracks = self._make_ready()
            track = track if self._has_tracks else ""
            with self._db.transaction() as connection:
                return self._write(connection, parts, track)
        except SQLAlchemyError as error:
            raise _explained(self._db, error) from None

    def forget(self, track: str) -> None:
        """See ``ports.CallStore.forget``."""
        if not self._has_tracks or not track:
            return
        try:
            with self._db.transaction() as connection:
                old = TRACKS.c.updated_at < fit_time(self._clock() - _LONGEST_TRACK)
                connection.execute(TRACKS.delete().where((TRACKS.c.track == track) | old))
        except SQLAlchemyError as error:
            raise _explained(self._db, error) from None

    def close(self) -> None:
        """Give back every connection."""
        self._db.close()

    def _make_ready(self) -> bool:
        migrate.ensure_sqlite(self._db)
        with self._db.engine.connect() as connection:
            names = inspect(connection).get_table_names()
        found = TRACKS.name in names and WAITING.name in names
        if not found and REQUEST_LOGS.name in names:
            logger.warning(
                "%s has not all of cajanegra's tables: feedback that comes before its call is lost, and a "
                "call is known by its request_id alone; 'cajanegra db upgrade' adds them",
                self._db.label,
            )
        return found or REQUEST_LOGS.name not in names

    def _unwritten(self, parts: Iterable[Prepared], done: int) -> Iterator[Prepared]:
        """What stands behind a position."""
        for part in parts:
            rest = part.batch.after(done) if done else part.batch
            if len(rest) == len(part.batch):
                yield part
            elif len(rest):
                yield self.prepare(rest)

    def _write(self, connection: Connection, coming: Iterable[Prepared], track: str) -> int:
        now = self._clock()
        parts: list[Prepared] = []
        written = calls.insert(
            connection, _rows(self._unwritten(coming, _done(connection, track)), parts), now
        )
        if not parts:
            return 0
        _write_parts(connection, written.records, now)
        contents = [record for part in parts for record in part.batch.contents]
        feedback = [record for part in parts for record in part.batch.feedback]
        early: list[FeedbackRecord | ContentRecord] = []
        early += write_contents(connection, contents)
        early += calls.give_feedback(connection, feedback)
        if self._has_tracks:
            self._waiting.let_in(connection, early)
            self._waiting.let_out(connection, [record for record, _id in written.records])
        count_patterns(connection, written.records, written.replaced, now)
        if track:
            _move(connection, track, max(part.batch.position for part in parts), now)
        return len(written.records) - len(written.replaced)


def _done(connection: Connection, track: str) -> int:
    """The position up to which the database has the track, which stays locked; 0 for an unknown one."""
    if not track:
        return 0
    query = select(TRACKS.c.position).where(TRACKS.c.track == track).with_for_update()
    return connection.execute(query).scalar() or 0


def _rows(coming: Iterator[Prepared], parts: list[Prepared]) -> Iterator[calls.CallRows]:
    """The rows of the parts; each part is noted when it is taken."""
    for part in coming:
        parts.append(part)
        yield part.rows


def _write_parts(connection: Connection, written: Sequence[tuple[CallRecord, int]], now: datetime) -> None:
    steps = [(call_id, step) for record, call_id in written for step in record.steps]
    contents = [
        (call_id, record)
        for record, call_id in written
        if record.prompt is not None or record.answer is not None
    ]
    for table, names, columns in (
        (ERROR_RECOVERY, STEP_COLUMNS, step_columns(steps) if steps else None),
        (CONTENTS, CONTENT_COLUMNS, content_columns(contents, now) if contents else None),
    ):
        if columns is not None:
            loading.load(connection, table.name, names, columns)


def _move(connection: Connection, track: str, position: int, now: datetime) -> None:
    values = {"position": position, "updated_at": fit_time(now)}
    moved = connection.execute(update(TRACKS).where(TRACKS.c.track == track).values(values))
    if not moved.rowcount:
        connection.execute(insert(TRACKS).values(track=track, **values))


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
    return state is not None and state.startswith(_ABOUT_THE_DATA)


_ABOUT_THE_DATA = ("54", "P0", "44")
"""PostgreSQL's classes of codes for values beyond its limits (such as the length of a string in JSONB), for
what a trigger of the host's raises, and for rows that a view does not admit."""
