"""From records to rows: prepared in small pieces on one thread, written on another, in order.

While the database works on one batch the next is prepared, so that neither waits for the other.
"""

from __future__ import annotations

import collections
import itertools
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cajanegra.domain.record import Batch, Record
from cajanegra.ports import CallStore, Prepared
from cajanegra.recording import importing
from cajanegra.recording.delivery import FIRST_WAIT, MAX_WAIT, Delivery, reason
from cajanegra.recording.pace import Pace

logger = logging.getLogger("cajanegra")

PIECE = 64
"""Records prepared at once: about half a millisecond."""
URGENT_PIECE = 250
"""The same where nobody else is to be considered."""


class _Stream:
    """Parts on their way from the thread that prepares them to the one that writes them, one at a time.

    Whoever puts one waits until it was taken. So the two hand the interpreter to each other where the one has
    nothing to do with it, and not when its time is up: the next part is prepared while the driver works.
    """

    def __init__(self) -> None:
        self._parts: queue.SimpleQueue[Prepared | None] = queue.SimpleQueue()
        self._taken = threading.Semaphore(0)

    def put(self, part: Prepared | None) -> None:
        """Pass a part on; ``None`` after the last."""
        self._parts.put(part)
        self._taken.acquire()

    def __iter__(self) -> Iterator[Prepared]:
        while True:
            part = self._parts.get()
            self._taken.release()
            if part is None:
                return
            yield part


@dataclass(frozen=True, slots=True)
class _Work:
    store: CallStore
    parts: Iterator[Prepared]
    track: str
    done: Callable[[], None]


class Pipeline:
    """Takes records of tracks and tells when they are in the database.

    Args:
        open_store: opens the store, when the first record comes; tried again when it raises.
        delivery: writes to the store.
        pace: called between small pieces of work.
    """

    def __init__(self, open_store: Callable[[], CallStore], delivery: Delivery, pace: Pace) -> None:
        self.delivery = delivery
        self.stopped = False
        """Whether it has given up: nothing more is written."""
        self._open_store = open_store
        self._pace = pace
        self._store: CallStore | None = None
        self._work: queue.Queue[_Work | None] = queue.Queue(1)
        self._thread: threading.Thread | None = None

    def send(self, track: str, records: Sequence[Record], done: Callable[[], None]) -> None:
        """Write records of a track; ``done`` is called, on another thread, when that and all before is done.

        Waits while two batches are on their way. When the pipeline has given up, nothing is called.
        """
        if self.stopped:
            return
        store = self._opened() if records else self._store
        if store is None:
            if not records and not self.stopped:
                done()
            return
        if self._pace.is_urgent and len(records) > URGENT_PIECE and self._started():
            # The database works on the first parts while the others are prepared.
            stream = _Stream()
            self._work.put(_Work(store, iter(stream), track, done))
            for part in self._parts(store, records, URGENT_PIECE):
                stream.put(part)
            stream.put(None)
            return
        parts = list(self._parts(store, records, PIECE))
        work = _Work(store, iter(parts), track, done)
        if self._started():
            self._work.put(work)
        else:  # the interpreter is about to end
            self._deliver(work)

    def forget(self, track: str) -> None:
        """Tell the store that a track is gone; best effort, since the store forgets old ones by itself."""
        self.settle()
        if self._store is not None and not self.stopped:
            try:
                self._store.forget(track)
            except Exception as error:  # noqa: BLE001 - the writer's thread outlives whatever a store does
                logger.debug("a track's position stays behind: %s", reason(error))

    def settle(self) -> None:
        """Wait until everything that was sent is written or given up."""
        self._work.join()

    def close(self) -> None:
        """Settle, and give back every connection."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
        elif self._store is not None:
            self._store.close()

    def _opened(self) -> CallStore | None:
        wait = FIRST_WAIT
        while self._store is None:
            try:
                with importing.lock:
                    self._store = self._open_store()
            except Exception as error:  # noqa: BLE001 - bad settings, no driver: what is spooled can wait
                if not self.delivery.wait_after(error, wait):
                    self.stopped = True
                    return None
                wait = min(2 * wait, MAX_WAIT)
        return self._store

    def _parts(self, store: CallStore, records: Sequence[Record], size: int) -> Iterator[Prepared]:
        for start in range(0, len(records), size):
            yield from self._prepared(store, records[start : start + size])
            self._pace()

    def _prepared(self, store: CallStore, records: Sequence[Record]) -> list[Prepared]:
        try:
            return [store.prepare(Batch.of(records))]
        except Exception as error:  # noqa: BLE001 - one strange record must not hold up all others
            if len(records) > 1:
                parts = (self._prepared(store, [record]) for record in records)
                return list(itertools.chain.from_iterable(parts))
            self.delivery.refuse(records[0], error)
            return []

    def _started(self) -> bool:
        """Whether there is a thread that writes."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="cajanegra-database", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is about to end
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                if work is None:
                    return
                self._deliver(work)
            finally:
                if work is None and self._store is not None:
                    self._store.close()
                self._work.task_done()

    def _deliver(self, work: _Work) -> None:
        if not self.stopped and self.delivery.deliver(work.store, work.parts, work.track):
            work.done()
        else:
            self.stopped = True
            collections.deque(work.parts, maxlen=0)  # whoever prepares them must not wait for good
