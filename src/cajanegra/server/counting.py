"""Counts what comes into the record, once, whichever of the serving processes is asked."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cajanegra.errors import StorageError
from cajanegra.server.metrics import Metrics
from cajanegra.storage import totals
from cajanegra.storage.database import Database
from cajanegra.storage.totals import Mark

SETTLED = 10.0
"""Seconds after which no row appears any more before one that was seen, on PostgreSQL: transactions end
by then.

On SQLite one transaction writes at a time, and rows appear in the order of their ids.
"""
_SEEN_EVERY = 1.0
"""Seconds between two ends that are remembered."""
_STATE = "record.json"


class _State(msgspec.Struct):
    """How far the record is counted."""

    counted: Mark | None = None
    """``None`` before the record was first seen: what is in it by then is not counted."""
    seen: list[tuple[float, Mark]] = msgspec.field(default_factory=list)
    """Ends of the record that were seen since, and when, oldest first."""


class RecordCounting:
    """Adds to the metrics what was written since the last time.

    Serving processes share how far they are by a file in the directory in which they count together; a scrape
    that comes while another one counts adds nothing.

    Args:
        database: is read.
        metrics: are added to.
        directory: shared by the serving processes; ``None`` where there is one.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        directory: Path | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._directory = directory
        self._clock = clock
        self._state = _State()
        self._lock = threading.Lock()

    def update(self) -> bool:
        """Count what is new; whether the database could be read."""
        try:
            end = totals.newest(self._database)
            with self._turn() as state:
                if state is not None:
                    self._count(state, end)
        except StorageError:
            return False
        return True

    def _count(self, state: _State, end: Mark) -> None:
        now = self._clock()
        if state.counted is None:
            state.counted = end
        if self._database.dialect == "sqlite":
            settled = [end]
        else:
            if not state.seen or now - state.seen[-1][0] >= _SEEN_EVERY:
                state.seen.append((now, end))
            settled = [mark for at, mark in state.seen if at <= now - SETTLED]
        if settled:
            found, state.counted = totals.between(self._database, state.counted, settled[-1])
            self._metrics.add(found)
            # The last of them stays: there may have been more than is counted at once.
            state.seen = state.seen[len(settled) - 1 :]

    @contextmanager
    def _turn(self) -> Iterator[_State | None]:
        """The state, to be changed; ``None`` where it is somebody else's turn."""
        if not self._lock.acquire(blocking=False):
            yield None
            return
        try:
            if self._directory is None:
                yield self._state
            else:
                with _shared(self._directory / _STATE) as state:
                    yield state
        finally:
            self._lock.release()


@contextmanager
def _shared(path: Path) -> Iterator[_State | None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        text = os.pread(descriptor, 2**20, 0)
        state = msgspec.json.decode(text, type=_State) if text else _State()
        yield state
        encoded = msgspec.json.encode(state)
        os.pwrite(descriptor, encoded, 0)
        os.ftruncate(descriptor, len(encoded))
    finally:
        os.close(descriptor)
