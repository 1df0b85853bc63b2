"""An event loop on a thread of its own, for code that has none."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop on a thread of its own, started when it is first needed.

    A forked child has the loop without its thread: it starts one of its own.
    """

    def __init__(self) -> None:
        self.forget()
        _loop_threads.add(self)

    def forget(self) -> None:
        """Begin anew, and leave what there is as it is."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, waiting on this thread."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop after closing what belongs to it."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or thread is threading.current_thread():
            return
        self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="cajanegra-loop", daemon=True
                )
                self._thread.start()
            return self._loop


_loop_threads: weakref.WeakSet[LoopThread] = weakref.WeakSet()
_inherited_loops: list[asyncio.AbstractEventLoop] = []
"""Closing a loop in a forked child would reach into the parent's epoll; kept, they are never collected."""


def _begin_anew_in_child() -> None:
    for one in _loop_threads:
        if one._loop is not None:  # noqa: SLF001 - of this module
            _inherited_loops.append(one._loop)  # noqa: SLF001
        one.forget()


os.register_at_fork(after_in_child=_begin_anew_in_child)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
