"""Whether the gateway holds on to memory: ``python -m benchmarks.gateway.leaks --requests 1000000``.

Requests that are answered, and streams whose client goes away in the middle. What counts is the memory of its
processes after a tenth of them, when it is warm, and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.gateway import load, processes
from benchmarks.gateway.contestants import MODEL, PATH, contestants, upstream_command

CONNECTIONS = 64
PAUSE = 0.01
"""Seconds between two events of a stream, which makes a fifth of a second for the whole."""
PARTS = 10


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gateway.leaks", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--cut", type=int, default=50_000, help="streams")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory, upstream, port = Path(name), processes.free_port(), processes.free_port()
        with processes.running(upstream_command(upstream, pause=PAUSE), upstream, 1, directory):
            ours = next(one for one in contestants(directory, port, upstream) if one.name == "cajanegra")
            with processes.running(ours.command, port, 0, directory, ours.environment) as pid:
                plain = load.request(PATH, ours.headers, model=MODEL, streamed=False)
                streamed = load.request(PATH, ours.headers, model=MODEL, streamed=True)
                _grow(pid, "requests", options.requests, lambda count: _answered(port, plain, count))
                _grow(pid, "cut streams", options.cut, lambda count: _cut(port, streamed, count))


def _grow(pid: int, what: str, count: int, ask: Callable[[int], Awaitable[None]]) -> None:
    held = []
    for _part in range(PARTS):
        asyncio.run(_waited(ask(count // PARTS)))
        held.append(processes.memory(pid))
    growth = 100 * (held[-1] / held[0] - 1)
    print(f"{count:,} {what}: {' '.join(f'{one:.0f}' for one in held)} MB, growth {growth:.1f} %", flush=True)


async def _waited(asking: Awaitable[None]) -> None:
    await asking


async def _answered(port: int, sent: bytes, count: int) -> None:
    left = count

    async def connection() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0:
            left -= 1
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            if b" 200 " not in head[:20] or load.EXPECTED not in await reader.readexactly(length):
                raise RuntimeError(f"not what the upstream says: {head[:200]!r}")
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(connection())


async def _cut(port: int, sent: bytes, count: int) -> None:
    left = count

    async def leave() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head[:20]:
                raise RuntimeError(f"not what the upstream says: {head[:200]!r}")
            await reader.readline()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(leave())


if __name__ == "__main__":
    main()
