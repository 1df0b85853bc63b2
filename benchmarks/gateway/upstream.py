"""A provider that costs next to nothing: ``python -m benchmarks.gateway.upstream PORT DELAY PAUSE``."""

from __future__ import annotations

import asyncio
import json
import sys

EVENTS = 20
_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-mini"}
_USAGE = {"prompt_tokens": 200, "completion_tokens": 160, "total_tokens": 360}
_ANSWER = json.dumps(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word " * 160}}
        ],
        "usage": _USAGE,
    }
).encode()
_PLAIN = (
    f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(_ANSWER)}\r\n\r\n".encode()
    + _ANSWER
)
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(delta: dict[str, str], finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    data = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


_PIECES = [
    *[_chunk(_event({"content": "word "}, None))] * (EVENTS - 1),
    _chunk(_event({}, "stop")) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n",
]


class _Provider(asyncio.Protocol):
    def __init__(self, delay: float, pause: float) -> None:
        self._delay = delay
        self._pause = pause
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a TCP server is given
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            whole = end + 4 + length
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            streamed = b'"stream":true' in body.replace(b" ", b"")
            loop = asyncio.get_running_loop()
            loop.call_later(self._delay, self._answer, streamed) if self._delay else self._answer(streamed)

    def _answer(self, streamed: bool) -> None:
        if not streamed:
            self._transport.write(_PLAIN)
            return
        self._transport.write(_STREAM)
        self._send(0)

    def _send(self, number: int) -> None:
        self._transport.write(_PIECES[number])
        if number + 1 < len(_PIECES) and not self._transport.is_closing():
            asyncio.get_running_loop().call_later(self._pause, self._send, number + 1)


async def _serve(port: int, delay: float, pause: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Provider(delay, pause), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), *map(float, sys.argv[2:])))
