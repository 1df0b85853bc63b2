"""The load: connections that ask again as soon as they have their answer; says how long each took."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

EXPECTED = b"word word"
"""In every plain answer; ``word`` and ``[DONE]`` are in every stream."""


@dataclass
class Load:
    """What a load has come to; seconds."""

    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.whole) / self.seconds

    def quantile(self, share: float, *, first: bool = False) -> float:
        values = sorted(self.first if first else self.whole)
        return values[min(int(len(values) * share), len(values) - 1)]


def request(path: str, headers: Mapping[str, str], *, model: str, streamed: bool) -> bytes:
    """The bytes of one request of usual size."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "What is it? " * 60}],
        "stream": streamed,
    }
    encoded = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"content-length: {len(encoded)}", "", ""]).encode() + encoded


async def run(port: int, sent: bytes, *, connections: int, seconds: float) -> Load:
    """Ask for so long.

    Raises:
        RuntimeError: an answer is not the upstream's.
    """
    load = Load()
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_connection(port, sent, begin + seconds, load))
    load.seconds = time.perf_counter() - begin
    return load


async def _connection(port: int, sent: bytes, until: float, load: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    while (began := time.perf_counter()) < until:
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await _body(reader, head, began, load)
        load.whole.append(time.perf_counter() - began)
        streamed = b"event-stream" in head
        good = b"[DONE]" in body and b"word" in body if streamed else EXPECTED in body
        if b" 200 " not in head[:20] or not good:
            raise RuntimeError(f"not what the upstream says: {head[:200]!r} {body[:300]!r}")
    writer.close()


async def _body(reader: asyncio.StreamReader, head: bytes, began: float, load: Load) -> bytes:
    if b"content-length:" in head:
        body = await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
        load.first.append(time.perf_counter() - began)
        return body
    pieces: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
        if len(pieces) == 1:
            load.first.append(time.perf_counter() - began)
    await reader.readline()
    return b"".join(pieces)
