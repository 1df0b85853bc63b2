from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from cajanegra.domain.call import Answer, ChatRequest, Chunk, Usage
from cajanegra.domain.failure import FailureKind, ProviderError
from cajanegra.providers.ollama import Ollama
from provider_servers import Script, StatusReader, answers, serve, streams

QUESTION = [{"role": "user", "content": "Hola"}]
LONG = [{"role": "user", "content": "palabra " * 3000}]
AS_JSON = {"response_format": {"type": "json_object"}}
CALL = {"function": {"name": "total", "arguments": {"invoice": 7}}}


def line(content: str = "", *, done: bool = False, **fields: Any) -> bytes:
    message = {"role": "assistant", "content": content, **fields.pop("message", {})}
    return json.dumps({"model": "llama3.2", "message": message, "done": done, **fields}).encode() + b"\n"


def last(content: str = "", **fields: Any) -> bytes:
    counts = {"prompt_eval_count": 26, "eval_count": 4, "total_duration": 5_000_000, "done_reason": "stop"}
    return line(content, done=True, **{**counts, **fields})


def ndjson(*pieces: bytes, cut: bool = False) -> Script:
    return streams(*pieces, content_type="application/x-ndjson", cut=cut)


def ask(script: Script, request: ChatRequest, window: int | None = None) -> Answer:
    async def run() -> Answer:
        async with serve(script) as server:
            ollama = Ollama("ollama", server.url, window, StatusReader())
            return await ollama.chat(request, "llama3.2", timeout=5)

    return asyncio.run(run())


def ask_streamed(script: Script, request: ChatRequest) -> list[Chunk]:
    async def run() -> list[Chunk]:
        async with serve(script) as server:
            ollama = Ollama("ollama", server.url, None, StatusReader())
            return [chunk async for chunk in ollama.stream(request, "llama3.2", timeout=5)]

    return asyncio.run(run())


def test_everything_in_an_answer_is_read() -> None:
    answer = ask(answers(last("Hola.", prompt_eval_cached_count=20)), ChatRequest(QUESTION))
    assert (answer.text, answer.model, answer.finish_reason) == ("Hola.", "llama3.2", "stop")
    assert answer.usage == Usage(26, 4, 30, cached_tokens=20)
    assert answer.raw["total_duration"] == 5_000_000


def test_a_tool_call_comes_in_openais_form() -> None:
    answer = ask(answers(last(message={"tool_calls": [CALL]})), ChatRequest(QUESTION))
    assert answer.finish_reason == "tool_calls"
    assert answer.tool_calls[0]["function"] == {"name": "total", "arguments": '{"invoice": 7}'}


def test_the_window_is_asked_for_by_the_size_of_the_prompt() -> None:
    async def run() -> None:
        async with serve(answers(last("Hola.", prompt_eval_count=3100))) as server:
            ollama = Ollama("ollama", server.url, 32_768, StatusReader())
            await ollama.chat(ChatRequest(LONG), "llama3.2", timeout=5)
            await ollama.aclose()
        assert server.requests[0]["options"]["num_ctx"] == 16_384
        assert server.requests[0]["truncate"] is False
        assert server.heads[0].startswith("POST /api/chat HTTP/1.1\r\n")

    asyncio.run(run())


SILENT: dict[str, Any] = {
    "empty": (last(""), {}, FailureKind.INVALID_RESPONSE),
    "thought itself out": (last("", done_reason="length"), {}, FailureKind.INVALID_RESPONSE),
    "not done": (line("Hola"), {}, FailureKind.INVALID_RESPONSE),
    "no JSON": (last("Sure!"), AS_JSON, FailureKind.INVALID_RESPONSE),
    "a web page": (b"<html>", {}, FailureKind.INVALID_RESPONSE),
    "an error": ({"error": "llama runner process has terminated"}, {}, FailureKind.SERVER_ERROR),
    "a nameless message": ({"done": True, "message": 7}, {}, FailureKind.INVALID_RESPONSE),
}


@pytest.mark.parametrize("case", SILENT)
def test_a_failure_with_status_200_is_a_failure(case: str) -> None:
    body, parameters, kind = SILENT[case]
    with pytest.raises(ProviderError) as caught:
        ask(answers(body), ChatRequest(QUESTION, parameters=parameters))
    assert caught.value.failure.kind is kind


@pytest.mark.parametrize("streamed", [False, True])
def test_a_prompt_that_was_cut_in_silence_is_a_failure(streamed: bool) -> None:
    body = last("A confident answer.", prompt_eval_count=2050)
    with pytest.raises(ProviderError) as caught:
        ask_streamed(ndjson(body), ChatRequest(LONG)) if streamed else ask(
            answers(body), ChatRequest(LONG), 4096
        )
    assert caught.value.failure.kind is FailureKind.CONTEXT_LENGTH


def test_an_error_status_goes_to_the_reader() -> None:
    with pytest.raises(ProviderError) as caught:
        ask(answers({"error": 'model "llama9" not found'}, status=404), ChatRequest(QUESTION))
    assert caught.value.failure.kind is FailureKind.MODEL_NOT_FOUND


def test_what_ollama_cannot_be_told_is_not_sent() -> None:
    audio = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklGRg=="}}]}]
    with pytest.raises(ProviderError) as caught:
        ask(answers(last("Hola.")), ChatRequest(audio))
    assert caught.value.failure.kind is FailureKind.INVALID_REQUEST


def test_a_stream_is_handed_on_piece_by_piece() -> None:
    body = line("Ho") + line("la") + last()
    chunks = ask_streamed(ndjson(body[:10], body[10:120], body[120:]), ChatRequest(QUESTION))
    assert [chunk.text for chunk in chunks] == ["Ho", "la", ""]
    assert (chunks[-1].finish_reason, chunks[-1].model, chunks[-1].usage) == (
        "stop",
        "llama3.2",
        Usage(26, 4, 30),
    )


BROKEN: dict[str, Any] = {
    "ends early": (ndjson(line("Ho"), line("la")), FailureKind.STREAM_INTERRUPTED),
    "connection cut": (ndjson(line("Ho"), line("la"), cut=True), FailureKind.STREAM_INTERRUPTED),
    "malformed chunk": (ndjson(line("Ho"), line("la"), b'{"message": {"con\n'), FailureKind.INVALID_RESPONSE),
    "an error": (ndjson(line("Ho"), line("la"), b'{"error": "out of memory"}\n'), FailureKind.SERVER_ERROR),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_stream_that_goes_wrong_keeps_what_it_brought(case: str) -> None:
    script, kind = BROKEN[case]
    with pytest.raises(ProviderError) as caught:
        ask_streamed(script, ChatRequest(QUESTION))
    assert caught.value.failure.kind is kind
    assert caught.value.partial_text == "Hola"
