from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock

from cajanegra.domain.call import Answer, ChatRequest, Chunk, Usage
from cajanegra.domain.failure import FailureKind, ProviderError
from cajanegra.providers.openai_compatible import OpenAICompatible
from provider_servers import (
    DONE,
    Exchange,
    Script,
    StatusReader,
    answers,
    chat_completion,
    delta,
    event,
    serve,
    streams,
)

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hola"}]
AS_JSON = {"response_format": {"type": "json_object"}}
TOOLS = {"tools": [{"type": "function", "function": {"name": "total", "parameters": {"type": "object"}}}]}
CALL = {"id": "c1", "type": "function", "function": {"name": "total", "arguments": '{"invoice": 7}'}}


def provider(url: str, reader: StatusReader | None = None) -> OpenAICompatible:
    return OpenAICompatible("openai", url, "sk-very-secret", reader or StatusReader())


async def collect(of: OpenAICompatible, request: ChatRequest, seconds: float = 5) -> list[Chunk]:
    return [chunk async for chunk in of.stream(request, "gpt-4o", timeout=seconds)]


def ask(
    script: Script, request: ChatRequest, reader: StatusReader | None = None, seconds: float = 5
) -> Answer:
    async def run() -> Answer:
        async with serve(script) as server:
            return await provider(server.url, reader).chat(request, "gpt-4o", timeout=seconds)

    return asyncio.run(run())


def ask_streamed(script: Script, request: ChatRequest, seconds: float = 5) -> list[Chunk]:
    async def run() -> list[Chunk]:
        async with serve(script) as server:
            return await collect(provider(server.url), request, seconds)

    return asyncio.run(run())


def test_everything_in_an_answer_is_read() -> None:
    body = chat_completion("Hola.")
    body["choices"][0]["logprobs"] = {"content": [{"logprob": math.log(0.5)}, {"logprob": math.log(1.0)}]}
    answer = ask(answers(body), ChatRequest(QUESTION))
    assert (answer.text, answer.model, answer.finish_reason) == ("Hola.", "gpt-4o-2024-08-06", "stop")
    assert answer.usage == Usage(20, 5, 25, cached_tokens=16, reasoning_tokens=3)
    assert answer.confidence == pytest.approx(0.75)
    assert answer.raw == body


def test_the_request_travels_as_it_is() -> None:
    async def run() -> None:
        async with serve(answers(chat_completion())) as server:
            request = ChatRequest(
                QUESTION, temperature=0.2, max_tokens=9, parameters={"seed": 7, "top_p": 0.5}
            )
            await provider(server.url + "/v1/").chat(request, "gpt-4o", timeout=5)
        assert server.requests == [
            {
                "model": "gpt-4o",
                "messages": QUESTION,
                "temperature": 0.2,
                "max_tokens": 9,
                "seed": 7,
                "top_p": 0.5,
            }
        ]
        assert server.heads[0].startswith("POST /v1/chat/completions HTTP/1.1\r\n")
        assert "authorization: bearer sk-very-secret" in server.heads[0].lower()

    asyncio.run(run())


def test_a_tool_call_is_an_answer() -> None:
    answer = ask(
        answers(chat_completion(None, "tool_calls", tool_calls=[CALL])),
        ChatRequest(QUESTION, parameters=TOOLS),
    )
    assert answer.text == ""
    assert answer.tool_calls == [CALL]


SILENT: dict[str, Any] = {
    "empty": (chat_completion(""), {}, FailureKind.INVALID_RESPONSE),
    "blank": (chat_completion(" \n"), {}, FailureKind.INVALID_RESPONSE),
    "cut before any text": (chat_completion(None, "length"), {}, FailureKind.INVALID_RESPONSE),
    "filtered": (chat_completion("", "content_filter"), {}, FailureKind.CONTENT_FILTER),
    "refused": (chat_completion(None, refusal="I cannot help with that."), {}, FailureKind.REFUSAL),
    "prose for JSON": (chat_completion("Sure! Here it is"), AS_JSON, FailureKind.INVALID_RESPONSE),
    "JSON cut": (chat_completion('{"total": 12}', "length"), AS_JSON, FailureKind.INVALID_RESPONSE),
    "unknown tool": (chat_completion(None, tool_calls=[{"function": {"name": "rm", "arguments": "{}"}}]), TOOLS, FailureKind.TOOL_CALL),
    "broken arguments": (chat_completion(None, tool_calls=[{"function": {"name": "total", "arguments": '{"i'}}]), TOOLS, FailureKind.TOOL_CALL),
    "no choices": ({"choices": []}, {}, FailureKind.INVALID_RESPONSE),
    "no choices at all": ({"object": "chat.completion"}, {}, FailureKind.INVALID_RESPONSE),
    "a list": ([1, 2], {}, FailureKind.INVALID_RESPONSE),
    "no body": (b"", {}, FailureKind.INVALID_RESPONSE),
    "a web page": (b"<html>Welcome to the portal</html>", {}, FailureKind.INVALID_RESPONSE),
    "cut JSON": (b'{"choices": [{"message": {"cont', {}, FailureKind.INVALID_RESPONSE),
    "deep nesting": (b"[" * 100_000, {}, FailureKind.INVALID_RESPONSE),
    "an error with a code": ({"error": {"message": "slow down", "code": 429}}, {}, FailureKind.RATE_LIMIT),
    "an error in words": ({"error": "something broke"}, {}, FailureKind.SERVER_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("case", SILENT)
def test_a_failure_with_status_200_is_a_failure(case: str) -> None:
    body, parameters, kind = SILENT[case]
    with pytest.raises(ProviderError) as caught:
        ask(answers(body), ChatRequest(QUESTION, parameters=parameters))
    assert caught.value.failure.kind is kind
    assert caught.value.failure.provider == "openai"
    assert caught.value.failure.model == "gpt-4o"


@pytest.mark.parametrize("text", ['{"total": 12}', "[]", "null", ' "x" '])
def test_json_that_was_asked_for_is_an_answer(text: str) -> None:
    assert ask(answers(chat_completion(text)), ChatRequest(QUESTION, parameters=AS_JSON)).text == text


def test_an_error_status_goes_to_the_reader_with_lower_case_headers_and_without_the_key() -> None:
    reader = StatusReader()
    with pytest.raises(ProviderError) as caught:
        ask(
            answers({"error": "bad key sk-very-secret"}, status=401, headers="Retry-After: 7\r\n"),
            ChatRequest(QUESTION),
            reader,
        )
    assert caught.value.failure.kind is FailureKind.AUTH
    assert json.loads(reader.bodies[0]) == {"error": "bad key [key]"}
    assert reader.headers[0]["retry-after"] == "7"
    assert "sk-very-secret" not in f"{caught.value} {caught.value!r}"


def test_a_redirect_is_not_followed() -> None:
    async def run() -> None:
        async with serve(answers(chat_completion())) as elsewhere:
            script = answers(b"", status=307, headers=f"location: {elsewhere.url}/chat/completions\r\n")
            async with serve(script) as server:
                with pytest.raises(ProviderError, match="redirect"):
                    await provider(server.url).chat(ChatRequest(QUESTION), "gpt-4o", timeout=5)
        assert elsewhere.requests == []

    asyncio.run(run())


def test_lone_surrogates_travel_both_ways() -> None:
    answer = ask(
        answers(b'{"choices": [{"message": {"content": "a\\ud800"}, "finish_reason": "stop"}]}'),
        ChatRequest([{"role": "user", "content": "b\udfff"}]),
    )
    assert answer.text == "a\ud800"


def test_what_is_not_json_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ProviderError) as caught:
        ask(answers(chat_completion()), ChatRequest(QUESTION, parameters={"seed": object()}))
    assert caught.value.failure.kind is FailureKind.INVALID_REQUEST


def test_a_stream_is_handed_on_piece_by_piece() -> None:
    usage = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
    body = (
        delta("", role="assistant") + delta("Ho") + delta("la") + delta(finish_reason="stop") + usage + DONE
    )
    chunks = ask_streamed(streams(body[:70], body[70:71], body[71:200], body[200:]), ChatRequest(QUESTION))
    assert [chunk.text for chunk in chunks] == ["Ho", "la", "", ""]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, "stop", None]
    assert [chunk.model for chunk in chunks] == ["gpt-4o-2024-08-06", None, None, None]
    assert chunks[-1].usage == Usage(3, 2, 5)


def whole_stream(*pieces: bytes) -> Script:
    """Every request gets a stream, its end included, in one write."""
    body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in [*pieces, b""])
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def script(exchange: Exchange) -> None:
        await exchange.send(head + body)

    return script


def test_the_last_chunk_of_a_stream_says_so_where_that_is_known() -> None:
    request = ChatRequest(QUESTION, raw=True)
    parts = [delta("Ho"), delta("la"), delta(finish_reason="stop")]
    [whole] = ask_streamed(whole_stream(*parts, DONE), request)
    assert (whole.text, whole.is_last) == ("Hola", True)
    assert whole.wire.count(b"data: ") == 3
    [endless] = ask_streamed(whole_stream(*parts), request)
    assert (endless.text, endless.is_last) == ("Hola", False)
    with pytest.raises(ProviderError):
        ask_streamed(whole_stream(*parts[:2], DONE), request)
    assert not any(chunk.is_last for chunk in ask_streamed(whole_stream(*parts, DONE), ChatRequest(QUESTION)))


def test_a_stream_asks_for_its_usage() -> None:
    async def run() -> None:
        async with serve(streams(delta("Hola", "stop"), DONE)) as server:
            await collect(provider(server.url), ChatRequest(QUESTION))
        assert server.requests[0]["stream"] is True
        assert server.requests[0]["stream_options"] == {"include_usage": True}

    asyncio.run(run())


def test_a_provider_that_knows_no_stream_options_is_not_asked_twice() -> None:
    async def script(exchange: Any) -> None:
        if "stream_options" in exchange.body:
            await answers({"error": {"message": "Unknown parameter: stream_options"}}, status=400)(exchange)
        else:
            await streams(delta("Hola", "stop"), DONE)(exchange)

    async def run() -> list[Chunk]:
        async with serve(script) as server:
            openai = provider(server.url)
            with pytest.raises(ProviderError):
                await collect(openai, ChatRequest(QUESTION))
            return await collect(openai, ChatRequest(QUESTION))

    assert asyncio.run(run())[0].text == "Hola"


def test_streamed_tool_calls_are_put_together_before_they_are_believed() -> None:
    def piece(arguments: str, name: str | None = None) -> bytes:
        function = {"arguments": arguments, **({"name": name} if name else {})}
        return delta(tool_calls=[{"index": 0, "function": function}])

    whole = streams(
        piece("", "total"), piece('{"inv'), piece('oice": 7}'), delta(finish_reason="tool_calls"), DONE
    )
    chunks = ask_streamed(whole, ChatRequest(QUESTION, parameters=TOOLS))
    assert "".join(chunk.tool_calls[0]["function"]["arguments"] for chunk in chunks[:-1]) == '{"invoice": 7}'
    broken = streams(piece("", "total"), piece('{"inv'), delta(finish_reason="tool_calls"), DONE)
    with pytest.raises(ProviderError) as caught:
        ask_streamed(broken, ChatRequest(QUESTION, parameters=TOOLS))
    assert caught.value.failure.kind is FailureKind.TOOL_CALL


BROKEN: dict[str, Any] = {
    "no finish reason": (streams(delta("Ho"), delta("la")), FailureKind.STREAM_INTERRUPTED),
    "only [DONE]": (streams(delta("Ho"), delta("la"), DONE), FailureKind.STREAM_INTERRUPTED),
    "connection cut": (streams(delta("Ho"), delta("la"), cut=True), FailureKind.STREAM_INTERRUPTED),
    "malformed chunk": (streams(delta("Ho"), delta("la"), event(b'{"choices": [{"del')), FailureKind.INVALID_RESPONSE),
    "an error with a code": (streams(delta("Ho"), delta("la"), event({"error": {"message": "x", "code": 503}})), FailureKind.OVERLOADED),
    "an error event": (streams(delta("Ho"), delta("la"), b'event: error\ndata: {"message": "x"}\n\n'), FailureKind.SERVER_ERROR),
    "refused": (streams(delta("Ho"), delta("la"), delta(finish_reason="stop", refusal="No.")), FailureKind.REFUSAL),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_stream_that_goes_wrong_keeps_what_it_brought(case: str) -> None:
    script, kind = BROKEN[case]
    with pytest.raises(ProviderError) as caught:
        ask_streamed(script, ChatRequest(QUESTION))
    assert caught.value.failure.kind is kind
    assert caught.value.partial_text == "Hola"


NOTHING: dict[str, Any] = {
    "empty": (streams(delta(finish_reason="stop"), DONE), {}, FailureKind.INVALID_RESPONSE),
    "filtered": (streams(delta(finish_reason="content_filter"), DONE), {}, FailureKind.CONTENT_FILTER),
    "JSON cut": (streams(delta("{", "stop"), DONE), AS_JSON, FailureKind.INVALID_RESPONSE),
    "only [DONE]": (streams(DONE), {}, FailureKind.STREAM_INTERRUPTED),
    "no events": (streams(), {}, FailureKind.STREAM_INTERRUPTED),
    "not a stream": (answers(chat_completion()), {}, FailureKind.INVALID_RESPONSE),
    "an error": (answers({"error": {"code": 429}}), {}, FailureKind.RATE_LIMIT),
    "a web page": (answers(b"<html>", content_type="text/html; charset=utf-8"), {}, FailureKind.INVALID_RESPONSE),
    "an error status": (answers({"error": "no"}, status=503), {}, FailureKind.OVERLOADED),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTHING)
def test_a_stream_that_answers_nothing_is_a_failure(case: str) -> None:
    script, parameters, kind = NOTHING[case]
    with pytest.raises(ProviderError) as caught:
        ask_streamed(script, ChatRequest(QUESTION, parameters=parameters))
    assert caught.value.failure.kind is kind


def test_a_stream_cut_after_its_finish_reason_is_complete() -> None:
    chunks = ask_streamed(
        streams(delta("Hola"), delta(finish_reason="stop"), cut=True), ChatRequest(QUESTION)
    )
    assert "".join(chunk.text for chunk in chunks) == "Hola"


class TestFaultsOfLlmock:
    def run(self, llmock: LLMock, *, stream: bool, seconds: float = 5, **parameters: Any) -> str:
        request = ChatRequest(QUESTION, parameters=parameters)

        async def run() -> str:
            openai = provider(llmock.base_url())
            if stream:
                return "".join(chunk.text for chunk in await collect(openai, request, seconds))
            return (await openai.chat(request, "gpt-4o", timeout=seconds)).text

        return asyncio.run(run())

    def fails(self, llmock: LLMock, kind: FailureKind, **options: Any) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            self.run(llmock, **options)
        assert caught.value.failure.kind is kind
        return caught.value

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_reply_is_read(self, llmock: LLMock, stream: bool) -> None:
        llmock.reply("Entregado el martes.")
        assert self.run(llmock, stream=stream) == "Entregado el martes."
        llmock.assert_resilient(strict=True)

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("status", "kind"),
        [(401, FailureKind.AUTH), (429, FailureKind.RATE_LIMIT), (500, FailureKind.SERVER_ERROR), (503, FailureKind.OVERLOADED)],
    )  # fmt: skip
    def test_error_statuses(self, llmock: LLMock, status: int, kind: FailureKind, stream: bool) -> None:
        llmock.fail(status, retry_after=2)
        self.fails(llmock, kind, stream=stream)

    @pytest.mark.parametrize("stream", [False, True])
    def test_context_overflow(self, llmock: LLMock, stream: bool) -> None:
        llmock.context_overflow()
        self.fails(llmock, FailureKind.INVALID_REQUEST, stream=stream)

    @pytest.mark.parametrize("stream", [False, True])
    def test_quota(self, llmock: LLMock, stream: bool) -> None:
        llmock.limits(rpm=1)
        self.run(llmock, stream=stream)
        self.fails(llmock, FailureKind.RATE_LIMIT, stream=stream)

    @pytest.mark.parametrize("stream", [False, True])
    def test_slow_answer(self, llmock: LLMock, stream: bool) -> None:
        llmock.delay(1)
        self.fails(llmock, FailureKind.TIMEOUT, stream=stream, seconds=0.2)

    def test_slow_first_token(self, llmock: LLMock) -> None:
        llmock.slow_first_token(1)
        self.fails(llmock, FailureKind.TIMEOUT, stream=True, seconds=0.2)

    def test_stream_faults(self, llmock: LLMock) -> None:
        for fault, kind in (
            (llmock.disconnect, FailureKind.STREAM_INTERRUPTED),
            (llmock.truncate, FailureKind.STREAM_INTERRUPTED),
            (llmock.corrupt, FailureKind.INVALID_RESPONSE),
        ):
            llmock.reset().reply("uno dos tres cuatro")
            fault(after_chunks=3)
            assert self.fails(llmock, kind, stream=True).partial_text == "uno dos "
            assert self.run(llmock, stream=True)  # told of the failure, a caller asks again
            llmock.assert_resilient()

    def test_stalled_stream(self, llmock: LLMock) -> None:
        llmock.reply("uno dos tres").stall(after_chunks=2, seconds=2)
        assert self.fails(llmock, FailureKind.TIMEOUT, stream=True, seconds=0.3).partial_text == "uno "

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("fault", ["malformed_arguments", "unknown_tool"])
    def test_broken_tool_calls(self, llmock: LLMock, fault: str, stream: bool) -> None:
        llmock.break_tool_call(fault)
        self.fails(llmock, FailureKind.TOOL_CALL, stream=stream, **TOOLS)
