"""A client that asks and does not read is cut off, and whoever writes to it is told."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server

from cajanegra.server import protocol
from cajanegra.server.protocol import Protocol

PIECE = bytes(2**16)


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "READ_TIMEOUT", 0.1)
    assert asyncio.run(_asked_by(reads=False)) == "cut off"


def test_a_client_that_reads_slowly_gets_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "READ_TIMEOUT", 30)
    assert asyncio.run(_asked_by(reads=True)) == "whole"


async def _asked_by(*, reads: bool) -> str:
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def application(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.create_task(_gone(receive))
        for _ in range(400):  # more than both sockets hold
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            if gone.done():
                ended.set_result("cut off")
                return
        await send({"type": "http.response.body", "body": b""})
        gone.cancel()
        ended.set_result("whole")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = Config(application, http=Protocol, ws="none", lifespan="off", log_config=None)
        server = Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        if reads:
            while not (await reader.read(2**16)).endswith(b"0\r\n\r\n"):
                pass
        found = await asyncio.wait_for(ended, 60)
        writer.close()
        server.should_exit = True
        await serving
    return found


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
