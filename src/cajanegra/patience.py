"""A limit for many short waits, one after the other, that takes one timer for all of them."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

NEAR = 1.0
"""Seconds within which a wait that may end has a timer of its own."""


class Patience:
    """Ends a wait that takes too long, as ``asyncio.timeout`` does, which arms and disarms a timer each time.

    Here a timer is left as it is when its wait is over. When it rings it looks how long the wait of now may
    take, and is set anew. A stream has thousands of waits, hardly one of which comes near its limit.

    ``with patience.until(at): await something`` raises ``TimeoutError``; one wait at a time, on one loop.
    Whoever has it closes it, unless its last wait has raised.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._among: set[Patience] | None = None
        """Those that have a timer in common instead."""
        self._rings_at = 0.0
        self._until = 0.0
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._is_over = False

    def until(self, at: float) -> Self:
        """The next wait ends at a time of the loop at the latest."""
        self._until = at
        return self

    def within(self, seconds: float) -> Self:
        """The next wait takes so many seconds at most."""
        self._until = self._loop.time() + seconds
        return self

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._among is not None:
            self._among.discard(self)
            self._among = None

    def come_near(self) -> None:
        """Take a timer of its own: the second in which it rings is near."""
        self._among = None
        self._timer = self._loop.call_at(self._rings_at, self._ring)

    def __enter__(self) -> None:
        self._task = task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("only a task can wait")
        self._cancelling = task.cancelling()
        if self._until < self._rings_at or (self._timer is None and self._among is None):
            self._set()

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if error is not None:
            self.close()
        if self._is_over:
            self._is_over = False
            is_ours = task is not None and task.uncancel() <= self._cancelling
            if is_ours and isinstance(error, asyncio.CancelledError):
                raise TimeoutError from error

    def _set(self) -> None:
        self.close()
        self._rings_at = self._until
        if self._until - self._loop.time() > NEAR:
            self._among = _far_of(self._loop).join(self, self._until)
        else:
            self.come_near()

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._until > self._loop.time():
            self._set()
        else:
            self._is_over = True
            self._task.cancel()


class _Far:
    """Waits on one loop that may end later, by the second in which they do: one timer for all of a second.

    Hardly any of them gets there, and a place in a set costs a tenth of a timer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._by_second: dict[int, set[Patience]] = {}

    def join(self, patience: Patience, at: float) -> set[Patience]:
        """Come near in time; those that do so together."""
        second = int(at)
        together = self._by_second.get(second)
        if together is None:
            together = self._by_second[second] = set()
            self.loop.call_at(second, self._begin, second)
        together.add(patience)
        return together

    def _begin(self, second: int) -> None:
        for patience in self._by_second.pop(second):
            patience.come_near()


class _Here(threading.local):
    far: _Far | None = None


_here = _Here()


def _far_of(loop: asyncio.AbstractEventLoop) -> _Far:
    """What waits on the loop of this thread."""
    far = _here.far
    if far is None or far.loop is not loop:
        far = _here.far = _Far(loop)
    return far
