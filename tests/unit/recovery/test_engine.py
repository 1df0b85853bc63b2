from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import Answer, ChatCall, ChatRequest, Chunk, Usage
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.moves import MOVES, RETRY
from cajanegra.errors import CallError
from cajanegra.recovery.decision import Policy
from cajanegra.recovery.engine import Engine, Outcome
from cajanegra.recovery.target import Target
from scripted import Act, Clock, Log, ScriptedProvider, Shrug

OK = Answer("fine", "m-1", Usage(total_tokens=7), "stop")
REQUEST = ChatRequest([{"role": "user", "content": "hi"}])
HISTORY = [{"role": role, "content": "x" * 4_000} for role in ("user", "assistant") * 5]
LONG = ChatRequest([*HISTORY, {"role": "user", "content": "What now?"}])


class World:
    """Some scripted providers, an engine over them and what it wrote down."""

    def __init__(
        self, *acts: list[Act], policy: Policy | None = None, windows: list[int] | None = None, **failure: Any
    ) -> None:
        self.clock = Clock()
        self.log = Log()
        self.providers = [
            ScriptedProvider(f"p{i}", *script, clock=self.clock, **failure) for i, script in enumerate(acts)
        ]
        sizes: list[int | None] = list(windows) if windows else [None] * len(acts)
        self.targets = [Target(p, "m", 10.0, size) for p, size in zip(self.providers, sizes, strict=True)]
        self.engine = Engine(
            self.log,
            Shrug(),
            policy or Policy(),
            clock=self.clock,
            sleep=self.clock.sleep,
            chance=lambda: 0.5,
        )

    def chat(self, request: ChatRequest = REQUEST) -> Outcome:
        return asyncio.run(self.engine.chat(ChatCall("hi", request), self.targets))

    def stream(self, request: ChatRequest = REQUEST) -> list[Chunk]:
        async def collect() -> list[Chunk]:
            chunks = self.engine.stream(ChatCall("hi", request), self.targets)
            return [chunk async for chunk in chunks]

        return asyncio.run(collect())

    @property
    def steps(self) -> list[dict[str, Any]]:
        (call,) = self.log.calls
        return call.steps

    @property
    def attempts(self) -> int:
        return sum(len(provider.asked) for provider in self.providers)


def test_a_healthy_call_is_one_attempt_without_a_step() -> None:
    world = World([OK])
    outcome = world.chat()
    assert (outcome.answer, outcome.status, outcome.attempts, world.steps) == (OK, "success", 1, [])
    assert world.log.calls[0].answer is OK


def test_a_retry_waits_as_long_as_it_was_asked_to() -> None:
    world = World([FailureKind.RATE_LIMIT, OK], retry_after=3.0)
    outcome = world.chat()
    first, second = world.providers[0].asked
    assert second.at - first.at >= 3.0
    assert (outcome.status, outcome.attempts) == ("success", 2)
    (step,) = world.steps
    assert (step["strategy"], step["successful"], step["provider"]) == ("retry", True, "p0")
    assert step["result"]["wait_asked"] == 3.0
    assert step["result"]["wait_taken"] >= 3.0
    assert step["result"]["outcome"] == "answered"
    assert step["error"].failure.kind == "rate_limit"


def test_a_fallback_is_recorded_with_who_handed_over_to_whom() -> None:
    world = World([FailureKind.AUTH], [OK])
    outcome = world.chat()
    assert (outcome.status, outcome.target.provider.name) == ("fallback", "p1")
    (step,) = world.steps
    assert (step["strategy"], step["action"], step["provider"]) == ("fallback", "p0 -> p1", "p1")


def test_each_failed_step_is_recorded_too() -> None:
    world = World([FailureKind.AUTH], [FailureKind.MODEL_NOT_FOUND], [OK])
    world.chat()
    assert [(step["action"], step["successful"]) for step in world.steps] == [
        ("p0 -> p1", False),
        ("p1 -> p2", True),
    ]


def test_a_prompt_that_is_too_long_is_shortened_for_the_same_provider() -> None:
    world = World([FailureKind.CONTEXT_LENGTH, OK])
    outcome = world.chat(LONG)
    assert outcome.status == "success"
    (step,) = world.steps
    assert step["strategy"] == "simplify"
    cut = step["result"]["changed"]["characters_cut"]
    sent = world.providers[0].asked[-1].request.messages
    assert sum(len(message["content"]) for message in sent) == 40_009 - cut
    assert sent[-1] == LONG.messages[-1]


def test_a_fallback_to_a_smaller_window_sends_what_fits_it() -> None:
    world = World([FailureKind.AUTH], [OK], windows=[100_000, 2_000])
    world.chat(LONG)
    (step,) = world.steps
    assert step["strategy"] == "fallback"
    assert step["result"]["changed"]["characters_cut"] > 30_000
    sent = world.providers[1].asked[0].request.messages
    assert sum(len(message["content"]) for message in sent) <= 8_000


def test_the_next_provider_gets_the_original_request() -> None:
    world = World([FailureKind.CONTEXT_LENGTH], [OK], windows=[5000, 100_000])
    world.chat(LONG)
    assert world.providers[1].asked[0].request == LONG


def test_a_provider_that_failed_in_passing_is_asked_again_when_nobody_else_is_left() -> None:
    world = World([FailureKind.TIMEOUT, OK], [FailureKind.AUTH])
    outcome = world.chat()
    assert (outcome.target.provider.name, outcome.attempts, outcome.status) == ("p0", 3, "success")
    assert [step["action"] for step in world.steps] == ["p0 -> p1", "p1 -> p0"]


def test_nobody_answers_and_the_caller_is_told_all_of_it() -> None:
    world = World([FailureKind.AUTH], [FailureKind.CONTENT_FILTER])
    with pytest.raises(CallError) as caught:
        world.chat()
    error = caught.value
    assert (error.kind, error.status, len(error.steps)) == ("content_filter", "error", 1)
    assert "p0: auth (auth of p0); p1: content_filter" in str(error)
    assert str(error).endswith("Ask p1 about content_filter.")
    assert error.__cause__ is world.log.calls[0].error


def test_a_timeout_ends_as_a_timeout() -> None:
    world = World([FailureKind.TIMEOUT], policy=Policy(timeout=15))
    with pytest.raises(CallError) as caught:
        world.chat()
    assert caught.value.status == "timeout"
    assert world.clock.now - 1000 <= 15.1
    assert world.providers[0].asked[0].timeout == 10.0


def test_a_wait_beyond_the_deadline_is_an_error_at_once() -> None:
    world = World([FailureKind.RATE_LIMIT], retry_after=500.0)
    with pytest.raises(CallError, match="asked to wait 500 s") as caught:
        world.chat()
    assert (caught.value.status, world.attempts, world.clock.slept) == ("error", 1, [])


def test_cancellation_is_recorded_and_never_retried() -> None:
    world = World([asyncio.CancelledError()], [OK])
    with pytest.raises(asyncio.CancelledError):
        world.chat()
    assert world.attempts == 1
    failure = getattr(world.log.calls[0].error, "failure", None)
    assert failure is not None
    assert failure.kind == "cancelled"


kinds = st.sampled_from([kind for kind in FailureKind if MOVES[kind]])


@given(
    st.lists(st.lists(kinds | st.just(OK), min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(1, 8),
    st.none() | st.floats(0, 100),
)
def test_every_call_ends_within_its_limits_and_is_written_down(
    scripts: list[list[Act]], attempts: int, retry_after: float | None
) -> None:
    world = World(*scripts, policy=Policy(attempts=attempts, timeout=40), retry_after=retry_after)
    try:
        outcome: Outcome | None = world.chat()
    except CallError:
        outcome = None
    (call,) = world.log.calls
    assert (call.answer is not None) == (outcome is not None)
    assert (call.error is None) == (outcome is not None)
    assert world.attempts == len(call.steps) + 1 <= attempts
    assert world.clock.now - 1000 <= 40.1
    for provider in world.providers:
        for before, after in zip(provider.asked, provider.asked[1:], strict=False):
            assert after.at - before.at >= (retry_after or 0)


@given(st.lists(kinds, min_size=1, max_size=1), st.integers(2, 6))
def test_what_is_not_repeatable_is_sent_once(script: list[FailureKind], attempts: int) -> None:
    world = World(list(script), policy=Policy(attempts=attempts))
    with pytest.raises(CallError):
        world.chat()
    if RETRY not in MOVES[script[0]]:
        assert world.attempts == 1


PIECES = [Chunk("Hel"), Chunk("lo"), Chunk(finish_reason="stop", usage=Usage(total_tokens=3))]


def test_a_stream_that_fails_before_its_first_content_is_recovered_unseen() -> None:
    world = World([[Chunk(), FailureKind.STREAM_INTERRUPTED]], [PIECES])
    chunks = world.stream()
    assert "".join(chunk.text for chunk in chunks) == "Hello"
    assert world.log.calls[0].answer.text == "Hello"
    assert world.log.calls[0].answer.usage.total_tokens == 3
    assert [step["strategy"] for step in world.steps][-1] == "fallback"


def test_a_stream_that_fails_after_its_first_content_says_so_and_keeps_what_came() -> None:
    world = World([[Chunk("Hel"), FailureKind.CONNECTION]], [PIECES])
    with pytest.raises(CallError) as caught:
        world.stream()
    assert (caught.value.kind, caught.value.partial_text) == ("stream_interrupted", "Hel")
    assert (world.attempts, world.log.calls[0].partial_text) == (1, "Hel")


def test_leaving_a_stream_early_is_a_cancellation() -> None:
    world = World([PIECES])

    async def leave() -> None:
        chunks = world.engine.stream(ChatCall("hi", REQUEST), world.targets)
        async for _chunk in chunks:
            break
        await chunks.aclose()

    asyncio.run(leave())
    failure = getattr(world.log.calls[0].error, "failure", None)
    assert failure is not None
    assert failure.kind == "cancelled"
    assert world.log.calls[0].partial_text == "Hel"


def test_a_thousand_calls_go_on_at_once() -> None:
    world = World([OK])

    async def many() -> list[Outcome]:
        calls = [world.engine.chat(ChatCall("hi", REQUEST), world.targets) for _ in range(1000)]
        return await asyncio.gather(*calls)

    assert len(asyncio.run(many())) == len(world.log.calls) == 1000
