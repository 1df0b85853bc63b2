"""Deletes what is older than anybody wants to keep, in small steps that hold nobody up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.storage import partitions, recent
from cajanegra.storage.database import Database, reading, storage_error, writing
from cajanegra.storage.filters import of_scope
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.holds import is_free
from cajanegra.storage.keeping import Policy
from cajanegra.storage.partitions import Partition
from cajanegra.storage.pattern_retention import count_surplus, delete_surplus
from cajanegra.storage.rollups.state import note_deleted
from cajanegra.storage.sizes import COUNT_UP_TO_BYTES
from cajanegra.storage.tables import CONTENTS, ERROR_RECOVERY, OCCURRENCES, REQUEST_LOGS, ROLLUPS

BATCH = 1_000
"""Calls deleted in one transaction: some tens of milliseconds of locks."""
LENGTH = 0.07
"""Seconds that a transaction should take; the next deletes more or less, as it comes near to that."""
FIRST_BATCH, LEAST_BATCH = 200, 50

_ORPHANS = 50_000
"""Orphans that are looked for at once, since each look goes through a whole table."""
_VACUUM_FROM = 10_000
_VACUUM_SHARE = 0.05
"""Rows, and share of a table, that are deleted until PostgreSQL is told to make their room free: so the room
is used again before the table grows. Autovacuum by itself waits for a fifth of the table."""

_LOGS = REQUEST_LOGS.c
_PARTS: Sequence[Table] = (ERROR_RECOVERY, CONTENTS, OCCURRENCES)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CleanupReport:
    """What was deleted, or would be: rows per table, parts of calls that somebody else deleted included.

    Attributes:
        calls: calls.
        steps: their recovery steps.
        contents: prompts and answers.
        links: samples of error patterns that they were.
        counts: details of error patterns that are too old or too many (see ``pattern_retention``).
        rollups: counts of hours and days that are too old.
        partitions: partitions that were dropped with their calls, which are estimated in large ones.
        freed_bytes: given back to the disk by that; the room of rows that were deleted one by one is used
            again.
    """

    calls: int = 0
    steps: int = 0
    contents: int = 0
    links: int = 0
    counts: int = 0
    rollups: int = 0
    partitions: int = 0
    freed_bytes: int = 0

    def __add__(self, other: CleanupReport) -> CleanupReport:
        both = zip(astuple(self), astuple(other), strict=True)
        return CleanupReport(*(mine + others for mine, others in both))


def cleanup(
    db: Database,
    scope: Scope,
    *,
    policy: Policy,
    now: datetime,
    dry_run: bool = False,
    batch_size: int = BATCH,
    on_progress: Progress | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> CleanupReport:
    """Delete the calls that the policy does not keep, oldest first, with their steps and contents.

    Partitions in which nothing stays are dropped. Error patterns stay, with the totals of every tenant; what
    else is known of them is kept bounded. What calls were counted as stays, too, for its own time. Rows
    without a time stay, and what is held. It may be cut short and run again, and run twice at once.

    Args:
        db: the database.
        scope: whose calls; parts of calls that somebody else deleted go with those of all tenants.
        policy: how long what is kept.
        now: the time from which ages are reckoned.
        dry_run: count, and delete nothing.
        batch_size: calls in one transaction at most; fewer where that takes long.
        on_progress: told how many calls are deleted, and of how many.
        goes_on: asked between two transactions whether to go on.

    Raises:
        StorageError: the database cannot be reached or refuses; what was deleted before stays deleted.
    """
    return _Cleanup(db, scope, policy, now, batch_size, on_progress, goes_on).run(dry_run=dry_run)


@dataclass(slots=True)
class _Cleanup:
    db: Database
    scope: Scope
    policy: Policy
    now: datetime
    batch_size: int
    on_progress: Progress | None
    goes_on: Callable[[], bool]

    def run(self, *, dry_run: bool) -> CleanupReport:
        old = and_(self.policy.expired(self.now), *of_scope(self.scope))
        of_all = isinstance(self.scope, AllTenants)
        with reading(self.db) as connection:
            if dry_run:
                return self._count(connection, old)
            there = partitions.partitions(connection) if of_all else []
            is_any = connection.execute(select(literal(1)).where(old).limit(1)).scalar() is not None
        if is_any:
            with writing(self.db) as connection:
                note_deleted(self.db, connection, self.policy.latest(self.now))
        report = CleanupReport()
        for partition in there:
            if self.goes_on():
                report += self._drop(partition)
        report = self._delete_calls(old, report)
        report += self._delete_parts(CONTENTS, self.policy.contents)
        report += self._delete_parts(OCCURRENCES, self.policy.samples)
        if not of_all:
            return report
        report += self._sweep()
        if self.goes_on():
            recent.forget(self.db, self.now)
            report += CleanupReport(counts=delete_surplus(self.db, self.now, self.batch_size))
        return report + CleanupReport(rollups=self._delete_rollups())

    def _count(self, connection: Connection, old: ColumnElement[bool]) -> CleanupReport:
        total = self._calls(connection, old)
        of_all = isinstance(self.scope, AllTenants)
        calls = select(_LOGS.id).where(old)
        counts = []
        for part, age in zip(_PARTS, (None, self.policy.contents, self.policy.samples), strict=True):
            gone: list[ColumnElement[bool]] = [part.c.request_log_id.in_(calls)]
            if of_all:
                gone.append(_orphaned(part))
            if age is not None:
                gone.append(part.c.id.in_(self._too_old(part, age)))
            query = select(func.count()).select_from(part).where(or_(*gone))
            counts.append(connection.execute(query).scalar_one())
        surplus = count_surplus(connection, self.now) if of_all else 0
        return CleanupReport(total, *counts) + CleanupReport(counts=surplus)

    def _calls(self, connection: Connection, meant: ColumnElement[bool]) -> int:
        return connection.execute(select(func.count()).select_from(REQUEST_LOGS).where(meant)).scalar_one()

    def _drop(self, partition: Partition) -> CleanupReport:
        """Drop a partition if nothing in it stays."""
        until = partition.until
        if until is None or not self.policy.may_be_over(until, self.now):
            return CleanupReport()
        within: list[ColumnElement[bool]] = [_LOGS.created_at < until]
        if partition.since is not None:
            within.append(_LOGS.created_at >= partition.since)
        with reading(self.db) as connection:
            stays = ~is_free() if self.policy.is_over(until, self.now) else self.policy.survives(self.now)
            if connection.execute(select(literal(1)).where(stays, *within).limit(1)).scalar():
                return CleanupReport()
            ends = select(func.min(_LOGS.id), func.max(_LOGS.id)).where(*within)
            first, last = connection.execute(ends).one()
            rows = partition.rows
            if rows < 0 or partition.bytes <= COUNT_UP_TO_BYTES:
                count = select(func.count()).select_from(REQUEST_LOGS).where(*within)
                rows = connection.execute(count).scalar_one()
        counts = [self._delete_between(part, first, last, within) for part in _PARTS] if first else [0, 0, 0]
        if not self.goes_on() or not partitions.drop(self.db, partition, goes_on=self.goes_on):
            return CleanupReport(0, *counts)
        return CleanupReport(rows, *counts) + CleanupReport(partitions=1, freed_bytes=partition.bytes)

    def _delete_between(
        self, part: Table, first: int, last: int, within: Sequence[ColumnElement[bool]]
    ) -> int:
        """Delete the parts of a partition's calls, found by their ids: there are fewer than calls."""
        call = part.c.request_log_id
        of_it = exists(select(literal(1)).where(_LOGS.id == call, *within))
        query = select(part.c.id).where(call.between(first, last), of_it).order_by(call)
        return self._delete_all(part, query)

    def _delete_calls(self, old: ColumnElement[bool], report: CleanupReport) -> CleanupReport:
        with reading(self.db) as connection:
            total = report.calls + self._calls(connection, old)
        vacuum = _Vacuum(self.db)
        pace = _Pace(self.batch_size)
        place: tuple[datetime, int] | None = None
        while self.goes_on():
            with pace.taking(), writing(self.db) as connection:
                done, place = _delete_batch(connection, old, place, pace.size)
            report += done
            if self.on_progress is not None:
                self.on_progress(report.calls, max(total, report.calls))
            if place is None:
                break
            vacuum.deleted(done.calls)
        return report

    def _delete_parts(self, part: Table, age: timedelta | None) -> CleanupReport:
        """Delete parts that are kept for a shorter time than their calls."""
        if age is None:
            return CleanupReport()
        count = self._delete_all(part, self._too_old(part, age))
        return CleanupReport(contents=count) if part is CONTENTS else CleanupReport(links=count)

    def _too_old(self, part: Table, age: timedelta) -> Select[Any]:
        at = part.c.created_at if part is CONTENTS else part.c.occurred_at
        call = part.c.request_log_id
        theirs = exists(select(literal(1)).where(_LOGS.id == call, is_free(), *of_scope(self.scope)))
        return select(part.c.id).where(at < fit_time(self.now - age), theirs)

    def _delete_rollups(self) -> int:
        """Delete what was counted longer ago than anybody asks for."""
        if self.policy.rollups is None:
            return 0
        key = tuple_(*ROLLUPS.primary_key.columns)
        old = select(*ROLLUPS.primary_key.columns).where(
            ROLLUPS.c.start < fit_time(self.now - self.policy.rollups)
        )
        deleted, count = 0, BATCH
        while count >= BATCH and self.goes_on():
            with writing(self.db) as connection:
                count = connection.execute(delete(ROLLUPS).where(key.in_(old.limit(BATCH)))).rowcount
            deleted += count
        return deleted

    def _sweep(self) -> CleanupReport:
        """Delete parts whose call is gone; the guide's own cleanup deletes calls alone."""
        swept = [
            self._delete_all(part, select(part.c.id).where(_orphaned(part)), look=_ORPHANS) for part in _PARTS
        ]
        return CleanupReport(0, *swept)

    def _delete_all(self, part: Table, query: Select[Any], look: int = BATCH) -> int:
        """Delete the rows whose ids a query finds, so many at once."""
        pace, deleted = _Pace(self.batch_size), 0
        while self.goes_on():
            with reading(self.db) as connection:
                ids = connection.execute(query.limit(look)).scalars().all()
            left: Sequence[int] = ids
            while left and self.goes_on():
                some, left = left[: pace.size], left[pace.size :]
                with pace.taking(), writing(self.db) as connection:
                    gone = delete(part).where(part.c.id.in_(_locked(part, some)))
                    deleted += connection.execute(gone).rowcount
            if len(ids) < look:
                break
        return deleted


class _Pace:
    """How much is done in one transaction: as much as takes less than a tenth of a second."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = min(most, FIRST_BATCH)

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Around one transaction."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        factor = min(2.0, max(0.5, LENGTH / max(took, 0.001)))
        self.size = min(self._most, max(LEAST_BATCH, int(self.size * factor)))


_ROWS = text(
    "SELECT sum(reltuples) FROM pg_class WHERE relkind = 'r' AND oid IN"
    " (SELECT to_regclass(:t) UNION SELECT relid FROM pg_partition_tree(to_regclass(:t)))"
)


class _Vacuum:
    """Has PostgreSQL make the room of deleted calls free for new ones, before the table grows."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._deleted = 0
        self._enough = _VACUUM_FROM

    def deleted(self, count: int) -> None:
        """Note that so many calls were deleted, and begin when it is worth it."""
        self._deleted += count
        if self._deleted >= self._enough:
            self._vacuum()

    def _vacuum(self) -> None:
        if self._db.dialect != "postgresql":
            return
        try:
            with self._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                found = connection.execute(_ROWS, {"t": REQUEST_LOGS.name}).scalar() or 0
                self._enough = max(_VACUUM_FROM, int(found * _VACUUM_SHARE))
                if self._deleted < self._enough:
                    return
                # It stops nobody, unless it shortens the file. Whose the table is not is told nothing.
                for table in (REQUEST_LOGS, *_PARTS):
                    connection.exec_driver_sql(f"VACUUM (TRUNCATE false, SKIP_LOCKED) {table.name}")
        except SQLAlchemyError as error:
            raise storage_error(self._db, error) from None
        self._deleted = 0


def _delete_batch(
    connection: Connection, old: ColumnElement[bool], place: tuple[datetime, int] | None, size: int
) -> tuple[CleanupReport, tuple[datetime, int] | None]:
    """Delete some calls beyond a place; how many, and where they end: ``None`` after the last."""
    # Whoever else cleans up has locked the rows that it deletes: these are left to it.
    query = select(_LOGS.id, _LOGS.created_at).where(old).order_by(_LOGS.created_at, _LOGS.id).limit(size)
    if place is not None:
        at, last = place
        query = query.where(_LOGS.created_at >= at, or_(_LOGS.created_at > at, _LOGS.id > last))
    rows = connection.execute(query.with_for_update(skip_locked=True)).all()
    if not rows:
        return CleanupReport(), None
    ids = [row.id for row in rows]
    counts = [
        connection.execute(delete(part).where(part.c.request_log_id.in_(ids))).rowcount for part in _PARTS
    ]
    # The times lead to the partitions.
    within = _LOGS.created_at.between(rows[0].created_at, rows[-1].created_at)
    calls = connection.execute(delete(REQUEST_LOGS).where(_LOGS.id.in_(ids), within)).rowcount
    return CleanupReport(calls, *counts), (rows[-1].created_at, rows[-1].id)


def _locked(part: Table, ids: Sequence[int]) -> Select[Any]:
    return select(part.c.id).where(part.c.id.in_(ids)).with_for_update(skip_locked=True)


def _orphaned(part: Table) -> ColumnElement[bool]:
    return ~exists(select(literal(1)).where(_LOGS.id == part.c.request_log_id))
