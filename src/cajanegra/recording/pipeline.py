"""From records to rows, in order: prepared in small pieces on one thread, and written on another.

So nobody waits for the database but the thread that writes. Where the work is urgent each piece goes to the
database as soon as it is ready, while the next is read; else a transaction begins when all of it is there.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cajanegra.domain.record import Batch, Record
from cajanegra.ports import CallStore, Prepared
from cajanegra.recording import importing
from cajanegra.recording.delivery import Delivery, reason
from cajanegra.recording.pace import Pace

logger = logging.getLogger("cajanegra")

PIECE = 48
"""Events read, and the records of them prepared, at once: about a third of a millisecond of work."""
URGENT_PIECE = 1_000
"""The same where nobody else is to be considered."""


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
        self._beside = Pace(lambda: pace.is_urgent)
        """Of the thread that writes."""
        self._store: CallStore | None = None
        self._work: queue.Queue[_Work | None] = queue.Queue(1)
        self._thread: threading.Thread | None = None

    def send(self, track: str, chunks: Iterable[Sequence[Record]], done: Callable[[], None]) -> None:
        """Write records of a track in one transaction, on another thread.

        Takes all chunks before it returns. Waits while two batches are on their way. When the pipeline has
        given up, ``done`` is not called.

        Args:
            track: whose records they are.
            chunks: the records.
            done: called when these and all before are in the database, or in quarantine.
        """
        if self.stopped:
            return
        coming = (chunk for chunk in chunks if chunk)
        first = next(coming, None)
        if first is None:
            self.settle()
            if not self.stopped:
                done()
            return
        store = self._opened()
        if store is None:
            return
        parts = self._parts(store, itertools.chain([first], coming))
        if self._started():
            self._hand_over(store, parts, track, done)
        else:  # the interpreter is about to end
            self._deliver(_Work(store, parts, track, done))

    @property
    def is_urgent(self) -> bool:
        """Whether the work cannot wait for a quieter moment."""
        return self._pace.is_urgent

    @property
    def piece(self) -> int:
        """Events that are best read at once."""
        return URGENT_PIECE if self.is_urgent else PIECE

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
        if self._thread is not None:
            self._work.join()

    def close(self) -> None:
        """Settle, and give back every connection."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
        elif self._store is not None:
            self._store.close()

    def _hand_over(
        self, store: CallStore, parts: Iterator[Prepared], track: str, done: Callable[[], None]
    ) -> None:
        if not self.is_urgent:
            self._work.put(_Work(store, iter([*parts]), track, done))
            return
        ready: queue.SimpleQueue[Prepared | None] = queue.SimpleQueue()
        self._work.put(_Work(store, iter(ready.get, None), track, done))
        try:
            for part in parts:
                ready.put(part)
        finally:
            ready.put(None)

    def _opened(self) -> CallStore | None:
        # Bad settings, no driver: whatever it is, what is spooled can wait.
        if self._store is None and not self.delivery.until_done(self._open):
            self.stopped = True
        return self._store

    def _open(self) -> None:
        with importing.lock:
            self._store = self._open_store()

    def _parts(self, store: CallStore, chunks: Iterable[Sequence[Record]]) -> Iterator[Prepared]:
        for chunk in chunks:
            yield from self._prepared(store, chunk)
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
            work.store.catch_up(self._beside)
        else:
            self.stopped = True
