"""One aiohttp session per event loop, closed with its loop, left alone after a fork."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import aiohttp

_OTHER_LOOP_SECONDS = 1.0
_OF_PARENT: list[Any] = []
"""Sessions inherited through a fork. Closing them would unregister the parent's sockets from its epoll."""


@dataclass(frozen=True, slots=True)
class _Session:
    client: aiohttp.ClientSession
    keeper: AsyncGenerator[aiohttp.ClientSession]


class Sessions:
    """The sessions of one provider. Safe to use from many loops in many threads."""

    def __init__(self) -> None:
        self._by_loop: dict[asyncio.AbstractEventLoop, _Session] = {}
        self._process = os.getpid()

    async def here(self) -> aiohttp.ClientSession:
        """The running loop's session."""
        self._forget_parent()
        loop = asyncio.get_running_loop()
        session = self._by_loop.get(loop)
        if session is None or session.client.closed:
            for other in list(self._by_loop):
                if other.is_closed():
                    self._by_loop.pop(other, None)
            keeper = _kept_session()
            session = self._by_loop[loop] = _Session(await anext(keeper), keeper)
        return session.client

    async def aclose(self) -> None:
        """Close every session, those of other running loops included."""
        self._forget_parent()
        here = asyncio.get_running_loop()
        while self._by_loop:
            loop, session = self._by_loop.popitem()
            if loop is here:
                await session.keeper.aclose()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(_close(session.keeper), loop)
                await asyncio.wait([asyncio.wrap_future(closing)], timeout=_OTHER_LOOP_SECONDS)

    def _forget_parent(self) -> None:
        if os.getpid() != self._process:
            _OF_PARENT.append(self._by_loop)
            self._by_loop, self._process = {}, os.getpid()


async def _close(keeper: AsyncGenerator[aiohttp.ClientSession]) -> None:
    await keeper.aclose()


async def _kept_session() -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that closes when its event loop does: a loop closes its async generators first."""
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
