"""Providers that any-llm speaks to, against a server on loopback; the library is real."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from cajanegra.analysis.classify import Classifier
from cajanegra.domain.call import Answer, ChatRequest, Chunk
from cajanegra.domain.failure import ProviderError
from cajanegra.errors import SettingsError
from cajanegra.providers.registry import build
from provider_servers import (
    DONE,
    QUESTION,
    Exchange,
    Script,
    answers,
    chat_completion,
    consume,
    event,
    serve,
    streams,
)

JSON = {"response_format": {"type": "json_object"}}


def _completion(content: str, finish_reason: str | None = "stop") -> dict[str, Any]:
    return {**chat_completion(content, finish_reason), "created": 1_700_000_000}


def _piece(content: str | None = None, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    known = {"id": "1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o"}
    return event({**known, "choices": [choice]})


def _build(url: str, service: str = "openai") -> Any:
    return build(
        kind="any-llm",
        name="acme-ai",
        base_url=url,
        api_key="sk-secret",
        context_window=None,
        reader=Classifier(),
        service=service,
    )


def _run(script: Script, work: Callable[[Any], Any]) -> tuple[Any, Any]:
    async def run() -> tuple[Any, Any]:
        async with serve(script) as server:
            provider = _build(f"{server.url}/v1")
            try:
                return await work(provider), server
            finally:
                await provider.aclose()

    return asyncio.run(run())


def _chat(script: Script, request: ChatRequest = QUESTION, timeout: float = 5.0) -> tuple[Answer, Any]:
    return _run(script, lambda provider: provider.chat(request, "gpt-4o", timeout=timeout))


def _stream(script: Script, request: ChatRequest = QUESTION) -> list[Chunk]:
    async def collect(provider: Any) -> list[Chunk]:
        return [chunk async for chunk in provider.stream(request, "gpt-4o", timeout=5.0)]

    chunks, _ = _run(script, collect)
    return list(chunks)


def test_an_answer_is_read_with_its_usage() -> None:
    answer, server = _chat(answers(_completion("Hola.")))
    assert (answer.text, answer.finish_reason, answer.usage.total_tokens) == ("Hola.", "stop", 25)
    assert server.requests[0]["model"] == "gpt-4o"
    assert "Bearer sk-secret" in server.heads[0]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "auth"),
        (404, "model_not_found"),
        (429, "rate_limit"),
        (500, "server_error"),
        (503, "overloaded"),
    ],
)
def test_an_error_is_one_failure_of_its_kind_and_the_sdk_repeats_nothing(status: int, kind: str) -> None:
    requests: list[Any] = []

    async def work(provider: Any) -> Any:
        with pytest.raises(ProviderError) as caught:
            await provider.chat(QUESTION, "gpt-4o", timeout=5.0)
        return caught.value.failure

    body = {"error": {"message": "no, sk-secret", "type": "x"}}
    failure, server = _run(answers(body, status=status, headers="retry-after: 7\r\n"), work)
    requests = server.requests
    assert (failure.kind, failure.http_status, failure.retry_after) == (kind, status, 7.0)
    assert "sk-secret" not in failure.message
    assert len(requests) == 1


def test_silent_failures_are_found() -> None:
    with pytest.raises(ProviderError, match="empty"):
        _chat(answers(_completion("")))
    with pytest.raises(ProviderError, match="finish_reason"):
        _chat(answers(_completion("Hola.", finish_reason=None)))
    with pytest.raises(ProviderError, match="not JSON"):
        _chat(answers(_completion("Hola.")), ChatRequest(QUESTION.messages, parameters=JSON))


def test_a_stream_is_read_piece_by_piece() -> None:
    chunks = _stream(streams(_piece("Ho"), _piece("la."), _piece(finish_reason="stop"), DONE))
    assert [chunk.text for chunk in chunks if chunk.text] == ["Ho", "la."]
    assert chunks[-1].finish_reason == "stop"


def test_a_stream_that_is_cut_is_interrupted() -> None:
    with pytest.raises(ProviderError, match=r"stream|interrupted"):
        _stream(streams(_piece("Ho"), _piece("la.")))


def test_time_runs_out() -> None:
    async def hang(exchange: Exchange) -> None:
        await exchange.gone()

    with pytest.raises(ProviderError, match=r"no complete answer within 0\.2 s") as caught:
        _chat(hang, timeout=0.2)
    assert caught.value.failure.kind == "timeout"

    async def streamed(provider: Any) -> None:
        await consume(provider.stream(QUESTION, "gpt-4o", timeout=0.2))

    with pytest.raises(ProviderError, match="timeout"):
        _run(hang, streamed)


def test_an_unknown_service_is_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="any-llm cannot serve 'acme'"):
        _build("http://127.0.0.1:9", service="acme")


def test_the_library_is_imported_only_when_it_is_configured() -> None:
    code = """
import sys
from cajanegra import AIClient, Settings
AIClient(Settings(database={"url": "sqlite://"}, providers=[{"name": "a", "base_url": "http://127.0.0.1:9/v1"}]))
print(sorted({name.partition(".")[0] for name in sys.modules} & {"any_llm", "openai", "jsonschema", "json_repair"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
