"""One of something per event loop, closed with its loop, left alone after a fork; aiohttp's sessions so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import aiohttp

T = TypeVar("T")

_OTHER_LOOP_SECONDS = 1.0
_OF_PARENT: list[Any] = []
"""What was inherited through a fork. Closing it would unregister the parent's sockets from its epoll."""


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    value: T
    keeper: AsyncGenerator[T]


class PerLoop(Generic[T]):
    """Safe to use from many loops in many threads.

    Args:
        keep: makes one, yields it once, and closes it when it is closed itself: a loop that ends closes its
            asynchronous generators first.
        is_usable: whether one that is there may still be used.
    """

    def __init__(
        self, keep: Callable[[], AsyncGenerator[T]], is_usable: Callable[[T], bool] = lambda _: True
    ) -> None:
        self._keep = keep
        self._is_usable = is_usable
        self._by_loop: dict[asyncio.AbstractEventLoop, _Kept[T]] = {}
        self._process = os.getpid()

    async def here(self) -> T:
        """The running loop's."""
        self._forget_parent()
        loop = asyncio.get_running_loop()
        kept = self._by_loop.get(loop)
        if kept is None or not self._is_usable(kept.value):
            for other in list(self._by_loop):
                if other.is_closed():
                    self._by_loop.pop(other, None)
            keeper = self._keep()
            kept = self._by_loop[loop] = _Kept(await anext(keeper), keeper)
        return kept.value

    async def aclose(self) -> None:
        """Close every one, those of other running loops included."""
        self._forget_parent()
        here = asyncio.get_running_loop()
        while self._by_loop:
            loop, kept = self._by_loop.popitem()
            if loop is here:
                await kept.keeper.aclose()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(_close(kept.keeper), loop)
                await asyncio.wait([asyncio.wrap_future(closing)], timeout=_OTHER_LOOP_SECONDS)

    def _forget_parent(self) -> None:
        if os.getpid() != self._process:
            _OF_PARENT.append(self._by_loop)
            self._by_loop, self._process = {}, os.getpid()


def sessions() -> PerLoop[aiohttp.ClientSession]:
    """The sessions of one provider, each with a pool of its own."""
    return PerLoop(_kept_session, lambda session: not session.closed)


async def _close(keeper: AsyncGenerator[Any]) -> None:
    await keeper.aclose()


async def _kept_session() -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that closes when its event loop does."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # how many calls may be in flight is not decided here
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )
    try:
        yield session
    finally:
        await session.close()
        await asyncio.sleep(0)  # the loop lets go of closed sockets in its next round
