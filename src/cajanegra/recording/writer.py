"""The background thread that drains the spool into the database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from cajanegra.domain.record import Record
from cajanegra.ports import CallStore
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.delivery import Delivery
from cajanegra.recording.draining import Orphans, OwnTrack
from cajanegra.recording.pace import Pace
from cajanegra.recording.pipeline import Pipeline
from cajanegra.recording.quarantine import Quarantine
from cajanegra.recording.spool import Position, Spool
from cajanegra.recording.throttle import Throttle

logger = logging.getLogger("cajanegra")

SCHEDULE_DELAY = 0.2
"""Seconds in which events gather before they are taken: how late a row is when all is well."""
BUSY_DELAY = 0.5
"""The same while many calls end: a transaction for every hundred of them costs more than their rows."""
MANY = 100
"""Records taken at once from which on it is so."""
ADOPT_EVERY = 5.0
"""Seconds between two looks for the tracks of dead processes."""
SYNC_EVERY = 1.0
"""Seconds between two syncs with ``fsync = interval``."""
CALM = 1.0
"""Seconds at most to wait for a quiet moment before the store is opened: that imports a lot."""
LAST_TRIES = 1.0
"""Seconds for which a store that is away is tried when the recorder closes: what it does not get can wait."""
_TRYING = 0.9
"""The part of the time to close in which the store is tried where what it does not get is lost."""


@dataclass(frozen=True, slots=True)
class WriterStats:
    """What became of the calls since the recorder was made."""

    waiting: int
    """Bytes of events that are not in the database yet."""
    written: int
    """Calls that the database has."""
    refused: int
    """Records that the database refused and the quarantine has."""
    dropped: int
    """Events that had no room in the spool, or came after its end."""
    lost: int
    """Records that were refused and are not in quarantine either, and events that could not be read."""


class Companion(Protocol):
    """Something that works beside a writer, on a thread of its own."""

    def start(self) -> None:
        """Begin; called once, and never raises."""

    def close(self) -> None:
        """End within two seconds."""


class Writer:
    """Drains a spool, which is a ``ports.EventSink``, and the spools of dead processes.

    The thread starts with the first event, sleeps while there is none, and is a daemon. What it has not
    written when the process ends stays in the spool.

    Args:
        spool: keeps the events.
        open_store: opens the store, in the writer's thread; tried again when it raises.
        new_assembler: makes records of the events of one track.
        sync: whether the spool is brought to the disk every second.
        beside: works as long as this writer does; started with its thread.
        wait: waits between two tries of a store that is away; by default until the time has passed or
            somebody flushes or closes.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        spool: Spool,
        open_store: Callable[[], CallStore],
        new_assembler: Callable[[], Assembler],
        *,
        sync: bool = False,
        beside: Companion | None = None,
        wait: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.spool = spool
        self._quarantine = Quarantine(spool.directory)
        self._pace = Pace(self._is_urgent)
        self._delivery = Delivery(
            lambda record, why: self._quarantine.keep_record(record, why, clock()),
            wait or self._wait_to_retry,
        )
        self._pipeline = Pipeline(open_store, self._delivery, self._pace)
        self._own = OwnTrack(spool, new_assembler())
        self._orphans = Orphans(spool.directory, new_assembler, self._pipeline, self._quarantine, clock)
        self._clock = clock
        self._sync_every = SYNC_EVERY if sync else ADOPT_EVERY
        self._syncs = sync
        self._beside = beside
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        spool.on_append = self._rouse
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._retry = threading.Event()
        self._done: Position = 0
        self._moved = threading.Condition()
        self._flushing = 0
        self._closed = False
        self._next_look = 0.0
        self._late = Throttle()

    @property
    def stats(self) -> WriterStats:
        """How far the writer has got."""
        delivery = self._delivery
        return WriterStats(
            self.spool.bytes_behind(self._done),
            delivery.written,
            delivery.refused,
            self.spool.dropped,
            delivery.lost + self._own.counts.unreadable,
        )

    def flush(self, timeout: float) -> bool:
        """Wait for at most ``timeout`` seconds; whether what was recorded before is in the database."""
        target = self.spool.end
        before = self._failures()
        if self._thread is None or self._closed:
            return self._done >= target
        with self._moved:
            self._flushing += 1
            try:
                self._rush()
                done = self._moved.wait_for(lambda: self._done >= target, timeout)
            finally:
                self._flushing -= 1
        return done and self._failures() == before

    def close(self, timeout: float) -> None:
        """Write what is waiting, for up to ``timeout`` seconds; the rest stays in the spool."""
        if self._closed:
            return
        self._delivery.give_up_in(min(timeout * _TRYING, LAST_TRIES if self.spool.durable else timeout))
        self.spool.close()  # first: what is appended until then is to be read
        self._closed = True
        self._rush()
        if self._beside is not None:
            self._beside.close()
        thread = self._thread
        if thread is None:
            if self.spool.segments:  # no thread could be started
                self._run()
        elif thread is not threading.current_thread():
            thread.join(timeout)
            if thread.is_alive():
                logger.warning(
                    "the recorder closes with %d bytes of events that are not in the database; %s",
                    self.stats.waiting,
                    "they stay in the spool" if self.spool.durable else "they are lost",
                )

    def note_pending_contents(self, count: int) -> None:
        """So many texts are being masked, and would be lost if the process were killed."""
        if self.spool.track is not None and not self._closed:
            self.spool.track.note_pending_contents(count)

    def forget(self) -> None:
        """In a forked child: everything here is the parent's."""
        self.spool.forget()

    def _rouse(self) -> None:
        if self._closed:
            if self._late.due():
                logger.error("a call is not recorded: the recorder is closed")
            return
        self.spool.on_append = None
        if self._thread is None and self._starting.acquire(blocking=False):
            try:
                self._start()
            finally:
                self._starting.release()
        self._wake.set()

    def _start(self) -> None:
        if self._thread is not None or self._closed:
            return
        thread = threading.Thread(target=self._run, name="cajanegra-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many threads, or the interpreter is about to end
            self.spool.on_append = self._rouse  # the next event tries again, and so does the end
        else:
            self._thread = thread
            if self._beside is not None:
                self._beside.start()

    def _run(self) -> None:
        self._wait(SCHEDULE_DELAY)
        self._pace.wait_for_calm(CALM)
        if not self._delivery.until_done(self._own.get_ready, (OSError, MemoryError)):
            self._pipeline.stopped = True  # what is spooled can wait
        while not self._closed:
            self._drain_own()
            if not self._closed:
                self._drain_orphans()
                self._sleep()
        self._drain_own()
        self._drain_orphans()
        self._finish()

    def _sleep(self) -> None:
        # An event may arrive between these lines: either it sees that we sleep, or we see it.
        self.spool.on_append = self._rouse
        is_quiet = self.spool.end <= self._own.position
        if is_quiet:
            self._wake.wait(self._sync_every)
        self.spool.on_append = None
        self._wake.clear()
        self._wait(SCHEDULE_DELAY if is_quiet or self._own.taken < MANY else BUSY_DELAY)

    def _wait(self, seconds: float) -> None:
        if not self._closed:
            self._hurry.wait(seconds)
            self._hurry.clear()

    def _wait_to_retry(self, seconds: float) -> None:
        if self._closed:
            time.sleep(seconds)
        else:
            self._retry.wait(seconds)
            self._retry.clear()

    def _rush(self) -> None:
        for event in (self._hurry, self._retry, self._wake):
            event.set()

    def _drain_own(self) -> None:
        self.spool.prepare()
        while not self._pipeline.stopped:
            reached: list[Position] = []
            done = partial(self._note_done, reached)
            self._pipeline.send(self._name, self._batch(reached), done)
            self.spool.prepare()
            if self._own.has_caught_up:
                break
        if self._syncs:
            self.spool.sync()

    def _drain_orphans(self) -> None:
        now = time.monotonic()
        if self.spool.track is None or (now < self._next_look and not self._closed):
            return
        self._next_look = now + ADOPT_EVERY
        try:
            for _batch in self._orphans.drain():
                self._drain_own()
                if self._closed and time.monotonic() > now + LAST_TRIES:
                    return
        except OSError as error:
            logger.warning("the spool of a dead process could not be drained: %s", error.strerror or error)

    def _finish(self) -> None:
        """The last of this track: everything is in the database, or stays for somebody else."""
        complete = threading.Event()
        self._pipeline.send(self._name, self._own.interrupted(self._clock()), complete.set)
        self._pipeline.settle()
        if complete.is_set() and self._own.position >= self.spool.end:
            self._done = self.spool.end
            self.spool.discard()
            self._pipeline.forget(self._name)
        else:
            self.spool.leave()
        self._pipeline.close()
        self.spool.on_append = self._rouse  # so that whoever comes too late is told

    def _batch(self, reached: list[Position]) -> Iterator[list[Record]]:
        """The records of one transaction; notes how far they reach, before the next are read."""
        yield from self._own.batch(self._pipeline.piece)
        reached += self._own.reached()

    def _note_done(self, reached: list[Position]) -> None:
        position, needed = reached
        if self.spool.track is not None:
            self.spool.track.note_done(position)
        self.spool.give_back(needed)
        with self._moved:
            self._done = position
            self._moved.notify_all()

    @property
    def _name(self) -> str:
        return self.spool.track.name if self.spool.track is not None else ""

    def _failures(self) -> int:
        return self._delivery.lost + self._delivery.refused + self._own.counts.unreadable

    def _is_urgent(self) -> bool:
        return bool(self._flushing) or self._closed or self.spool.is_filling
