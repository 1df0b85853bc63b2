"""What no honest client or provider sends: the gateway stays up, says what is wrong, and records what it asked."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from openai import OpenAI

from cajanegra.domain.principal import Role
from cajanegra.server.gateway import incoming
from cajanegra.server.gateway.incoming import ClientGoneError, read_body
from cajanegra.server.gateway.refusals import RefusalError
from cajanegra.storage.database import Database
from gateway_server import (
    GOOD,
    HELLO,
    START,
    Gateway,
    Upstream,
    gateway,
    head,
    provider,
    recorded,
    response_of,
    upstream,
)
from provider_servers import DONE, Script, answers, chat_completion, delta, event, streams

MOST = 100_000


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    return module_database


@pytest.fixture(scope="module")
def first() -> Iterator[Upstream]:
    with upstream() as first:
        yield first


@pytest.fixture(scope="module")
def running(
    database: Database, first: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with gateway(
        tmp_path_factory.mktemp("server"),
        database,
        providers=[provider("openai", first.url, timeout=20)],
        recovery={"attempts": 1, "timeout": 20},
        server={"max_body_bytes": MOST},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def key(running: Gateway) -> str:
    return running.key()


@pytest.fixture(autouse=True)
def is_still_up(running: Gateway, key: str, first: Upstream) -> Iterator[None]:
    """After each test the same server answers, and has logged no exception."""
    yield
    first.script = answers(chat_completion())
    with OpenAI(base_url=running.v1, api_key=key, max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert "Traceback" not in (running.directory / "server.log").read_text()


def exchange(running: Gateway, *pieces: bytes) -> tuple[int, Any]:
    """The first response to some bytes."""
    with socket.create_connection(running.host, timeout=START) as client:
        for piece in pieces:
            client.sendall(piece)
        return response_of(client)


BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "invalid UTF-8": b'{"model": "\xff"}',
    "a list": b"[]",
    "very deep": b"[" * 50_000,
    "no model": b'{"messages": [{"role": "user", "content": "x"}]}',
    "a model that is no text": b'{"model": 1, "messages": [{}]}',
    "no messages": b'{"model": "m"}',
    "empty messages": b'{"model": "m", "messages": []}',
    "a message that is none": b'{"model": "m", "messages": [1]}',
    "a stream that is none": b'{"model": "m", "messages": [{}], "stream": "yes"}',
    "a temperature that is none": b'{"model": "m", "messages": [{}], "temperature": "hot"}',
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_means_nothing_is_refused_in_openais_shape(running: Gateway, key: str, case: str) -> None:
    body = BODIES[case]
    status, told = exchange(running, head(key, len(body)), body)
    assert status == 400
    assert told["error"]["type"] == "invalid_request_error"
    assert told["error"]["message"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("X-Cajanegra-Timeout: soon", 400),
        ("X-Cajanegra-Timeout: -1", 400),
        ("X-Cajanegra-Request-Id: a b", 400),
        ("X-Cajanegra-Tenant: globex", 403),
        (f"X-Cajanegra-Module: {'x' * 2_000}", 400),
    ],
)
def test_a_header_that_means_nothing_is_refused(running: Gateway, key: str, header: str, status: int) -> None:
    assert exchange(running, head(key, len(GOOD), header), GOOD)[0] == status


@pytest.mark.parametrize(
    ("role", "expected"), [(None, openai.AuthenticationError), (Role.READER, openai.PermissionDeniedError)]
)
def test_a_key_that_does_not_hold_and_a_role_that_may_not_are_refused(
    running: Gateway, role: Role | None, expected: type[openai.APIError]
) -> None:
    key = running.key(role=role) if role is not None else "wrong"
    with OpenAI(base_url=running.v1, api_key=key, max_retries=0) as client, pytest.raises(expected):
        client.models.list()


def test_a_body_that_is_too_long_is_refused_however_it_says_its_length(running: Gateway, key: str) -> None:
    status, told = exchange(running, head(key, MOST + 1))
    assert (status, told["error"]["code"]) == (413, "payload_too_large")
    chunk = f"{MOST:x}\r\n".encode() + b" " * MOST + b"\r\n"
    status, told = exchange(running, head(key, None, "Transfer-Encoding: chunked"), chunk, chunk)
    assert (status, told["error"]["code"]) == (413, "payload_too_large")


def test_headers_that_never_end_are_refused(running: Gateway) -> None:
    with socket.create_connection(running.host, timeout=START) as client:
        received = b""
        try:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n")
            for _ in range(1_000):
                client.sendall(b"X-More: " + b"y" * 1_000 + b"\r\n")
            received = client.recv(100)
        except ConnectionError:
            return
        assert received.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


def test_a_body_that_is_cut_asks_nobody(running: Gateway, key: str, first: Upstream) -> None:
    before = len(first.server.requests)
    with socket.create_connection(running.host, timeout=START) as client:
        client.sendall(head(key, len(GOOD)) + GOOD[:10])
    status, _told = exchange(running, head(key, 2), b"{}")
    assert status == 400
    assert len(first.server.requests) == before


def test_requests_on_one_connection_are_answered_in_order(
    running: Gateway, key: str, first: Upstream
) -> None:
    first.script = answers(chat_completion())
    with socket.create_connection(running.host, timeout=START) as client:
        client.sendall((head(key, len(GOOD)) + GOOD) * 3 + head(key, 2) + b"{}")
        file = client.makefile("rb")
        statuses = []
        for _ in range(4):
            statuses.append(int(file.readline().split()[1]))
            length = 0
            while (line := file.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            file.read(length)
    assert statuses == [200, 200, 200, 400]


def test_connections_that_say_nothing_hold_nobody_up(running: Gateway, key: str, first: Upstream) -> None:
    first.script = answers(chat_completion())
    with ExitStack() as stack:
        for number in range(400):
            client = stack.enter_context(socket.create_connection(running.host, timeout=START))
            client.sendall(head(key, 100)[: number % 200])
        assert exchange(running, head(key, len(GOOD)), GOOD)[0] == 200


STREAMS: dict[str, Script] = {
    "no event": streams(b"\x00\xff\xfe garbage\n\n"),
    "no JSON": streams(event(b"{not json")),
    "invalid UTF-8": streams(event(b'{"choices": [{"delta": {"content": "\xff"}}]}')),
    "another type": answers(b"<html>no</html>", content_type="text/html"),
    "an endless line": streams(b"data: " + b"x" * 1_000_000, cut=True),
    "no end": streams(delta("Ho")),
    "an error within": streams(delta("Ho"), event({"error": {"message": "The server had an error"}})),
    "nonsense within": streams(delta("Ho"), event(b"[1, 2"), DONE),
    "choices of another kind": streams(event({"choices": "none"}), DONE),
}


@pytest.mark.parametrize("case", STREAMS)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_upstream_that_sends_nonsense_is_told_and_recorded(
    running: Gateway, key: str, first: Upstream, database: Database, case: str, *, streamed: bool
) -> None:
    first.script = STREAMS[case]
    name = f"{case.replace(' ', '-')}-{streamed}"
    with (
        OpenAI(base_url=running.v1, api_key=key, max_retries=0) as client,
        pytest.raises(openai.APIError) as caught,
    ):
        _ask(client, name, streamed=streamed)
    assert caught.value.body["cajanegra"]["request_id"] == name  # type: ignore[index]
    assert recorded(database, name).call["status"] == "error"


def _ask(client: OpenAI, request_id: str, *, streamed: bool) -> None:
    given = {"X-Cajanegra-Request-Id": request_id}
    if streamed:
        for _chunk in client.chat.completions.create(
            model="gpt-4o-mini", messages=HELLO, stream=True, extra_headers=given
        ):
            pass
    else:
        client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, extra_headers=given)


def test_an_address_in_a_request_is_never_asked(running: Gateway, key: str, first: Upstream) -> None:
    first.script = answers(chat_completion())
    body = {
        "model": "http://127.0.0.1:1/x",
        "messages": HELLO,
        "base_url": "http://127.0.0.1:1",
        "api_base": "x",
    }
    encoded = json.dumps(body).encode()
    status, _answer = exchange(running, head(key, len(encoded), "X-Base-Url: http://127.0.0.1:1"), encoded)
    assert status == 200  # by the one provider that the settings have
    assert first.last["model"] == "http://127.0.0.1:1/x"


def test_a_path_that_is_none_and_a_method_that_is_none_are_told(running: Gateway, key: str) -> None:
    status, told = exchange(running, head(key, 2, path="/v1/images/generations"), b"{}")
    assert (status, told["error"]["code"]) == (404, "unknown_url")
    status, told = exchange(running, head(key, 2, path="/v1/models"), b"{}")
    assert (status, told["error"]["code"]) == (405, "method_not_allowed")


def body_in(*messages: dict[str, Any]) -> Any:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def test_a_body_that_pauses_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "BODY_IDLE", 0.01)
    slow = body_in({"type": "http.request", "body": b"{", "more_body": True})
    with pytest.raises(RefusalError) as caught:
        asyncio.run(read_body(slow, MOST))
    assert caught.value.status == 408


def test_a_client_that_leaves_within_its_body_is_gone() -> None:
    with pytest.raises(ClientGoneError):
        asyncio.run(read_body(body_in({"type": "http.disconnect"}), MOST))
