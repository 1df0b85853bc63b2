from __future__ import annotations

import asyncio
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from cajanegra.domain.failure import FailureKind, ProviderError
from cajanegra.errors import SettingsError
from cajanegra.providers import transport
from cajanegra.providers.transport import Transport
from provider_servers import (
    QUESTION,
    STREAM_HEAD,
    Exchange,
    StatusReader,
    answers,
    chat_completion,
    http,
    provider,
    serve,
)

CERTIFICATE = Path(__file__).parent.parent / "data" / "self_signed.pem"


def failure_of(url: str, seconds: float = 5) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        asyncio.run(provider(url).chat(QUESTION, "m", timeout=seconds))
    return caught.value


def test_a_name_that_does_not_resolve() -> None:
    assert failure_of("http://nothing.invalid").failure.kind is FailureKind.DNS


def test_a_refused_connection() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        assert failure_of(f"http://127.0.0.1:{held.getsockname()[1]}").failure.kind is FailureKind.CONNECTION


def fails_against(script: Any, *, seconds: float = 5, **options: Any) -> ProviderError:
    async def run() -> None:
        async with serve(script, **options) as server:
            await provider(server.url).chat(QUESTION, "m", timeout=seconds)

    with pytest.raises(ProviderError) as caught:
        asyncio.run(run())
    return caught.value


def test_a_certificate_that_nobody_vouches_for() -> None:
    error = fails_against(answers(chat_completion()), certificate=str(CERTIFICATE))
    assert error.failure.kind is FailureKind.TLS


def test_tls_to_a_port_that_speaks_http() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async def run() -> None:
        listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            await provider(f"https://127.0.0.1:{port}").chat(QUESTION, "m", timeout=5)

    with pytest.raises(ProviderError) as caught:
        asyncio.run(run())
    assert caught.value.failure.kind is FailureKind.TLS


async def _reset(exchange: Exchange) -> None:
    handle = exchange.writer.transport.get_extra_info("socket")
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.writer.transport.abort()


async def _close(exchange: Exchange) -> None:
    exchange.writer.close()


async def _cut(exchange: Exchange) -> None:
    await exchange.send(http(b'{"choices": []}')[:-3])
    exchange.writer.close()


async def _reset_in_body(exchange: Exchange) -> None:
    await exchange.send(STREAM_HEAD, b"5\r\nhello\r\n")
    await _reset(exchange)


async def _not_http(exchange: Exchange) -> None:
    await exchange.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    exchange.writer.close()


async def _silence(exchange: Exchange) -> None:
    await exchange.gone()


async def _drip(exchange: Exchange) -> None:
    await exchange.send(STREAM_HEAD)
    while True:  # alive at every moment, and never done
        await exchange.send(b"1\r\n:\r\n")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param(_reset, FailureKind.CONNECTION, id="reset"),
        pytest.param(_close, FailureKind.CONNECTION, id="closed"),
        pytest.param(_cut, FailureKind.STREAM_INTERRUPTED, id="cut body"),
        pytest.param(_reset_in_body, FailureKind.STREAM_INTERRUPTED, id="reset in the body"),
        pytest.param(_not_http, FailureKind.INVALID_RESPONSE, id="not HTTP"),
        pytest.param(_silence, FailureKind.TIMEOUT, id="silence"),
        pytest.param(_drip, FailureKind.TIMEOUT, id="slow body"),
    ],
)
def test_every_way_to_fail_has_its_kind(script: Any, kind: FailureKind) -> None:
    begin = time.monotonic()
    error = fails_against(script, seconds=0.3)
    assert error.failure.kind is kind
    assert time.monotonic() - begin < 2
    assert error.__cause__ is None  # the library's exceptions hold the request's headers
    assert error.__context__ is None


def test_a_body_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 100_000)
    error = fails_against(answers(b"x" * 100_001))
    assert error.failure.kind is FailureKind.INVALID_RESPONSE
    assert "100000 bytes" in error.failure.message


def test_the_environments_proxy_is_used_except_where_it_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> list[str]:
        async with serve(answers(chat_completion())) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "")
            await provider("http://llm.example/v1").chat(QUESTION, "m", timeout=5)
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            async with serve(answers(chat_completion())) as server:
                await provider(server.url).chat(QUESTION, "m", timeout=5)
            return [head.split()[1] for head in proxy.heads]

    assert asyncio.run(run()) == ["http://llm.example/v1/chat/completions"]


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://[::1", "x", "http://x:99999"])
def test_a_url_that_cannot_be_used_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="base_url of provider 'openai'"):
        provider(url)


def test_a_key_that_no_header_can_carry_is_a_wrong_setting_and_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        Transport("openai", "http://x", "sk-\nsecret", StatusReader())
    assert "secret" not in str(caught.value)


def test_an_unknown_kind_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="there is: openai, ollama"):
        provider("http://x", "telepathy")


def test_keys_are_in_no_representation() -> None:
    for upstream in (provider("http://x"), provider("http://x", "ollama")):
        assert "sk-secret" not in repr(upstream)
    assert "sk-secret" not in repr(Transport("openai", "http://u:sk-secret@x", "sk-secret", StatusReader()))
