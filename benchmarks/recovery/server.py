"""The three providers, in a process of their own.

``python -m benchmarks.recovery.server SEED SCENARIO RATE`` prints its ports as JSON, reads the time at which
the world begins from standard input (``time.monotonic``, which all processes of a machine share), and at its
end prints its log as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import os
import socket
import sys
import time
from dataclasses import asdict, replace

from benchmarks.recovery import wire
from benchmarks.recovery.calls import number_of
from benchmarks.recovery.exchange import Exchange
from benchmarks.recovery.log import Clock, Entry
from benchmarks.recovery.model import Request
from benchmarks.recovery.scenarios import make_world
from benchmarks.recovery.world import ERROR_SECONDS, LIMITED, PROVIDERS, Fault, Kind, Shape, World


class Provider:
    """One provider on a port of its own.

    Args:
        world: what it does when.
        index: which provider it is.
        clock: the world's time.
        log: where it writes down each request.
    """

    def __init__(self, world: World, index: int, clock: Clock, log: list[Entry]) -> None:
        self._world = world
        self._index = index
        self._clock = clock
        self._log = log
        self._limit: tuple[float, Fault] = (-math.inf, Fault(Kind.RATE_LIMIT))
        self._writers: set[asyncio.StreamWriter] = set()
        self._conversations: set[asyncio.Task[None]] = set()
        # Bound and not listening, it keeps the port while connections are refused.
        self._guard = _bound(0)
        self.port: int = self._guard.getsockname()[1]
        self._listener: asyncio.Server | None = None

    async def run(self) -> None:
        """Serve until cancelled, and refuse connections when the world says so."""
        await self._listen()
        await self._clock.begun.wait()
        for start, end in sorted(self._world.refusals(self._index)):
            await asyncio.sleep(max(start - self._clock(), 0))
            if end > self._clock():
                self._refuse()
                await asyncio.sleep(max(end - self._clock(), 0))
                await self._listen()
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Stop serving, break off every conversation and give the port back."""
        self._refuse()
        for one in list(self._conversations):
            one.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        self._guard.close()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._connected, sock=_bound(self.port), limit=1 << 22)

    def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._converse(reader, writer))
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while request := await _read(reader):
                entry = self._enter(request)
                try:
                    await self._serve(request, entry, reader, writer)
                except ConnectionError:
                    entry.gone = True
                    break
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away between two requests
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _enter(self, request: Request) -> Entry:
        entry = Entry(
            self._index,
            request.key,
            number_of(request.messages),
            self._clock(),
            hashlib.sha256(request.body).hexdigest()[:16],
            request.streamed,
        )
        self._log.append(entry)
        return entry

    async def _serve(
        self, request: Request, entry: Entry, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        shape = request.shape
        limit = self._limit_in_force(entry)
        fault = limit or self._world.fault(self._index, entry.at, _number(entry), shape)
        entry.fault = fault.kind if fault else ""
        exchange = Exchange(request, entry, self._clock, reader, writer)
        if fault is None or (error := self._error(fault, entry, request.model, shape)) is None:
            await exchange.answer(fault, self._world.latency(self._index, _number(entry)))
            return
        if limit is None and entry.wait_until is not None:
            self._limit = (entry.wait_until, fault)
        await asyncio.sleep(ERROR_SECONDS)
        await exchange.send(error)

    def _limit_in_force(self, entry: Entry) -> Fault | None:
        """A limit that was announced holds to its end, which a word that is rounded up puts later."""
        until, limit = self._limit
        return replace(limit, amount=until - entry.at) if entry.at < until else None

    def _error(self, fault: Fault, entry: Entry, model: str, shape: Shape) -> bytes | None:
        if fault.kind not in LIMITED:
            return wire.refusal_to_serve(fault, model, shape)
        error, seconds = wire.limited(fault.kind, fault.amount, fault.form, time.time())
        if seconds is not None:
            entry.wait_until = self._clock() + seconds
        return error


def _number(entry: Entry) -> int:
    return -1 if entry.number is None else entry.number


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    try:
        asked = json.loads(body)
    except ValueError:
        asked = {}
    key = headers.get("authorization", "").removeprefix("Bearer ")
    return Request(key, body, asked if isinstance(asked, dict) else {})


def _bound(port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", port))
    return one


async def _main(world: World) -> None:
    clock, log = Clock(), list[Entry]()
    providers = [Provider(world, index, clock, log) for index in range(len(PROVIDERS))]
    running = [asyncio.ensure_future(provider.run()) for provider in providers]
    print(json.dumps([provider.port for provider in providers]), flush=True)
    clock.begin(float(await asyncio.to_thread(sys.stdin.readline)))
    await asyncio.to_thread(sys.stdin.readline)  # closed when the last call has ended
    for one in running:
        one.cancel()
    print(json.dumps([asdict(entry) for entry in log if entry.at >= 0]), flush=True)
    os._exit(0)  # conversations that hang would have to be told one by one


if __name__ == "__main__":
    asyncio.run(_main(make_world(sys.argv[2], int(sys.argv[1]), float(sys.argv[3]))))
