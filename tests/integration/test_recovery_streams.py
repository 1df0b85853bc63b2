"""Streams that fail in every way, through the client and over real connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from cajanegra import AIClient, Settings
from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.errors import CallError
from cajanegra.storage import reads
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from provider_servers import (
    DONE,
    STREAM_HEAD,
    Exchange,
    Script,
    Server,
    chat_completion,
    delta,
    event,
    http,
    serve,
    streams,
)

GOOD = streams(delta("It is "), delta("due."), delta(finish_reason="stop"), DONE)
SCHEMA = {
    "type": "object",
    "properties": {"due": {"type": "string"}},
    "required": ["due"],
    "additionalProperties": False,
}
AS_SCHEMA = {"type": "json_schema", "json_schema": {"name": "due", "schema": SCHEMA}}


async def _hang(exchange: Exchange) -> None:
    await exchange.gone()


async def _stall(exchange: Exchange) -> None:
    await exchange.send(STREAM_HEAD, _framed(delta("", role="assistant")))
    await exchange.gone()


async def _idle(exchange: Exchange) -> None:
    await exchange.send(STREAM_HEAD, _framed(delta("It ")))
    await exchange.gone()


def _in_turn(*scripts: Script) -> Script:
    """A server that does something else with each request."""
    left = iter(scripts)

    async def script(exchange: Exchange) -> None:
        await next(left)(exchange)

    return script


def _framed(piece: bytes) -> bytes:
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


class World:
    """A client over providers of which each does what it is told."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path / 'calls.db'}"
        self.servers: list[Server] = []

    def settings(self, **provider: Any) -> Settings:
        providers = [
            {"name": f"p{i}", "base_url": server.url, "models": ["m"], "timeout": 3, **provider}
            for i, server in enumerate(self.servers)
        ]
        return Settings(database={"url": self.url}, providers=providers, recovery={"timeout": 8})

    def run(
        self, scripts: Sequence[Script], work: Callable[[AIClient], Awaitable[Any]], **provider: Any
    ) -> Any:
        async def run() -> Any:
            async with AsyncExitStack() as stack:
                self.servers = [await stack.enter_async_context(serve(script)) for script in scripts]
                async with AIClient(self.settings(**provider)) as ai:
                    return await work(ai)

        return asyncio.run(run())

    def row(self) -> Any:
        with Database(self.url) as database:
            (row,) = reads.iterate(database, CallFilter(ALL_TENANTS))
        return row

    def trigger(self, request_id: str) -> Any:
        """The failure that the call's only step answers."""
        with Database(self.url) as database:
            detail = reads.call(database, ALL_TENANTS, request_id)
        assert detail is not None
        (step,) = detail.steps
        return step["recovery_result"]["trigger"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def _text(ai: AIClient, **arguments: Any) -> str:
    return "".join([chunk.text async for chunk in ai.stream("What is due?", **arguments)])


NO_STREAM = http(json.dumps(chat_completion()).encode())
BEFORE_CONTENT: dict[str, Script] = {
    "cut at once": streams(cut=True),
    "cut after the role": streams(delta("", role="assistant"), cut=True),
    "ended without a finish reason": streams(delta("", role="assistant")),
    "malformed": streams(b"data: {no\n\n"),
    "empty": streams(delta(finish_reason="stop"), DONE),
    "an error in it": streams(event({"error": {"message": "overloaded", "type": "overloaded_error"}})),
    "an error after the role": streams(
        delta("", role="assistant"), event({"error": {"message": "overloaded", "type": "overloaded_error"}})
    ),
    "too long, said in a 200": streams(event({"error": {"message": "maximum context length is 5 tokens"}})),
    "another content type": streams(b"<html>", content_type="text/html"),
    "no stream": lambda exchange: exchange.send(NO_STREAM),
    "refused": streams(delta(refusal="I will not."), delta(finish_reason="stop"), DONE),
    "refused in words": streams(
        delta("I'm sorry, but "), delta("I can't assist with that."), delta(finish_reason="stop"), DONE
    ),
    "filtered": streams(delta("", role="assistant"), delta(finish_reason="content_filter"), DONE),
    "hanging": _hang,
    "stalling": _stall,
}


@pytest.mark.parametrize("fault", BEFORE_CONTENT)
def test_what_fails_before_the_first_content_is_recovered_unseen(world: World, fault: str) -> None:
    text = world.run([BEFORE_CONTENT[fault], GOOD], _text, first_token_timeout=0.4)
    assert text == "It is due."
    row = world.row()
    assert (row["status"], row["provider_used"], row["error_code"]) == ("fallback", "p1", None)


@pytest.mark.parametrize("fault", ["cut at once", "malformed", "an error in it", "empty"])
def test_with_nobody_else_the_same_provider_is_asked_again(world: World, fault: str) -> None:
    assert world.run([_in_turn(BEFORE_CONTENT[fault], GOOD)], _text) == "It is due."
    assert (world.row()["status"], world.row()["retry_count"]) == ("success", 1)


def test_a_prompt_that_a_stream_calls_too_long_is_shortened(world: World) -> None:
    message = (
        "This model's maximum context length is 1000 tokens. However, your messages resulted in 2000 tokens."
    )
    too_long = streams(event({"error": {"message": message, "code": "context_length_exceeded"}}))
    history = [{"role": role, "content": "word " * 400} for role in ("user", "assistant") * 2]

    async def ask(ai: AIClient) -> str:
        messages = [*history, {"role": "user", "content": "What is due?"}]
        return "".join([chunk.text async for chunk in ai.stream(messages=messages)])

    assert world.run([_in_turn(too_long, GOOD)], ask) == "It is due."
    assert world.trigger(world.row()["request_id"])["kind"] == "context_length"
    before, after = (len(json.dumps(request)) for request in world.servers[0].requests)
    assert after < before / 2 + 100


AFTER_CONTENT: dict[str, Script] = {
    "cut": streams(delta("It "), cut=True),
    "ended without a finish reason": streams(delta("It ")),
    "malformed": streams(delta("It "), b"data: {no\n\n"),
    "an error in it": streams(delta("It "), event({"error": {"message": "overloaded"}})),
    "filtered": streams(delta("It "), delta(finish_reason="content_filter"), DONE),
    "idle": _idle,
}


@pytest.mark.parametrize("fault", AFTER_CONTENT)
def test_what_fails_later_is_said_with_what_came(world: World, fault: str) -> None:
    with pytest.raises(CallError) as caught:
        world.run([AFTER_CONTENT[fault], GOOD], _text, idle_timeout=0.4)
    assert (caught.value.kind, caught.value.partial_text) == ("stream_interrupted", "It ")
    row = world.row()
    assert (row["status"], row["error_code"], row["provider_used"]) == ("error", "stream_interrupted", "p0")
    assert len(world.servers[1].requests) == 0


@pytest.mark.parametrize("fault", [fault for fault in AFTER_CONTENT if fault != "filtered"])
def test_what_was_cut_off_is_continued_where_a_provider_can_be_asked_to(world: World, fault: str) -> None:
    rest = streams(delta("is "), delta("due."), delta(finish_reason="stop"), DONE)

    async def ask(ai: AIClient) -> tuple[str, list[str]]:
        stream = ai.stream("What is due?")
        text = "".join([chunk.text async for chunk in stream])
        return text, stream.continued_by

    settings = {"idle_timeout": 0.4, "continues": "continue_final_message"}
    assert world.run([AFTER_CONTENT[fault], rest], ask, **settings) == ("It is due.", ["p1"])
    request = world.servers[1].requests[0]
    assert request["messages"][-1] == {"role": "assistant", "content": "It "}
    assert request["continue_final_message"] is True
    assert request["add_generation_prompt"] is False
    row = world.row()
    assert (row["status"], row["fallback_used"], row["error_code"]) == ("fallback", "p1", None)
    assert row["response_content_length"] == len("It is due.")
    assert row["response_metadata"]["continued"] == [
        {"provider": "p1", "model": "m", "after_characters": len("It ")}
    ]
    assert world.trigger(row["request_id"])["kind"] == "stream_interrupted"


def test_a_provider_with_nothing_to_add_completes_an_answer(world: World) -> None:
    nothing = streams(delta("", role="assistant"), delta(finish_reason="stop"), DONE)
    assert world.run([streams(delta("It is due.")), nothing], _text, continues="message") == "It is due."
    assert world.row()["status"] == "fallback"


def _says(text: str, finish_reason: str = "stop") -> Script:
    half = len(text) // 2
    return streams(delta(text[:half]), delta(text[half:]), delta(finish_reason=finish_reason), DONE)


@pytest.mark.parametrize(
    ("text", "finish_reason", "kind"),
    [
        ("It is due on Monday.", "stop", "invalid_response"),
        ('{"due": "Mon', "length", "invalid_response"),
        ('{"due": "Monday", "and": ', "stop", "invalid_response"),
        ('{"when": "Monday"}', "stop", "schema_validation"),
        ('{"due": 1}', "stop", "schema_validation"),
    ],
)
def test_streamed_json_that_is_none_is_asked_for_elsewhere(
    world: World, text: str, finish_reason: str, kind: str
) -> None:
    scripts = [_says(text, finish_reason), _says('{"due": "Tuesday"}')]
    answer = world.run(scripts, lambda ai: _text(ai, response_format=AS_SCHEMA))
    assert answer == '{"due": "Tuesday"}'
    row = world.row()
    assert row["status"] == "fallback"
    assert world.trigger(row["request_id"])["kind"] == kind


@pytest.mark.parametrize("streamed", [False, True])
def test_json_with_slips_is_mended_and_the_record_says_so(world: World, streamed: bool) -> None:
    slipped = "Here it is:\n```json\n{'due': 'Monday',}\n```"
    script = _says(slipped)
    if not streamed:
        body = json.dumps(chat_completion(slipped)).encode()

        async def plain(exchange: Exchange) -> None:
            await exchange.send(http(body))

        script = plain

    async def ask(ai: AIClient) -> str:
        if streamed:
            return await _text(ai, response_format=AS_SCHEMA)
        return (await ai.chat("What is due?", response_format=AS_SCHEMA)).text

    assert json.loads(world.run([script], ask)) == {"due": "Monday"}
    row = world.row()
    assert (row["status"], row["response_metadata"]["attempts"]) == ("success", 1)
    assert row["response_metadata"]["json_repaired"] is True
    assert len(world.servers[0].requests) == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_a_caller_that_gives_up_closes_the_connection_at_once(world: World, streamed: bool) -> None:
    asked_for, closed = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        asked_for.set()
        if streamed:
            await exchange.send(STREAM_HEAD, _framed(delta("It ")))
        await exchange.gone()
        closed.set()

    async def ask(ai: AIClient) -> None:
        asked = asyncio.ensure_future(_text(ai) if streamed else ai.chat("What is due?"))
        await asyncio.wait_for(asked_for.wait(), 5.0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.wait_for(closed.wait(), 1.0)

    world.run([script, GOOD], ask)
    row = world.row()
    assert (row["status"], row["error_code"]) == ("error", "cancelled")
    assert len(world.servers[1].requests) == 0
