"""Brings records to the store, however long that takes."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from cajanegra.domain.record import Batch, CallRecord, FeedbackRecord
from cajanegra.errors import CajanegraError, RejectedError, StorageError
from cajanegra.ports import CallStore
from cajanegra.recording.assembler import Record
from cajanegra.recording.throttle import Throttle

logger = logging.getLogger("cajanegra")

FIRST_WAIT = 0.2
MAX_WAIT = 30.0
"""Seconds between two tries of a database that is away: the first doubled each time, with jitter."""


class Delivery:
    """Writes records to a ``CallStore``, which is opened when it is first needed.

    What the store cannot take now is kept and tried again, with growing waits. What it refuses for its
    content is halved until the record it refuses is alone; that one is counted, reported and left out.

    Args:
        open_store: opens the store; tried again when it raises.
        wait: waits for that many seconds, or less when there is a reason to hurry.
        timer: seconds of a monotonic clock.
    """

    def __init__(
        self,
        open_store: Callable[[], CallStore],
        wait: Callable[[float], object],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.written = 0
        """Calls that the store has."""
        self.lost = 0
        """Calls and feedback that the store refused, or that were given up."""
        self._open_store = open_store
        self._wait = wait
        self._timer = timer
        self._store: CallStore | None = None
        self._give_up_at = float("inf")
        self._gave_up = False
        self._outage = Throttle(timer)
        self._refusal = Throttle(timer)

    def give_up_in(self, seconds: float) -> None:
        """Try for that long from now on, then count what is left as lost."""
        self._give_up_at = self._timer() + seconds

    def deliver(self, records: list[Record]) -> None:
        """Write the records, or count them as lost. Returns when all of them are one or the other."""
        pending = [records] if records else []
        wait = FIRST_WAIT
        while pending:
            batch = pending.pop()
            if self._gave_up:
                self.lost += len(batch)
                continue
            try:
                self._write(batch)
            except Exception as error:  # noqa: BLE001 - the writer's thread outlives whatever a store does
                if self._store is None or _may_pass(error):
                    pending.append(batch)
                    self._wait_or_give_up(wait, error)
                    wait = min(2 * wait, MAX_WAIT)
                elif len(batch) == 1:
                    self.leave_out(error)
                else:
                    middle = len(batch) // 2
                    pending += [batch[middle:], batch[:middle]]
            else:
                wait = FIRST_WAIT

    def leave_out(self, error: Exception) -> None:
        """Count and report a record that cannot be written."""
        self.lost += 1
        if self._refusal.due():
            logger.error("a call was left out, %d so far: %s", self.lost, _reason(error))

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _write(self, records: list[Record]) -> None:
        if self._store is None:
            self._store = self._open_store()
        calls = [record for record in records if isinstance(record, CallRecord)]
        feedback = [record for record in records if isinstance(record, FeedbackRecord)]
        self._store.write(Batch(calls, feedback))
        self.written += len(calls)
        self._outage.reset()

    def _wait_or_give_up(self, seconds: float, error: Exception) -> None:
        left = self._give_up_at - self._timer()
        if left <= 0:
            self._gave_up = True
            logger.error("the recorder closes with calls that it could not write: %s", _reason(error))
            return
        if self._outage.due():
            logger.warning("calls wait to be written: %s", _reason(error))
        jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads the load of many hosts, hides nothing
        self._wait(min(seconds * jitter, left))


def _may_pass(error: Exception) -> bool:
    return isinstance(error, StorageError) and not isinstance(error, RejectedError)


def _reason(error: Exception) -> str:
    """What may be logged: our own errors are written to be shown, others may quote what was recorded."""
    return str(error) if isinstance(error, CajanegraError) else f"unexpected {type(error).__name__}"
