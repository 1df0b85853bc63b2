"""The background thread that takes events from the queue and has their records written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cajanegra.domain.events import Event
from cajanegra.ports import CallStore
from cajanegra.recording.assembler import Assembler, Record
from cajanegra.recording.delivery import Delivery
from cajanegra.recording.queue import CAPACITY, Barrier, EventQueue
from cajanegra.recording.throttle import Throttle

logger = logging.getLogger("cajanegra")

MAX_BATCH = 500
"""Events taken at once: the calls they complete are written in one transaction."""
SCHEDULE_DELAY = 0.1
"""Seconds in which events gather before they are taken: how late a row is when all is well."""
_TRYING = 0.9
"""The part of the time to close in which the store is still tried; the rest is for saying what was lost."""


@dataclass(frozen=True, slots=True)
class WriterStats:
    """Calls since the recorder was made."""

    waiting: int
    """Events in the queue."""
    written: int
    lost: int
    """Calls and feedback that the queue did not take, the database refused, or that were given up."""


class Writer:
    """A ``ports.EventSink`` that drains into a ``CallStore``.

    The thread starts with the first event, sleeps while there is none, and is a daemon: ``close`` is what
    keeps the end of a process from losing anything.

    Args:
        open_store: opens the store, in the writer's thread; tried again when it raises.
        assembler: makes records of events.
        capacity: events that may wait.
        wait: waits between two tries of a store that is away; by default until the time has passed or
            somebody flushes or closes.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        open_store: Callable[[], CallStore],
        assembler: Assembler,
        *,
        capacity: int = CAPACITY,
        wait: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue = EventQueue(capacity)
        self._assembler = assembler
        self._delivery = Delivery(open_store, wait or self._wait)
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._asleep = True
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closed = False
        self._said_dropped = 0
        self._dropping = Throttle()

    @property
    def stats(self) -> WriterStats:
        """How far the writer has got."""
        delivery = self._delivery
        return WriterStats(len(self._queue), delivery.written, delivery.lost + self._queue.dropped)

    def append(self, event: Event) -> None:
        """Take an event without waiting and without raising; the first starts the thread."""
        self._queue.append(event)
        if self._asleep:
            self._rouse()

    def flush(self, timeout: float) -> bool:
        """Wait for at most ``timeout`` seconds; whether what was recorded before is in the database."""
        if self._thread is None or self._closed:
            return not len(self._queue)
        lost = self._delivery.lost
        barrier = self._queue.barrier()
        self._hurry.set()
        self._wake.set()
        return barrier.wait(timeout) and self._delivery.lost == lost

    def close(self, timeout: float) -> None:
        """Write what is waiting, for up to ``timeout`` seconds; the rest is counted and reported."""
        self._queue.close()
        if not self._closed:
            self._delivery.give_up_in(timeout * _TRYING)
        self._closed = True
        self._hurry.set()
        self._wake.set()
        thread = self._thread
        if thread is None:
            if len(self._queue):  # no thread could be started
                self._run()
        elif thread is not threading.current_thread():
            thread.join(timeout)
            if thread.is_alive():
                logger.error("the recorder closes with %d events that wait to be written", len(self._queue))

    def _rouse(self) -> None:
        if self._closed:
            self._say_what_was_dropped()
            return
        self._asleep = False
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
            self._asleep = True  # the next event tries again, and so does the end
        else:
            self._thread = thread

    def _run(self) -> None:
        while not self._closed:
            self._sleep()
            self._drain()
        self._drain()
        self._delivery.deliver(list(self._assembler.interrupt_all(self._clock())))
        self._delivery.close()
        self._asleep = True  # so that whoever comes too late is told

    def _sleep(self) -> None:
        # An event may arrive between these lines: either it sees that we sleep, or we see it.
        self._asleep = True
        if not len(self._queue):
            self._wake.wait()
        self._asleep = False
        self._wake.clear()
        self._wait(SCHEDULE_DELAY)

    def _wait(self, seconds: float) -> None:
        if not self._closed:
            self._hurry.wait(seconds)
            self._hurry.clear()
        else:
            time.sleep(seconds)

    def _drain(self) -> None:
        while entries := self._queue.take(MAX_BATCH):
            records: list[Record] = []
            for entry in entries:
                if isinstance(entry, Barrier):
                    self._delivery.deliver(records)
                    records = []
                    entry.set()
                else:
                    records += self._assembled(entry)
            self._delivery.deliver(records)
            self._say_what_was_dropped()

    def _assembled(self, event: Event) -> list[Record]:
        try:
            return list(self._assembler.add(event))
        except Exception as error:  # noqa: BLE001 - one strange event must not end the recording of all others
            self._delivery.leave_out(error)
            return []

    def _say_what_was_dropped(self) -> None:
        dropped = self._queue.dropped
        if dropped > self._said_dropped and self._dropping.due():
            self._said_dropped = dropped
            logger.error(
                "%d calls were not recorded: the queue was full (%d events) or the recorder closed",
                dropped,
                self._queue.capacity,
            )
