"""The bounded queue between the callers' threads and the writer."""

from __future__ import annotations

import threading
from collections import deque

from cajanegra.domain.events import Begin, Event, Finish, Step

CAPACITY = 100_000
"""Events kept while the database is away: some 100 MB of memory, at a kilobyte each."""


class Barrier(threading.Event):
    """Stands in the queue behind all that came before it; set when that has been written or given up."""


class EventQueue:
    """Events on their way to the writer, in memory.

    Appending never waits: a deque's own operations are atomic, so no lock is shared with the writer. When the
    queue is full new calls are not taken, while the steps and the end of calls already begun still are (up to
    twice the capacity): half a call is worth less than none. Who takes from the queue says what was dropped.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.dropped = 0
        """Calls and feedback not taken because the queue was full or closed."""
        self._events: deque[Event | Barrier] = deque()
        self._closed = False
        self._refused: set[str] = set()
        self._refusing = threading.Lock()

    def append(self, event: Event) -> None:
        """Take an event without waiting and without raising."""
        if (len(self._events) >= self.capacity or self._refused or self._closed) and self._refuses(event):
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

    def close(self) -> None:
        """Take no more events."""
        self._closed = True

    def __len__(self) -> int:
        return len(self._events)

    def _refuses(self, event: Event) -> bool:
        with self._refusing:  # held for no longer than this; the writer never takes it
            if isinstance(event, Step | Finish):
                return self._refuses_the_rest(event)
            if not self._closed and len(self._events) < self.capacity:
                return False
            self.dropped += 1
            if isinstance(event, Begin) and len(self._refused) < self.capacity:
                self._refused.add(event.call)
            return True

    def _refuses_the_rest(self, event: Step | Finish) -> bool:
        if event.call in self._refused:
            if isinstance(event, Finish):
                self._refused.discard(event.call)
            return True
        return self._closed or len(self._events) >= 2 * self.capacity
