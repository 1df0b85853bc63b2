"""Keeps a log readable when the same thing goes wrong a thousand times."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS_BETWEEN = 60.0


class Throttle:
    """Says whether it is time to say it again."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._next = float("-inf")

    def due(self) -> bool:
        """Whether nothing was said in the last minute; if so, something is said now."""
        now = self._timer()
        if now < self._next:
            return False
        self._next = now + SECONDS_BETWEEN
        return True

    def reset(self) -> None:
        """It is over: the next time is a first time."""
        self._next = float("-inf")
