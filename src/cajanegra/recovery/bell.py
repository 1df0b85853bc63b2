"""Wakes waiting calls, on whatever event loop they wait."""

from __future__ import annotations

import asyncio
import threading


class Bell:
    """Rings for all who listen at that moment. Safe for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def listen(self) -> asyncio.Future[None]:
        """A future of the running loop that is done when the bell rings next."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            self._listeners[future] = loop
        return future

    def leave(self, future: asyncio.Future[None]) -> None:
        """Listen no longer."""
        with self._lock:
            self._listeners.pop(future, None)

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
