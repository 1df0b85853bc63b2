"""One small adapter per candidate: ``plain`` reads a whole answer, ``stream`` a stream piece by piece.

Each library is imported where it is used: only the measured one is loaded, and none has to be installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Protocol

HEADERS = {"content-type": "application/json", "authorization": "Bearer test"}


class Client(Protocol):
    async def plain(self, url: str, body: bytes) -> int: ...

    async def stream(self, url: str, body: bytes) -> int: ...


class Floor:
    """asyncio streams and the least HTTP that reads this one server: what no client can beat."""

    def __init__(self) -> None:
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def _send(self, url: str, body: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, path = url.removeprefix("http://").partition("/")
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            name, _, port = host.partition(":")
            reader, writer = await asyncio.open_connection(name, int(port))
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        writer.write(
            f"POST /{path} HTTP/1.1\r\nhost: {host}\r\n{head}content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        return reader, writer

    async def plain(self, url: str, body: bytes) -> int:
        reader, writer = await self._send(url, body)
        head = await reader.readuntil(b"\r\n\r\n")
        answer = await reader.readexactly(int(head.rsplit(b"content-length: ", 1)[1]))
        self._idle.append((reader, writer))
        return len(answer)

    async def stream(self, url: str, body: bytes) -> int:
        reader, writer = await self._send(url, body)
        await reader.readuntil(b"\r\n\r\n")
        total = 0
        while size := int(await reader.readline(), 16):
            total += len(await reader.readexactly(size + 2)) - 2
        await reader.readline()
        self._idle.append((reader, writer))
        return total


@asynccontextmanager
async def floor() -> AsyncIterator[Client]:
    client = Floor()
    yield client
    for _, writer in client._idle:  # noqa: SLF001 - its own
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def aiohttp() -> AsyncIterator[Client]:
    import aiohttp as library

    class Adapter:
        async def plain(self, url: str, body: bytes) -> int:
            async with session.post(url, data=body, headers=HEADERS) as response:
                return len(await response.read())

        async def stream(self, url: str, body: bytes) -> int:
            total = 0
            async with session.post(url, data=body, headers=HEADERS) as response:
                async for data in response.content.iter_any():
                    total += len(data)
            return total

    async with library.ClientSession(connector=library.TCPConnector(limit=0)) as session:
        yield Adapter()


@asynccontextmanager
async def httpx2() -> AsyncIterator[Client]:
    library = import_module("httpx2")

    class Adapter:
        async def plain(self, url: str, body: bytes) -> int:
            return len((await client.post(url, content=body, headers=HEADERS)).content)

        async def stream(self, url: str, body: bytes) -> int:
            total = 0
            async with client.stream("POST", url, content=body, headers=HEADERS) as response:
                async for data in response.aiter_raw():
                    total += len(data)
            return total

    async with library.AsyncClient(limits=library.Limits(max_connections=None)) as client:
        yield Adapter()


@asynccontextmanager
async def pyreqwest() -> AsyncIterator[Client]:
    library = import_module("pyreqwest.client")

    class Adapter:
        async def plain(self, url: str, body: bytes) -> int:
            response = await client.post(url).headers(HEADERS).body_bytes(body).build().send()
            return len(await response.bytes())

        async def stream(self, url: str, body: bytes) -> int:
            total = 0
            async with client.post(url).headers(HEADERS).body_bytes(body).build_streamed() as response:
                while (data := await response.body_reader.read_chunk()) is not None:
                    total += len(data)
            return total

    async with library.ClientBuilder().build() as client:
        yield Adapter()


@asynccontextmanager
async def niquests() -> AsyncIterator[Client]:
    library = import_module("niquests")

    class Adapter:
        async def plain(self, url: str, body: bytes) -> int:
            return len((await session.post(url, data=body, headers=HEADERS)).content or b"")

        async def stream(self, url: str, body: bytes) -> int:
            total = 0
            response = await session.post(url, data=body, headers=HEADERS, stream=True)
            async for data in await response.iter_raw():
                total += len(data)
            return total

    async with library.AsyncSession(pool_maxsize=64) as session:
        yield Adapter()


CLIENTS = {"floor": floor, "aiohttp": aiohttp, "httpx2": httpx2, "pyreqwest": pyreqwest, "niquests": niquests}
