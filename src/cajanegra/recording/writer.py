"""The background thread that takes events from the queue and writes records to the store."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cajanegra.domain.events import Event
from cajanegra.domain.record import Batch, CallRecord, FeedbackRecord
from cajanegra.errors import RejectedError, StorageError
from cajanegra.ports import CallStore
from cajanegra.recording.assembler import Assembler, Record
from cajanegra.recording.queue import CAPACITY, Barrier, EventQueue

logger = logging.getLogger("cajanegra")

MAX_BATCH = 500
"""Calls written in one transaction."""
SCHEDULE_DELAY = 0.1
"""Seconds between two looks at the queue: how late a row is at most when all is well."""
FIRST_BACKOFF = 0.2
MAX_BACKOFF = 30.0
"""Seconds between two tries of a database that is away."""


@dataclass(frozen=True, slots=True)
class WriterStats:
    """Calls since the recorder was made."""

    waiting: int
    """Events in the queue."""
    written: int
    lost: int
    """Calls that were refused by a full queue or the database, or could not be written before the end."""


class Writer:
    """A ``ports.EventSink`` that drains into a ``CallStore``, opened when it is first needed.

    A batch that the database cannot take now is kept and tried again, with growing waits. A batch that it
    refuses is halved until the record it refuses is alone; that one is counted, reported and left out.
    """

    def __init__(
        self,
        open_store: Callable[[], CallStore],
        assembler: Assembler,
        *,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue = EventQueue(capacity)
        self._clock = clock
        self._open_store = open_store
        self._assembler = assembler
        self._store: CallStore | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._give_up_at = float("inf")
        self._written = 0
        self._lost = 0

    @property
    def stats(self) -> WriterStats:
        """How far the writer has got."""
        return WriterStats(len(self._queue), self._written, self._lost + self._queue.dropped)

    def append(self, event: Event) -> None:
        """Take an event without waiting and without raising; the first starts the thread."""
        self._queue.append(event)
        if self._thread is None:
            self._start()

    def flush(self, timeout: float) -> bool:
        """Wait for at most ``timeout`` seconds; whether what was recorded before is in the database."""
        if self._thread is None:
            return True
        lost = self.stats.lost
        barrier = self._queue.barrier()
        self._wake.set()
        return barrier.wait(timeout) and self.stats.lost == lost

    def close(self, timeout: float) -> None:
        """Write what is waiting, for up to ``timeout`` seconds; the rest is counted and reported."""
        self._give_up_at = time.monotonic() + timeout
        self._closed.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout + 1)
        if lost := self.stats.lost:
            logger.error("%d calls were not recorded", lost)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="cajanegra-writer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait(SCHEDULE_DELAY)
            self._wake.clear()
            closing = self._closed.is_set()
            while self._drain_once():
                pass
            if closing:
                self._write(list(self._assembler.interrupt_all(self._clock())))
                break
        if self._store is not None:
            self._store.close()

    def _drain_once(self) -> bool:
        """Write up to one batch; whether there may be more."""
        entries = self._queue.take(MAX_BATCH)
        records: list[Record] = []
        for entry in entries:
            if isinstance(entry, Barrier):
                self._write(records)
                records = []
                entry.set()
            else:
                records.extend(self._assembler.add(entry))
        self._write(records)
        return bool(entries)

    def _write(self, records: list[Record]) -> None:
        if not records:
            return
        backoff = FIRST_BACKOFF
        while True:
            try:
                self._write_or_bisect(records)
            except StorageError as error:
                left = self._give_up_at - time.monotonic()
                if left <= 0:
                    self._lose(records, str(error))
                    return
                logger.warning("calls are waiting to be recorded: %s", error)
                self._wake.wait(min(backoff, left))
                self._wake.clear()
                backoff = min(backoff * 2, MAX_BACKOFF)
            else:
                return

    def _write_or_bisect(self, records: list[Record]) -> None:
        try:
            self._opened().write(_batch(records))
        except RejectedError as error:
            if len(records) == 1:
                self._lose(records, str(error))
                return
            middle = len(records) // 2
            self._write_or_bisect(records[:middle])
            self._write_or_bisect(records[middle:])
        else:
            self._written += sum(isinstance(record, CallRecord) for record in records)

    def _opened(self) -> CallStore:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _lose(self, records: Iterable[Record], reason: str) -> None:
        count = sum(1 for _ in records)
        self._lost += count
        logger.error("%d calls were not recorded: %s", count, reason)


def _batch(records: list[Record]) -> Batch:
    return Batch(
        calls=[record for record in records if isinstance(record, CallRecord)],
        feedback=[record for record in records if isinstance(record, FeedbackRecord)],
    )
