"""Brings prepared records to the store, however long that takes."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from cajanegra.domain.record import Batch, Record
from cajanegra.errors import CajanegraError, RejectedError, StorageError
from cajanegra.ports import CallStore, Prepared
from cajanegra.recording.throttle import Throttle

logger = logging.getLogger("cajanegra")

FIRST_WAIT = 0.2
MAX_WAIT = 30.0
"""Seconds between two tries of a database that is away: the first doubled each time, with jitter."""


class Delivery:
    """Writes to a ``CallStore``.

    What the store cannot take now is tried again, with growing waits. What it refuses for its content is
    halved until the record it refuses is alone; that one goes to the quarantine.

    Args:
        set_aside: keeps a refused record with the reason; whether it could.
        wait: waits for that many seconds, or less when there is a reason to hurry.
        timer: seconds of a monotonic clock.
    """

    def __init__(
        self,
        set_aside: Callable[[Record, str], bool],
        wait: Callable[[float], object],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.written = 0
        """Calls that the store has."""
        self.refused = 0
        """Records that the store refused and the quarantine has."""
        self.lost = 0
        """Records that the store refused and that are not kept either."""
        self._set_aside = set_aside
        self._wait = wait
        self._timer = timer
        self._give_up_at = float("inf")
        self._outage = Throttle(timer)

    def give_up_in(self, seconds: float) -> None:
        """Try for that long from now on; what is left then stays where it is."""
        self._give_up_at = self._timer() + seconds

    def deliver(self, store: CallStore, parts: Iterator[Prepared], track: str) -> bool:
        """Write the parts, as they come; whether all of them are in the database, or in quarantine."""
        taken: list[Prepared] = []
        pending: list[list[Prepared]] = [taken]
        coming: Iterable[Prepared] = _noting(parts, taken)
        wait = FIRST_WAIT
        while pending:
            batch = pending.pop()
            try:
                self.written += store.write(coming if batch is taken else batch, track)
            except Exception as error:  # noqa: BLE001 - the writer's thread outlives whatever a store does
                taken += parts  # what was still to come when the first try failed
                coming = taken
                if _may_pass(error):
                    pending.append(batch)
                    if not self.wait_after(error, wait):
                        return False
                    wait = min(2 * wait, MAX_WAIT)
                else:
                    pending += self._halves(store, batch, error)
            else:
                wait = FIRST_WAIT
                self._outage.reset()
        return True

    def until_done(
        self, attempt: Callable[[], object], passing: tuple[type[Exception], ...] = (Exception,)
    ) -> bool:
        """Try something until it raises nothing that may pass; whether there was time for that."""
        wait = FIRST_WAIT
        while True:
            try:
                attempt()
            except passing as error:
                if not self.wait_after(error, wait):
                    return False
                wait = min(2 * wait, MAX_WAIT)
            else:
                return True

    def wait_after(self, error: Exception, seconds: float) -> bool:
        """Wait before the next try; whether there is time for one."""
        left = self._give_up_at - self._timer()
        if left <= 0:
            logger.warning("calls stay in the spool until somebody drains it: %s", reason(error))
            return False
        if self._outage.due():
            logger.warning("calls wait to be written: %s", reason(error))
        jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads the load of many hosts, hides nothing
        self._wait(min(seconds * jitter, left))
        return True

    def refuse(self, record: Record, error: Exception) -> None:
        """Set aside a record that cannot be written."""
        if self._set_aside(record, reason(error)):
            self.refused += 1
        else:
            self.lost += 1

    def _halves(self, store: CallStore, parts: list[Prepared], error: Exception) -> list[list[Prepared]]:
        """What is still to be written of parts that were refused, the first last."""
        if len(parts) != 1:
            middle = len(parts) // 2
            return [half for half in (parts[middle:], parts[:middle]) if half]
        records = sorted(parts[0].batch, key=lambda record: record.position)
        middle = _between(records)
        if middle == 0:
            for record in records:
                self.refuse(record, error)
            return []
        halves = records[middle:], records[:middle]
        return [[store.prepare(Batch.of(half))] for half in halves]


def _noting(parts: Iterator[Prepared], taken: list[Prepared]) -> Iterator[Prepared]:
    """The parts, each noted when it is taken."""
    for part in parts:
        taken.append(part)
        yield part


def _between(records: Sequence[Record]) -> int:
    """The place nearest to the middle between records of different positions; 0 where there is none."""
    places = [
        place for place in range(1, len(records)) if records[place - 1].position != records[place].position
    ]
    return min(places, key=lambda place: abs(2 * place - len(records)), default=0)


def _may_pass(error: Exception) -> bool:
    """Whether it says nothing of the rows: the database is away, or this machine is out of something."""
    if isinstance(error, StorageError):
        return not isinstance(error, RejectedError)
    return isinstance(error, OSError | MemoryError)


def reason(error: Exception) -> str:
    """What may be logged: our own errors are written to be shown, others may quote what was recorded."""
    return str(error) if isinstance(error, CajanegraError) else f"unexpected {type(error).__name__}"
