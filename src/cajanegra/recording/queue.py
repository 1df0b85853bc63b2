"""The bounded queue between the callers' threads and the writer."""

from __future__ import annotations

import logging
import threading
from collections import deque

from cajanegra.domain.events import Begin, Event, Feedback, Finish

logger = logging.getLogger("cajanegra")

CAPACITY = 100_000
"""Events kept while the database is away: some 100 MB of memory, at a kilobyte each."""


class Barrier(threading.Event):
    """Stands in the queue behind all that came before it; set when that has been written or given up."""


class EventQueue:
    """Events on their way to the writer, in memory.

    Appending never waits: a deque's own operations are atomic, so no lock is shared with the writer. When
    the queue is full new calls are not taken, while the steps and the end of calls already begun still
    are: half a call is worth less than none.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.dropped = 0
        """Calls and feedback not taken because the queue was full."""
        self._events: deque[Event | Barrier] = deque()
        self._refused: set[str] = set()

    def append(self, event: Event) -> None:
        """Take an event without waiting and without raising."""
        if isinstance(event, Begin | Feedback):
            if len(self._events) >= self.capacity:
                self._refuse(event)
                return
        elif self._refused and event.call in self._refused:
            if isinstance(event, Finish):
                self._refused.discard(event.call)
            return
        self._events.append(event)

    def barrier(self) -> Barrier:
        """Put a barrier behind everything that was appended so far."""
        barrier = Barrier()
        self._events.append(barrier)
        return barrier

    def take(self, most: int) -> list[Event | Barrier]:
        """Remove and return up to ``most`` entries, oldest first."""
        events = self._events
        return [events.popleft() for _ in range(min(most, len(events)))]

    def __len__(self) -> int:
        return len(self._events)

    def _refuse(self, event: Begin | Feedback) -> None:
        if self.dropped % 1000 == 0:
            logger.error(
                "the recorder's queue is full (%d events), so new calls are not recorded: "
                "the database is away or too slow",
                self.capacity,
            )
        self.dropped += 1
        if isinstance(event, Begin) and len(self._refused) < self.capacity:
            self._refused.add(event.call)
