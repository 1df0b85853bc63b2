"""Runs of retention: one at a time, each with a budget, and a history of what they freed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, insert, select, update

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.errors import StorageError
from cajanegra.storage import leases, partitions
from cajanegra.storage.database import Database, reading, writing
from cajanegra.storage.fitting import fit_text, fit_time
from cajanegra.storage.keeping import Policy
from cajanegra.storage.retention import CleanupReport, Progress, cleanup
from cajanegra.storage.tables import RETENTION_RUNS

LEASE = "retention"
HELD = timedelta(minutes=10)
"""How long a run is believed to go on that says nothing."""
KEPT = 100
"""Runs that are remembered."""
_TELL_EVERY = 2.0
"""Seconds between two notes of how far a run is."""

State = Literal["running", "done", "cut_short", "failed", "died"]
StartedBy = Literal["command", "server"]
_RUNS = RETENTION_RUNS.c


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        id: its number.
        started_by: ``command`` (somebody, or cron) or ``server``.
        state: ``running``, ``done``, ``cut_short`` (its time was up; the next goes on), ``failed`` or
            ``died``.
        counts: what was deleted, as ``CleanupReport`` has it.
        error: why it failed.
        began_at: when, UTC.
        updated_at: when it was heard of last.
        ended_at: when it ended.
    """

    id: int
    started_by: str
    state: State
    counts: Mapping[str, int]
    error: str | None
    began_at: datetime
    updated_at: datetime
    ended_at: datetime | None


def run(
    db: Database,
    policy: Policy,
    *,
    started_by: StartedBy,
    budget: timedelta | None = None,
    on_progress: Progress | None = None,
    goes_on: Callable[[], bool] = lambda: True,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    timer: Callable[[], float] = time.monotonic,
) -> Run | None:
    """Delete what the policy does not keep, and make the partitions of the days to come.

    Args:
        db: the database.
        policy: how long what is kept.
        started_by: who does it, for the history.
        budget: time after which it stops where it is.
        on_progress: told how many calls are deleted, and of how many.
        goes_on: asked between two transactions whether to go on.
        clock: the time, aware.
        timer: seconds of a monotonic clock.

    Returns:
        The run; ``None`` where another is under way.

    Raises:
        StorageError: the database cannot be reached or refuses; what was deleted before stays deleted.
    """
    holder = str(uuid.uuid4())
    began = clock()
    if not leases.take(db, LEASE, holder, began, began + HELD):
        return None
    try:
        return _Running(db, holder, budget, on_progress, goes_on, clock, timer).run(policy, started_by, began)
    finally:
        leases.give_back(db, LEASE, holder)


def is_due(db: Database, every: timedelta, now: datetime) -> bool:
    """Whether no run has begun for so long, whoever has begun it.

    Raises:
        StorageError: the database cannot be read.
    """
    query = select(_RUNS.id).where(_RUNS.began_at > fit_time(now - every)).limit(1)
    with reading(db) as connection:
        return connection.execute(query).first() is None


def history(db: Database, limit: int = 20) -> list[Run]:
    """The latest runs, the last first.

    Raises:
        StorageError: the database cannot be read.
    """
    query = select(*_SHOWN).order_by(_RUNS.id.desc()).limit(limit)
    with reading(db) as connection:
        return [_run(dict(row)) for row in connection.execute(query).mappings()]


class _Running:
    def __init__(
        self,
        db: Database,
        holder: str,
        budget: timedelta | None,
        on_progress: Progress | None,
        goes_on: Callable[[], bool],
        clock: Callable[[], datetime],
        timer: Callable[[], float],
    ) -> None:
        self._db, self._holder, self._clock, self._timer = db, holder, clock, timer
        self._asked, self._on_progress = goes_on, on_progress
        self._end = None if budget is None else timer() + budget.total_seconds()
        self._told = timer()
        self._is_cut_short = False
        self._id = 0

    def run(self, policy: Policy, started_by: StartedBy, began: datetime) -> Run:
        self._id = self._begin(started_by, began)
        try:
            partitions.make_ahead(self._db, began)
            report = cleanup(
                self._db,
                ALL_TENANTS,
                policy=policy,
                now=began,
                on_progress=self._tell,
                goes_on=self._goes_on,
            )
        except StorageError as error:
            self._note("failed", error=str(error))
            raise
        except BaseException:
            self._note("cut_short")
            raise
        return self._note("cut_short" if self._is_cut_short else "done", report)

    def _begin(self, started_by: StartedBy, began: datetime) -> int:
        at = fit_time(began)
        with writing(self._db) as connection:
            # Whoever holds the lease is the only one that runs.
            died = update(RETENTION_RUNS).where(_RUNS.state == "running")
            connection.execute(died.values(state="died", ended_at=_RUNS.updated_at))
            values: dict[str, Any] = {
                "started_by": started_by,
                "state": "running",
                "counts": asdict(CleanupReport()),
            }
            values |= {"began_at": at, "updated_at": at}
            new = connection.execute(insert(RETENTION_RUNS).values(values).returning(_RUNS.id)).scalar_one()
            connection.execute(delete(RETENTION_RUNS).where(_RUNS.id <= new - KEPT))
        return int(new)

    def _goes_on(self) -> bool:
        if self._is_cut_short or (self._end is not None and self._timer() >= self._end) or not self._asked():
            self._is_cut_short = True
            return False
        if self._timer() - self._told >= _TELL_EVERY:
            self._told = self._timer()
            now = self._clock()
            if not leases.take(self._db, LEASE, self._holder, now, now + HELD):
                self._is_cut_short = True  # it was taken for dead, and another goes on
        return not self._is_cut_short

    def _tell(self, done: int, of: int) -> None:
        if self._on_progress is not None:
            self._on_progress(done, of)
        if self._timer() - self._told >= _TELL_EVERY / 2:
            self._note("running", CleanupReport(done))

    def _note(self, state: State, report: CleanupReport | None = None, *, error: str | None = None) -> Run:
        now = fit_time(self._clock())
        values: dict[str, Any] = {"state": state, "updated_at": now, "error": fit_text(error, 1_000)}
        if report is not None:
            values["counts"] = asdict(report)
        if state != "running":
            values["ended_at"] = now
        change = update(RETENTION_RUNS).where(_RUNS.id == self._id).values(values)
        with writing(self._db) as connection:
            return _run(dict(connection.execute(change.returning(*_SHOWN)).mappings().one()))


_SHOWN = (
    _RUNS.id, _RUNS.started_by, _RUNS.state, _RUNS.counts, _RUNS.error, _RUNS.began_at, _RUNS.updated_at,
    _RUNS.ended_at,
)  # fmt: skip


def _run(row: Mapping[str, Any]) -> Run:
    times = {name: row[name] and row[name].replace(tzinfo=UTC) for name in _TIMES}
    return Run(**{**row, **times})


_TIMES = ("began_at", "updated_at", "ended_at")
