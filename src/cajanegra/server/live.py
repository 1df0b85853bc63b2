"""Who follows the calls as they are written: one look at the database for all of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cajanegra.domain.principal import Scope
from cajanegra.server.problems import ProblemError
from cajanegra.storage.database import Database
from cajanegra.storage.tail import Horizon

LOOK_EVERY = 0.5
"""Seconds between two looks at how far the calls are complete."""
MAX_FOLLOWERS = 100
"""Streams at a time, in one process."""
MAX_OF_SCOPE = 20
"""Streams of one tenant, or of those who see all, so that none shuts the others out."""


class Live:
    """Knows how far the calls are complete, and counts who follows them. Safe for all threads.

    Args:
        database: the primary; a standby does not know what is being written.
        timer: seconds of a monotonic clock.
    """

    def __init__(self, database: Database, timer: Callable[[], float] = time.monotonic) -> None:
        self._horizon = Horizon(database)
        self._timer = timer
        self._looking = threading.Lock()
        self._next_look = float("-inf")
        self._counting = threading.Lock()
        self._followers: Counter[Scope] = Counter()

    def reached(self) -> int | None:
        """No call with this id or a smaller one will appear any more; ``None`` while that is not known.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._looking:
            if self._timer() >= self._next_look:
                self._horizon.advance()
                self._next_look = self._timer() + LOOK_EVERY
            return self._horizon.reached

    @contextmanager
    def follower(self, scope: Scope) -> Iterator[None]:
        """A place for one stream.

        Raises:
            ProblemError: 429, there are too many of them.
        """
        with self._counting:
            if self._followers.total() >= MAX_FOLLOWERS or self._followers[scope] >= MAX_OF_SCOPE:
                raise ProblemError(429, "too many streams are open; try again later", {"Retry-After": "10"})
            self._followers[scope] += 1
        try:
            yield
        finally:
            with self._counting:
                self._followers[scope] -= 1
                if not self._followers[scope]:
                    del self._followers[scope]
