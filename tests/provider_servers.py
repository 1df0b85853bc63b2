"""Real HTTP servers that do exactly what a test says, and a failure reader that knows statuses only."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cajanegra.domain.call import ChatRequest, Chunk
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.ports import Provider
from cajanegra.providers.registry import build

KINDS = {
    400: FailureKind.INVALID_REQUEST,
    401: FailureKind.AUTH,
    404: FailureKind.MODEL_NOT_FOUND,
    429: FailureKind.RATE_LIMIT,
    500: FailureKind.SERVER_ERROR,
    503: FailureKind.OVERLOADED,
}


class StatusReader:
    """Reads a failure's kind off the status, and keeps what it was given."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.headers: list[Mapping[str, str]] = []

    def from_response(
        self, *, provider: str, model: str | None, status: int, headers: Mapping[str, str], body: str
    ) -> Failure:
        self.bodies.append(body)
        self.headers.append(headers)
        kind = KINDS.get(status, FailureKind.UNKNOWN)
        return Failure(kind, body[:200], provider, model, http_status=status)

    def from_exception(self, error: BaseException, *, provider: str, model: str | None) -> Failure:
        return Failure(FailureKind.UNKNOWN, str(error), provider, model)


@dataclass
class Exchange:
    """One request as a server sees it, and the connection to answer on."""

    head: str
    body: Any
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        try:
            while await self.reader.read(1024):
                pass
        except ConnectionError:
            return


Script = Callable[[Exchange], Awaitable[None]]


@dataclass
class Server:
    port: int
    scheme: str = "http"
    connections: int = 0
    requests: list[Any] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@asynccontextmanager
async def serve(script: Script, certificate: str | None = None) -> AsyncIterator[Server]:
    """A server on a free port of loopback that runs ``script`` for every request.

    A connection stays open for the next request unless the script closes its writer.
    """
    server = Server(0)
    tasks: set[asyncio.Task[None]] = set()
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.scheme = "https"

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.ensure_future(_converse(server, script, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _converse(
    server: Server, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            server.heads.append(head)
            server.requests.append(body)
            await script(Exchange(head, body, reader, writer))
    except (asyncio.IncompleteReadError, ConnectionError):
        return  # the client has closed the connection
    finally:
        writer.transport.abort() if writer.is_closing() else writer.close()


def http(
    body: bytes, *, status: int = 200, content_type: str = "application/json", headers: str = ""
) -> bytes:
    """A whole response."""
    head = (
        f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def answers(body: Any, **options: Any) -> Script:
    """Every request gets this answer: bytes as they are, anything else as JSON."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def script(exchange: Exchange) -> None:
        await exchange.send(http(encoded, **options))

    return script


def streams(*pieces: bytes, content_type: str = "text/event-stream", cut: bool = False) -> Script:
    """Every request gets these pieces, each as one chunk; ``cut`` closes before the stream's end."""

    async def script(exchange: Exchange) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        await exchange.send(head.encode(), *(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces))
        if cut:
            exchange.writer.close()
        else:
            await exchange.send(b"0\r\n\r\n")

    return script


def event(data: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def chat_completion(
    content: str | None = "Hola.", finish_reason: str | None = "stop", **message: Any
) -> dict[str, Any]:
    """A chat completion in OpenAI's form."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": content, **message},
            }
        ],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": 5,
            "total_tokens": 25,
            "prompt_tokens_details": {"cached_tokens": 16},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }


def delta(content: str | None = None, finish_reason: str | None = None, **fields: Any) -> bytes:
    """One event of a streamed chat completion."""
    changes = {**({"content": content} if content is not None else {}), **fields}
    choice = {"index": 0, "delta": changes, "finish_reason": finish_reason}
    return event({"object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06", "choices": [choice]})


DONE = event(b"[DONE]")

QUESTION = ChatRequest([{"role": "user", "content": "Hola"}])
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def provider(url: str, kind: str = "openai") -> Provider:
    """A provider of this kind at this URL, with a key and a reader that knows statuses only."""
    return build(
        kind=kind, name=kind, base_url=url, api_key="sk-secret", context_window=None, reader=StatusReader()
    )


async def consume(chunks: AsyncIterator[Chunk]) -> None:
    """Read a stream to its end."""
    async for _ in chunks:
        pass
