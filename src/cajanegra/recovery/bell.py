"""Wakes waiting calls, on whatever event loop they wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable


class Bell:
    """Rings for all who listen at that moment. Safe for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    async def wait(self, sleep: Awaitable[None]) -> None:
        """Wait until it rings next, or ``sleep`` has ended."""
        loop = asyncio.get_running_loop()
        rung = loop.create_future()
        with self._lock:
            self._listeners[rung] = loop
        slept = asyncio.ensure_future(sleep)
        try:
            await asyncio.wait((rung, slept), return_when=asyncio.FIRST_COMPLETED)
        finally:
            with self._lock:
                self._listeners.pop(rung, None)
            rung.cancel()
            slept.cancel()

    def ring(self) -> None:
        """Wake everybody."""
        if not self._listeners:
            return
        with self._lock:
            listeners, self._listeners = self._listeners, {}
        for future, loop in listeners.items():
            try:
                loop.call_soon_threadsafe(_wake, future)
            except RuntimeError:  # the loop was closed with its calls
                continue


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
