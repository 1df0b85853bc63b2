"""What one call learns serves the calls after it: engine, targets and a clock that moves when somebody waits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from cajanegra.domain.call import Answer, CallInfo, ChatCall, ChatRequest, Usage
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.errors import CallError
from cajanegra.recovery.decision import Policy
from cajanegra.recovery.engine import Engine, Outcome
from cajanegra.recovery.gate import FIRST_DEAD_REST
from cajanegra.recovery.target import Target
from cajanegra.recovery.turn import COLD_LIMIT
from scripted import Act, Clock, Log, ScriptedProvider, Shrug

OK = Answer("fine", "m-1", Usage(10, 2, 12), "stop")
REQUEST = ChatRequest([{"role": "user", "content": "hi"}])


class World:
    """Scripted providers that many calls ask, one after the other or at once."""

    def __init__(self, *acts: Sequence[Act], account: str | None = None, **failure: Any) -> None:
        self.clock, self.log = Clock(), Log()
        self.providers = [
            ScriptedProvider(f"p{i}", *script, clock=self.clock, **failure) for i, script in enumerate(acts)
        ]
        self.targets = [Target(one, "m", 10.0, account=account or one.name) for one in self.providers]
        self.engine = Engine(
            self.log,
            Shrug(),
            Policy(timeout=30),
            clock=self.clock,
            sleep=self.clock.sleep,
            chance=lambda: 0.5,
        )

    async def call(self, request: ChatRequest = REQUEST, **known: Any) -> Outcome:
        info = CallInfo(tenant_id=known.pop("tenant_id", None))
        return await self.engine.chat(ChatCall("hi", request, info, **known), self.targets)

    def chat(self, count: int = 1, **known: Any) -> list[Outcome]:
        async def run() -> list[Outcome]:
            return [await self.call(**known) for _ in range(count)]

        return asyncio.run(run())

    def asked(self) -> list[int]:
        return [len(one.asked) for one in self.providers]


@pytest.mark.parametrize(
    "kind", [FailureKind.AUTH, FailureKind.QUOTA_EXHAUSTED, FailureKind.MODEL_NOT_FOUND, FailureKind.TIMEOUT]
)
def test_who_is_known_dead_is_asked_by_one_call_and_passed_over_by_the_next(kind: FailureKind) -> None:
    world = World([kind], [OK])
    outcomes = world.chat(20)
    assert world.asked() == [1, 20]
    assert [outcome.attempts for outcome in outcomes] == [2] + [1] * 19
    assert {outcome.target.provider.name for outcome in outcomes} == {"p1"}


def test_who_was_dead_is_probed_after_a_while_and_asked_again_once_it_answers() -> None:
    world = World([FailureKind.AUTH, FailureKind.AUTH, OK], [OK])
    world.chat()
    world.clock.now += FIRST_DEAD_REST
    assert [outcome.attempts for outcome in world.chat(5)] == [2, 1, 1, 1, 1]
    world.clock.now += 2 * FIRST_DEAD_REST
    assert {outcome.target.provider.name for outcome in world.chat(5)} == {"p0"}


def test_a_retry_after_holds_the_calls_that_come_later() -> None:
    world = World([FailureKind.RATE_LIMIT, OK], retry_after=5.0)
    world.chat(3)
    first, *others = [one.at for one in world.providers[0].asked]
    assert len(others) == 3
    assert all(at >= first + 5.0 for at in others)


def test_two_providers_with_one_key_share_its_retry_after() -> None:
    world = World([FailureKind.RATE_LIMIT, OK], [OK], account="one key", retry_after=5.0)
    world.chat(2)
    times = sorted(one.at for provider in world.providers for one in provider.asked)
    assert times[1] - times[0] >= 5.0


def test_a_callers_own_impatience_is_not_held_against_the_provider() -> None:
    world = World([FailureKind.TIMEOUT, OK], [OK])
    with pytest.raises(CallError) as caught:
        world.chat(timeout=0.2)
    assert caught.value.status == "timeout"
    (outcome,) = world.chat()
    assert (outcome.target.provider.name, outcome.attempts) == ("p0", 1)


def test_while_another_is_left_nobody_is_waited_for_too_long() -> None:
    world = World([FailureKind.TIMEOUT], [OK])
    world.chat(timeout=12.0)
    first, second = (provider.asked[0] for provider in world.providers)
    assert first.timeout == COLD_LIMIT  # nothing is known yet of how long it usually takes
    assert second.timeout == 12.0 - COLD_LIMIT


def test_three_failures_in_a_row_open_the_breaker_for_all_calls() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK])
    assert [outcome.attempts for outcome in world.chat(10)] == [2, 2, 2, 1, 1, 1, 1, 1, 1, 1]


def test_answers_that_are_none_count_against_their_provider_as_errors_do() -> None:
    world = World([FailureKind.INVALID_RESPONSE], [OK])
    assert [outcome.attempts for outcome in world.chat(5)] == [2, 2, 2, 1, 1]


def test_each_wait_is_the_one_that_was_asked_for_last() -> None:
    waits = [
        ProviderError(Failure(FailureKind.RATE_LIMIT, "slow down", "p0", "m", 429, retry_after=seconds))
        for seconds in (1.0, 20.0, 2.0)
    ]
    world = World([*waits, OK])
    world.chat()
    times = [one.at for one in world.providers[0].asked]
    taken = [after - before for before, after in itertools.pairwise(times)]
    assert [asked <= took < asked * 1.2 for asked, took in zip((1.0, 20.0, 2.0), taken, strict=True)] == [
        True
    ] * 3


def test_who_passes_somebody_over_says_so() -> None:
    world = World([FailureKind.AUTH], [OK])
    world.chat(2)
    assert world.log.calls[1].begun["provider"] == "p0"
    asked_instead = world.log.calls[1].asked_instead
    assert asked_instead is not None
    assert asked_instead[0] == "p1"
    assert world.log.calls[1].steps == []


def test_when_nobody_can_be_asked_in_time_the_call_says_who_and_why_without_an_attempt() -> None:
    world = World([FailureKind.RATE_LIMIT], retry_after=100.0)
    for _ in range(2):
        with pytest.raises(CallError) as caught:
            world.chat()
        assert (caught.value.kind, caught.value.status) == ("rate_limit", "error")
    assert world.asked() == [1]


def test_calls_that_wait_for_the_same_probe_go_on_when_it_is_answered() -> None:
    async def run() -> list[Outcome]:
        with pytest.raises(CallError):
            await world.call(timeout=1.0)
        return await asyncio.gather(*(world.call() for _ in range(200)))

    world = World([FailureKind.RATE_LIMIT, OK], retry_after=2.0)
    outcomes = asyncio.run(run())
    assert {outcome.attempts for outcome in outcomes} == {1}
    assert world.asked() == [201]


class Truncating(ScriptedProvider):
    """Reads so many tokens of a prompt and no more, without a word."""

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        self._next(request, model, timeout)
        tokens = sum(len(message["content"]) for message in request.messages) // 4
        return Answer("half", usage=Usage(min(tokens, 1_000), 1), finish_reason="stop")


class Counting(ScriptedProvider):
    """Reads all of it."""

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        self._next(request, model, timeout)
        tokens = sum(len(message["content"]) for message in request.messages) // 4
        return Answer("whole", usage=Usage(tokens, 1), finish_reason="stop")


def _sized(characters: int) -> ChatRequest:
    return ChatRequest([{"role": "user", "content": "x" * characters}])


def test_half_a_prompt_is_never_answered_and_long_ones_then_go_where_they_fit() -> None:
    world = World([OK], [OK])
    world.providers = [Truncating("p0", OK), Counting("p1", OK)]
    world.targets = [Target(one, "m", 10.0, account=one.name) for one in world.providers]
    for _ in range(8):
        world.chat(request=_sized(1_000))
    (outcome,) = world.chat(request=_sized(20_000))
    assert (outcome.answer.text, outcome.attempts) == ("whole", 2)
    assert outcome.steps[0].failure.kind == "context_length"
    (outcome,) = world.chat(request=_sized(20_000))
    assert (outcome.answer.text, outcome.attempts) == ("whole", 1)
    (outcome,) = world.chat(request=_sized(1_000))
    assert outcome.answer.text == "half"


class Particular(ScriptedProvider):
    """Rejects a temperature."""

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        self._next(request, model, timeout)
        if request.temperature is None:
            return OK
        message = "Unsupported parameter: 'temperature' is not supported with this model."
        raise ProviderError(Failure(FailureKind.INVALID_REQUEST, message, self.name, model, http_status=400))


def test_a_parameter_that_was_rejected_once_is_not_sent_again() -> None:
    world = World([OK])
    world.providers = [Particular("p0", OK)]
    world.targets = [Target(world.providers[0], "m", 10.0)]
    request = ChatRequest(REQUEST.messages, temperature=0.2)
    assert [outcome.attempts for outcome in world.chat(3, request=request)] == [2, 1, 1]
