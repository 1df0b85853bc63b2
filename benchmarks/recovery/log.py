"""What the providers write down of each request, and the time by which they do."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass


@dataclass(slots=True)
class Entry:
    """One request as a provider saw it.

    Attributes:
        provider: index of the provider.
        key: the key that it came with.
        number: the call that it belongs to, as far as the prompt still tells.
        at: when it came, seconds from the beginning of the world.
        body: digest of the body.
        streamed: whether the answer was wanted piece by piece.
        fault: what it met; empty where it was answered.
        answered: when the answer, or the head of a stream, was on its way; ``None`` where none was.
        wait_until: when the provider said to come back.
        content: whether a stream brought content.
        gone: whether the client closed the connection before it was answered in full.
    """

    provider: int
    key: str
    number: int | None
    at: float
    body: str
    streamed: bool
    fault: str = ""
    answered: float | None = None
    wait_until: float | None = None
    content: bool = False
    gone: bool = False


class Clock:
    """Seconds from the beginning of the world; negative before it."""

    def __init__(self) -> None:
        self._begin = math.inf
        self.begun = asyncio.Event()

    def begin(self, at: float) -> None:
        """The world begins at this ``time.monotonic``."""
        self._begin = at
        self.begun.set()

    def __call__(self) -> float:
        return time.monotonic() - self._begin
