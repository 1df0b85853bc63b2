"""Shares the interpreter: the writer works in small pieces and gives way to the application's threads.

A thread that computes keeps the interpreter's lock until somebody has asked for it for five milliseconds
(``sys.setswitchinterval``), which is long for an event loop. So the writer stops by itself after each piece
of half a millisecond. How late it gets the lock back tells how busy the others are; when they are, it rests.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PIECE = 0.000_4
"""Seconds of work before others get their turn."""
TURN = 0.000_4
"""Seconds of sleep in which a waiting thread takes over. It has to be woken first, for which a virtual
machine may need a quarter of a millisecond; in less, the writer has the lock back before anybody else."""
BUSY = 0.001
"""Seconds beyond its turn that another thread must have worked to count as busy."""
REST = 0.02
"""Seconds to leave a busy application alone: the writer then takes about one fiftieth of its time."""


class Pace:
    """To be called between small pieces of work.

    Args:
        urgent: whether the work cannot wait for a quieter moment.
        sleep: waits for so many seconds.
        timer: seconds of a monotonic clock.
    """

    def __init__(
        self,
        urgent: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], object] = time.sleep,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._urgent = urgent
        self._sleep = sleep
        self._timer = timer
        self._since = timer()

    def __call__(self) -> None:
        """Give way, if it is time to and the work can wait."""
        if self._timer() - self._since >= PIECE and not self._urgent():
            self.give_way()

    def briefly(self) -> None:
        """Give way without a rest, if it is time to: somebody may wait for what is being done."""
        if self._timer() - self._since >= PIECE and not self._urgent():
            self._sleep(TURN)
            self._since = self._timer()

    @property
    def is_urgent(self) -> bool:
        """Whether the work cannot wait for a quieter moment."""
        return self._urgent()

    def give_way(self) -> bool:
        """Let others work; whether they were busy."""
        before = self._timer()
        self._sleep(TURN)
        busy = self._timer() - before > TURN + BUSY
        if busy and not self._urgent():
            self._sleep(REST)
        self._since = self._timer()
        return busy

    def wait_for_calm(self, at_most: float) -> None:
        """Wait until nobody else is busy, or so many seconds."""
        until = self._timer() + at_most
        while not self._urgent() and self._timer() < until and self.give_way():
            pass
