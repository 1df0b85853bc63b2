"""Writes records: a batch is one transaction, and the same batch twice changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, insert, inspect, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from cajanegra.domain.record import Batch, CallRecord, ContentRecord, FeedbackRecord
from cajanegra.errors import RejectedError, SchemaError, StorageError
from cajanegra.ports import GiveWay, Prepared
from cajanegra.storage import calls, loading, migrate, partitions, waiting
from cajanegra.storage.contents import write_contents
from cajanegra.storage.counting import PATTERN_TABLES, count_patterns
from cajanegra.storage.database import Database, reading, storage_error
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.rollups import deltas
from cajanegra.storage.rollups import state as rollup_state
from cajanegra.storage.rollups.folding import Folding
from cajanegra.storage.rows import (
    CONTENT_COLUMNS,
    STEP_COLUMNS,
    content_columns,
    step_columns,
)
from cajanegra.storage.tables import CONTENTS, ERROR_RECOVERY, PATTERNS, REQUEST_LOGS, TRACKS, WAITING

logger = logging.getLogger("cajanegra")

_WITHOUT_TRACKS = "feedback that comes before its call is lost, a call is known by its request_id alone"
_WITHOUT_PATTERNS = "of error patterns nothing but the total is counted"
_WITHOUT_ROLLUPS = "statistics look at every call"
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
        self._positions: dict[str, int] = {}
        """Up to where the database has the tracks that were written to last."""
        self._has_patterns = False
        self._has_rollups = False
        self._was_partitioned = False
        self._folding = Folding(db, clock)
        self._waiting = waiting.WaitingRoom(clock)

    def prepare(self, batch: Batch) -> Prepared:
        """See ``ports.CallStore.prepare``."""
        if not batch.calls:
            return Prepared(batch, calls.NO_CALLS)
        return Prepared(batch, calls.CallRows.of(batch.calls, self._clock(), self._db.dialect))

    def write(self, parts: Iterable[Prepared], track: str = "") -> int:
        """See ``ports.CallStore.write``."""
        try:
            if self._has_tracks is None:
                self._has_tracks = self._make_ready()
            track = track if self._has_tracks else ""
            new = self._write_somehow(_Coming(parts), track)
        except SQLAlchemyError as error:
            raise _explained(self._db, error) from None
        if self._has_rollups:
            self._folding.noted()
        return new

    def catch_up(self, give_way: GiveWay) -> None:
        """See ``ports.CallStore.catch_up``."""
        self._folding.run_if_due(give_way)

    def count_known(self, records: Sequence[CallRecord]) -> int:
        """How many of the calls would change nothing if they were written.

        Raises:
            StorageError: the database cannot be read.
        """
        if not records:
            return 0
        rows = calls.CallRows.of(records, self._clock(), self._db.dialect)
        with reading(self._db) as connection:
            return calls.count_known(connection, rows, self._clock())

    def forget(self, track: str) -> None:
        """See ``ports.CallStore.forget``."""
        self._positions.pop(track, None)
        if not self._has_tracks or not track:
            return
        try:
            with self._db.transaction() as connection:
                old = TRACKS.c.updated_at < fit_time(self._clock() - _LONGEST_TRACK)
                connection.execute(TRACKS.delete().where((TRACKS.c.track == track) | old))
        except SQLAlchemyError as error:
            raise _explained(self._db, error) from None

    def close(self) -> None:
        """Count what is left to be counted, and give back every connection."""
        self._folding.run()
        self._db.close()

    def _make_ready(self) -> bool:
        migrate.ensure_sqlite(self._db)
        with self._db.engine.connect() as connection:
            names = inspect(connection).get_table_names()
            patterns = all(table.name in names for table in PATTERN_TABLES) and self._db.has_column(
                connection, PATTERNS.c.resolved_before
            )
        is_new = REQUEST_LOGS.name not in names  # then nothing can be written, and it is asked again
        tracks = TRACKS.name in names and WAITING.name in names
        self._has_patterns = is_new or patterns
        self._has_rollups = all(table.name in names for table in rollup_state.TABLES)
        missing = {
            _WITHOUT_TRACKS: tracks,
            _WITHOUT_PATTERNS: self._has_patterns,
            _WITHOUT_ROLLUPS: self._has_rollups,
        }
        if lost := [what for what, found in missing.items() if not found and not is_new]:
            logger.warning(
                "%s has not all of cajanegra's tables: %s; 'cajanegra db upgrade' adds them",
                self._db.label,
                ", and ".join(lost),
            )
        if self._has_rollups:
            with self._db.transaction() as connection:
                rollup_state.begin(connection, self._clock())
        return tracks or is_new

    def _unwritten(self, parts: Iterable[Prepared], done: int) -> Iterator[Prepared]:
        """What stands behind a position."""
        for part in parts:
            rest = part.batch.after(done) if done else part.batch
            if len(rest) == len(part.batch):
                yield part
            elif len(rest):
                yield self.prepare(rest)

    def _write_somehow(self, coming: _Coming, track: str) -> int:
        """Write in as many tries as it takes: each knows more of the calls, or finds more partitions."""
        are_new, made = True, set[date]()
        while True:
            try:
                return self._write(coming.from_the_first(), track, are_new=are_new)
            except calls.RepeatedError:
                are_new = False
            except partitions.MissingDayError:
                days = partitions.days_of(coming.times()).union(partitions.ahead(self._clock()))
                if days <= made:
                    raise StorageError("a partition that was just made is gone again") from None
                partitions.make_days(self._db, days)
                made |= days

    def _write(self, coming: Iterable[Prepared], track: str, *, are_new: bool = True) -> int:
        now = self._clock()
        parts: list[Prepared] = []
        # Forgotten until it is known again what the database has.
        done = self._positions.pop(track, None) if track else 0
        with self._db.transaction() as connection:
            if done is None:
                done = _position(connection, track)
            rows = (part.rows for part in _noting(self._unwritten(coming, done), parts))
            written = (
                calls.insert_new(connection, rows, now, was_partitioned=self._was_partitioned)
                if are_new
                else calls.insert_unknown(connection, [*rows], now)
            )
            if not parts:
                return 0
            self._was_partitioned = written.is_partitioned
            self._write_more(connection, parts, written, now)
            position = max(part.position for part in parts)
            if track:
                _move(connection, track, done, position, now)
        if track:
            self._positions[track] = position
        return written.new

    def _write_more(
        self, connection: Connection, parts: Sequence[Prepared], written: calls.Written, now: datetime
    ) -> None:
        """What belongs to the calls, or comes beside them."""
        _write_parts(connection, written.fuller, now)
        if self._has_rollups:
            deltas.leave(connection, written.to_count)
        contents = [record for part in parts for record in part.batch.contents]
        feedback = [record for part in parts for record in part.batch.feedback]
        early: list[FeedbackRecord | ContentRecord] = []
        early += write_contents(connection, contents)
        early += calls.give_feedback(connection, feedback)
        if self._has_tracks:
            self._waiting.let_in(connection, early)
            self._waiting.let_out(connection, (record for part in parts for record in part.batch.calls))
        count_patterns(connection, written, now, in_full=self._has_patterns)


class _Coming:
    """Parts as they come; a further try begins with those that were taken before."""

    def __init__(self, parts: Iterable[Prepared]) -> None:
        self._coming = iter(parts)
        self._taken: list[Prepared] = []

    def from_the_first(self) -> Iterator[Prepared]:
        """All parts."""
        yield from tuple(self._taken)
        yield from _noting(self._coming, self._taken)

    def times(self) -> Iterator[str]:
        """When the calls of the parts that were taken were begun, as the table has it."""
        for part in self._taken:
            yield from part.rows.columns.get("created_at", ())


def _noting(coming: Iterable[Prepared], taken: list[Prepared]) -> Iterator[Prepared]:
    """The parts; each is noted when it is taken."""
    for part in coming:
        taken.append(part)
        yield part


def _write_parts(connection: Connection, written: Sequence[calls.WrittenCall], now: datetime) -> None:
    steps = [(call.id, step) for call in written for step in call.record.steps]
    contents = [
        (call.id, call.record)
        for call in written
        if call.record.prompt is not None or call.record.answer is not None
    ]
    for table, names, columns in (
        (ERROR_RECOVERY, STEP_COLUMNS, step_columns(steps) if steps else None),
        (CONTENTS, CONTENT_COLUMNS, content_columns(contents, now) if contents else None),
    ):
        if columns is not None:
            loading.load_columns(connection, table.name, names, columns)


def _position(connection: Connection, track: str) -> int:
    """The position up to which the database has the track; 0 for an unknown one."""
    return connection.execute(select(TRACKS.c.position).where(TRACKS.c.track == track)).scalar() or 0


def _move(connection: Connection, track: str, before: int, position: int, now: datetime) -> None:
    """Note how far the track is written.

    Raises:
        StorageError: it is not at ``before`` any more: somebody else has written these records.
    """
    values = {"position": position, "updated_at": fit_time(now)}
    if not before:
        try:
            connection.execute(insert(TRACKS).values(track=track, **values))
        except IntegrityError:
            raise StorageError(_MOVED) from None
        return
    here = (TRACKS.c.track == track) & (TRACKS.c.position == before)
    if not connection.execute(update(TRACKS).where(here).values(values)).rowcount:
        raise StorageError(_MOVED)


_MOVED = "the same part of the spool was written by somebody else at the same time"


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
