"""What the gateway's record holds when clients leave, processes die, and settings change."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from sqlalchemy import text

from cajanegra.domain.keys import KeyLimits
from cajanegra.domain.principal import ALL_TENANTS, Role
from cajanegra.storage.database import Database
from gateway_server import START, Gateway, Upstream, gateway, provider, recorded, upstream, write_settings
from provider_servers import STREAM_HEAD, Exchange, answers, chat_completion, delta
from server_process import until

HELLO: Any = [{"role": "user", "content": "Hola"}]


@pytest.fixture
def first() -> Iterator[Upstream]:
    with upstream() as first:
        yield first


@pytest.fixture
def running(database: Database, first: Upstream, tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path, database, providers=[provider("openai", first.url)]) as running:
        yield running


def request(gateway: Gateway, key: str, body: Any, **headers: str) -> bytes:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: {gateway.host[0]}",
        f"Authorization: Bearer {key}",
        f"Content-Length: {len(encoded)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + encoded


class Hanging:
    """An upstream that begins an answer and then says nothing, and notes when it is left."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.asked = threading.Event()
        self.left = threading.Event()
        self.left_at = 0.0

    async def __call__(self, exchange: Exchange) -> None:
        for piece in self._pieces:
            await exchange.send(piece)
        self.asked.set()
        await exchange.gone()
        self.left_at = time.monotonic()
        self.left.set()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


LONG = [{"role": "user", "content": "palabra " * 50_000}]
"""More than the server reads ahead."""


@pytest.mark.parametrize(("streamed", "messages"), [(False, HELLO), (True, HELLO), (False, LONG)])
def test_a_client_that_leaves_closes_the_upstream_and_is_recorded(
    running: Gateway, first: Upstream, database: Database, *, streamed: bool, messages: list[dict[str, str]]
) -> None:
    hanging = Hanging(STREAM_HEAD, chunk(delta("Ho"))) if streamed else Hanging()
    first.script = hanging
    body = {"model": "gpt-4o-mini", "messages": messages, "stream": streamed}
    with socket.create_connection(running.host) as client:
        client.sendall(request(running, running.key(), body, X_Cajanegra_Request_Id="left"))
        assert hanging.asked.wait(START)
        if streamed:
            received = b""
            while b"Ho" not in received:
                received += client.recv(4096)
        left_at = time.monotonic()
    assert hanging.left.wait(START)
    assert hanging.left_at - left_at < 5  # seconds; 100 ms where the machine has nothing else to do
    call = recorded(database, "left").call
    assert (call["status"], call["error_code"]) == ("error", "cancelled")
    assert call["response_content_length"] == (2 if streamed else None)


def test_a_client_that_leaves_in_the_middle_of_its_next_request_is_missed(
    running: Gateway, first: Upstream, database: Database
) -> None:
    first.script = hanging = Hanging()
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a" * 200_000}]}
    sent = request(running, running.key(), body, X_Cajanegra_Request_Id="left")
    with socket.create_connection(running.host) as client:
        client.sendall(sent[:1_000])
        time.sleep(0.2)  # the gateway waits for the body; what follows comes in as few reads as may be
        client.sendall(sent[1_000:] + b"POST /v1/chat/comp")
        assert hanging.asked.wait(START)
    assert hanging.left.wait(START)
    assert recorded(database, "left").call["error_code"] == "cancelled"


def test_requests_that_come_together_are_answered_in_their_order(running: Gateway, first: Upstream) -> None:
    first.script = answers(chat_completion())
    body, key = {"model": "gpt-4o-mini", "messages": HELLO}, running.key()
    with socket.create_connection(running.host, timeout=START) as client:
        client.sendall(
            b"".join(request(running, key, body, X_Request_Id=name) for name in ("one", "two", "three"))
        )
        received = b""
        while b"x-request-id: three" not in received:
            received += client.recv(4096)
    found = [received.index(b"x-request-id: " + name) for name in (b"one", b"two", b"three")]
    assert found == sorted(found)


def test_a_client_that_leaves_with_a_further_request_waiting_is_told_to_the_one_under_way(
    running: Gateway, first: Upstream, database: Database
) -> None:
    first.script = hanging = Hanging()
    body, key = {"model": "gpt-4o-mini", "messages": HELLO}, running.key()
    with socket.create_connection(running.host) as client:
        both = (request(running, key, body, X_Cajanegra_Request_Id=name) for name in ("begun", "waiting"))
        client.sendall(b"".join(both))
        assert hanging.asked.wait(START)
    assert hanging.left.wait(START)
    assert recorded(database, "begun").call["error_code"] == "cancelled"
    running.stop()
    log = (running.directory / "server.log").read_text()
    assert "Traceback" not in log
    assert "ASGI" not in log


def test_a_stop_writes_the_last_lines_of_the_access_log(running: Gateway, first: Upstream) -> None:
    first.script = answers(chat_completion())
    with socket.create_connection(running.host, timeout=START) as client:
        body = {"model": "gpt-4o-mini", "messages": HELLO}
        client.sendall(request(running, running.key(), body, X_Request_Id="last", Connection="close"))
        while client.recv(4096):
            pass
    running.stop()
    assert "POST /v1/chat/completions 200" in (running.directory / "server.log").read_text()


def test_a_call_whose_process_is_killed_is_recorded_and_the_server_goes_on(
    running: Gateway, first: Upstream, database: Database
) -> None:
    first.script = hanging = Hanging()
    key = running.key()
    with socket.create_connection(running.host) as client:
        body = {"model": "gpt-4o-mini", "messages": HELLO}
        client.sendall(request(running, key, body, X_Cajanegra_Request_Id="killed"))
        assert hanging.asked.wait(START)
        for worker in _children(running.process.pid):
            os.kill(worker, signal.SIGKILL)
        with contextlib.suppress(ConnectionError):
            assert client.recv(100) == b""
    first.script = answers(chat_completion())
    with OpenAI(base_url=running.v1, api_key=key, max_retries=10) as again:
        assert again.chat.completions.create(model="gpt-4o-mini", messages=HELLO).choices
    assert recorded(database, "killed").call["error_code"] == "interrupted"


def test_a_stop_lets_a_request_under_way_end(running: Gateway, first: Upstream, database: Database) -> None:
    go, asked = asyncio.Event(), threading.Event()
    loop: list[asyncio.AbstractEventLoop] = []

    async def slow(exchange: Exchange) -> None:
        loop.append(asyncio.get_running_loop())
        asked.set()
        await go.wait()
        await answers(chat_completion())(exchange)

    first.script = slow
    with socket.create_connection(running.host) as client:
        body = {"model": "gpt-4o-mini", "messages": HELLO}
        client.sendall(request(running, running.key(), body, X_Cajanegra_Request_Id="drained"))
        assert asked.wait(START)
        running.process.send_signal(signal.SIGTERM)
        until(lambda: _refuses(running))
        loop[0].call_soon_threadsafe(go.set)
        assert client.recv(20).startswith(b"HTTP/1.1 200")
    assert running.stop() == 0
    assert recorded(database, "drained").call["status"] == "success"


def _refuses(running: Gateway) -> bool:
    """Whether the server has been told to stop: it says so where it is asked if it is ready."""
    try:
        with socket.create_connection(running.host, timeout=0.2) as client:
            client.sendall(b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            return not client.recv(20).startswith(b"HTTP/1.1 200")
    except OSError:
        return True


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def test_a_key_is_held_to_its_models_and_requests(running: Gateway, first: Upstream) -> None:
    first.script = answers(chat_completion())
    key = running.key(limits=KeyLimits(models=("gpt-4o-mini",), requests_per_minute=1))
    with OpenAI(base_url=running.v1, api_key=key, max_retries=0) as client:
        with pytest.raises(openai.PermissionDeniedError, match="not for the model 'gpt-4'"):
            client.chat.completions.create(model="gpt-4", messages=HELLO)
        assert [model.id for model in client.models.list()] == ["openai/gpt-4o-mini", "gpt-4o-mini"]
        with pytest.raises(openai.RateLimitError, match="1 requests per minute") as caught:
            _ask_thrice(client)
        assert caught.value.response.headers["x-ratelimit-limit-requests"] == "1"
        assert caught.value.body["cajanegra"]["reset_at"]  # type: ignore[index]


def _ask_thrice(client: OpenAI) -> None:
    """Once more than a limit of one in a minute allows, even if a minute begins in between."""
    for _ in range(3):
        client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)


def test_settings_are_read_anew_without_dropping_a_request(
    running: Gateway, first: Upstream, database: Database
) -> None:
    admin = {"Authorization": f"Bearer {running.key(ALL_TENANTS, Role.ADMIN)}"}
    first.script = hanging = Hanging()
    key = running.key()
    with (
        upstream() as second,
        socket.create_connection(running.host) as under_way,
        OpenAI(base_url=running.v1, api_key=key) as client,
    ):
        under_way.sendall(request(running, key, {"model": "gpt-4o-mini", "messages": HELLO}))
        assert hanging.asked.wait(START)
        write_settings(running.directory, {"providers": [{"name": "wrong", "base_ulr": "x"}]})
        status, body = _reload(running, admin)
        assert status == 422
        assert "did you mean" in body["detail"]
        assert [model.id for model in client.models.list()] == ["openai/gpt-4o-mini", "gpt-4o-mini"]
        write_settings(running.directory, {"providers": [provider("second", second.url, ["m"])]})
        assert _reload(running, admin) == (200, {"providers": ["second"], "restart_needed_for": []})
        raw = client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
        assert raw.headers["x-cajanegra-provider"] == "second"
        assert not hanging.left.is_set()


def _reload(running: Gateway, headers: dict[str, str]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(*running.host, timeout=START)
    try:
        connection.request("POST", "/admin/reload", headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_a_request_is_counted_and_its_key_is_nowhere_to_be_read(
    running: Gateway, first: Upstream, database: Database
) -> None:
    first.script = answers(chat_completion())
    key = running.key()
    with OpenAI(base_url=running.v1, api_key=key) as client:
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO)
    recorded(database, raw.headers["x-cajanegra-request-id"])
    with database.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM ai_request_logs")).mappings().all()
    assert key not in str([dict(row) for row in rows])
    assert key not in (running.directory / "server.log").read_text()
