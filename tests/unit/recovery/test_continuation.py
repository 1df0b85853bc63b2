"""Streams that others go on with after they were cut off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import ChatCall, ChatRequest, Chunk, Usage
from cajanegra.domain.failure import FailureKind
from cajanegra.errors import CallError
from cajanegra.recovery.continuation import LEAST_ECHO, WAYS, Echo
from cajanegra.recovery.decision import Policy
from cajanegra.recovery.engine import Engine
from cajanegra.recovery.target import Target
from scripted import Act, Clock, Log, ScriptedProvider, Shrug

REQUEST = ChatRequest([{"role": "user", "content": "What is due?"}])
CUT: list[Chunk | FailureKind] = [Chunk("The invoice "), Chunk("is d"), FailureKind.CONNECTION]
REST = [Chunk("ue on "), Chunk("Monday."), Chunk(finish_reason="stop", usage=Usage(total_tokens=9))]
WHOLE = "The invoice is due on Monday."


class World:
    """Scripted providers, all but the first of which can go on with an answer, unless it is said otherwise."""

    def __init__(self, *acts: list[Act], ways: tuple[str | None, ...] = ()) -> None:
        clock = Clock()
        self.log = Log()
        self.providers = [ScriptedProvider(f"p{i}", *script, clock=clock) for i, script in enumerate(acts)]
        ways = ways or (None, *["message"] * (len(acts) - 1))
        self.targets = [
            Target(provider, "m", 10.0, continues=way)
            for provider, way in zip(self.providers, ways, strict=True)
        ]
        self.engine = Engine(self.log, Shrug(), Policy(), clock=clock, sleep=clock.sleep, chance=lambda: 0.5)
        self.chunks: list[Chunk] = []

    def stream(self, **parameters: Any) -> str:
        async def collect() -> None:
            request = ChatRequest(REQUEST.messages, parameters=parameters)
            async for chunk in self.engine.stream(ChatCall("What is due?", request), self.targets):
                self.chunks.append(chunk)

        asyncio.run(collect())
        return self.text

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def continued_by(self) -> list[str]:
        return [chunk.continued_by for chunk in self.chunks if chunk.continued_by is not None]


@pytest.mark.parametrize("way", WAYS)
def test_another_goes_on_and_stream_and_record_say_so(way: str) -> None:
    world = World([CUT], [REST], ways=(None, way))
    assert world.stream() == WHOLE
    assert world.continued_by == ["p1"]
    (call,) = world.log.calls
    assert call.answer.text == WHOLE
    assert call.metadata["continued"] == [{"provider": "p1", "model": "m", "after_characters": 16}]
    (step,) = call.steps
    assert (step["strategy"], step["action"], step["successful"]) == ("fallback", "p0 -> p1", True)
    assert step["error"].failure.kind == "stream_interrupted"
    assert step["result"]["changed"] == {"continued_after_characters": 16}
    asked = world.providers[1].asked[0].request
    assert asked.messages[:-1] == REQUEST.messages
    assert (asked.messages[-1]["role"], asked.messages[-1]["content"]) == ("assistant", "The invoice is d")
    assert asked.messages[-1].get("prefix", False) == (way == "prefix")
    assert ("continue_final_message" in asked.parameters) == (way == "continue_final_message")


def test_a_continuation_that_is_cut_is_continued_by_the_next() -> None:
    world = World([CUT], [[Chunk("ue on "), FailureKind.TIMEOUT]], [[Chunk("Monday."), *REST[2:]]])
    assert world.stream() == WHOLE
    assert world.continued_by == ["p1", "p2"]
    assert world.providers[2].asked[0].request.messages[-1]["content"] == "The invoice is due on "
    assert [step["successful"] for step in world.log.calls[0].steps] == [False, True]


def test_who_cannot_go_on_is_not_asked_and_the_stream_ends_with_what_came() -> None:
    world = World([CUT], [REST], ways=("message", None))
    with pytest.raises(CallError) as caught:
        world.stream()
    assert (caught.value.kind, caught.value.partial_text) == ("stream_interrupted", "The invoice is d")
    assert (world.providers[1].asked, world.log.calls[0].partial_text) == ([], "The invoice is d")


@pytest.mark.parametrize("refuses", [FailureKind.INVALID_REQUEST, FailureKind.AUTH, FailureKind.REFUSAL])
def test_what_cut_the_answer_off_is_told_and_not_what_those_said_who_could_not_go_on(
    refuses: FailureKind,
) -> None:
    world = World([CUT], [refuses])
    with pytest.raises(CallError) as caught:
        world.stream()
    assert (caught.value.kind, caught.value.partial_text) == ("stream_interrupted", "The invoice is d")
    assert world.continued_by == []
    assert [step.failure.kind for step in caught.value.steps] == ["stream_interrupted"]
    assert len(world.providers[0].asked) == len(world.providers[1].asked) == 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"tools": [{"type": "function", "function": {"name": "look_up"}}]},
        {"response_format": {"type": "json_object"}},
        {"n": 2},
    ],
)
def test_only_plain_text_is_continued(parameters: dict[str, Any]) -> None:
    world = World([CUT], [REST])
    with pytest.raises(CallError):
        world.stream(**parameters)
    assert world.providers[1].asked == []


@pytest.mark.parametrize("kind", [FailureKind.CONTENT_FILTER, FailureKind.REFUSAL])
def test_what_was_stopped_on_purpose_is_not_continued(kind: FailureKind) -> None:
    world = World([[Chunk("The "), kind]], [REST])
    with pytest.raises(CallError):
        world.stream()
    assert world.providers[1].asked == []


def test_an_answer_that_was_complete_but_for_its_end_is_complete() -> None:
    world = World([[Chunk(WHOLE), FailureKind.CONNECTION]], [[Chunk(finish_reason="stop")]])
    assert world.stream() == WHOLE
    assert world.continued_by == ["p1"]
    assert world.log.calls[0].answer.text == WHOLE


def test_who_repeats_the_beginning_first_is_not_heard_twice() -> None:
    world = World([CUT], [[Chunk("The inv"), Chunk("oice is d"), *REST]])
    assert world.stream() == WHOLE


def test_no_longer_an_answer_is_asked_for_than_is_left() -> None:
    world = World([CUT], [REST])
    world.stream(max_completion_tokens=100)
    assert world.providers[1].asked[0].request.parameters["max_completion_tokens"] == 96


def test_a_caller_that_leaves_before_the_continuation_is_recorded_with_what_it_had() -> None:
    world = World([CUT], [asyncio.CancelledError()])
    with pytest.raises(asyncio.CancelledError):
        world.stream()
    assert world.log.calls[0].partial_text == "The invoice is d"


@given(st.text(max_size=30), st.text(max_size=30), st.booleans(), st.data())
def test_an_echo_is_left_out_whole_and_nothing_else(
    begun: str, rest: str, repeats: bool, data: st.DataObject
) -> None:
    text = begun + rest if repeats else rest
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    echo = Echo(begun)
    told = "".join([echo.take(piece, last=i == len(pieces) - 1) for i, piece in enumerate(pieces)])
    if len(begun) < LEAST_ECHO:
        assert told == text
    elif text.startswith(begun):
        assert told == text.removeprefix(begun)
    else:
        assert told == text
