"""Corrections in the engine: obeyed at once, within all that limits a call, and on record."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from cajanegra.domain.call import Answer, ChatCall, ChatRequest, Chunk, Usage
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.domain.outcome import Outcome as StepOutcome
from cajanegra.errors import CallError
from cajanegra.ports import StoredCorrection
from cajanegra.recovery.advice import MINUTE, MOST_WARNINGS, Advice
from cajanegra.recovery.decision import Policy
from cajanegra.recovery.engine import Engine, Outcome
from cajanegra.recovery.routing import Route, resolve
from scripted import Act, Clock, Log, ScriptedProvider, Shrug

OK = Answer("fine", "m-1", Usage(total_tokens=7), "stop")
REQUEST = ChatRequest([{"role": "user", "content": "hi"}], temperature=0.2, max_tokens=900)
MODELS = {"p0": {"m", "large"}, "p1": {"m"}, "p2": {"m", "large"}}


class World:
    """Three scripted providers, corrections, and what the engine wrote down."""

    def __init__(self, *acts: Sequence[Act], policy: Policy | None = None, **failure: Any) -> None:
        self.clock, self.log = Clock(), Log()
        self.providers = [
            ScriptedProvider(f"p{i}", *script, clock=self.clock, **failure) for i, script in enumerate(acts)
        ]
        self.routes = [Route(one, ("m", "large"), 10.0, account=one.name) for one in self.providers]
        self.advice: Advice = Shrug(models=MODELS, clock=self.clock)
        self.engine = Engine(
            self.log,
            self.advice,
            policy or Policy(timeout=30),
            self.routes,
            clock=self.clock,
            sleep=self.clock.sleep,
            chance=lambda: 0.5,
        )

    def correct(self, pattern: str, strategy: str, **settings: Any) -> None:
        self.advice.correct([StoredCorrection(pattern, None, strategy, settings)])

    def chat(self, request: ChatRequest = REQUEST, **known: Any) -> Outcome:
        targets = resolve(self.routes, {}, None)
        return asyncio.run(self.engine.chat(ChatCall("hi", request, **known), targets))

    @property
    def steps(self) -> list[dict[str, Any]]:
        return self.log.calls[-1].steps

    @property
    def asked(self) -> list[int]:
        return [len(one.asked) for one in self.providers]


def test_the_next_failure_goes_straight_to_whom_the_correction_names() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], [OK])
    assert world.chat().target.provider.name == "p1"
    world.correct("p0_server_error", "fallback", provider="p2")
    outcome = world.chat()
    assert (outcome.target.provider.name, outcome.status, outcome.attempts) == ("p2", "fallback", 2)
    (step,) = world.steps
    assert (step["strategy"], step["action"]) == ("fallback", "p0 -> p2")
    assert step["result"]["correction"] == {"strategy": "fallback", "provider": "p2", "obeyed": True}
    assert step["result"]["reason"] == "the correction of this pattern says so: fall back to p2"


def test_a_model_may_be_named_that_the_call_would_not_ask() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], [OK])
    world.correct("p0_server_error", "fallback", provider="p2", model="large")
    assert world.chat().target.model == "large"
    assert [one.model for one in world.providers[2].asked] == ["large"]


def test_another_model_of_the_provider_that_failed_may_be_named() -> None:
    world = World([FailureKind.SERVER_ERROR, OK], [OK], [OK])
    world.correct("p0_server_error", "fallback", provider="p0", model="large")
    outcome = world.chat()
    assert (outcome.target.provider.name, outcome.target.model, outcome.status) == ("p0", "large", "fallback")
    assert world.steps[0]["action"] == "p0/m -> p0/large"


def test_other_patterns_are_left_alone() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], [OK])
    world.correct("p0_timeout", "fallback", provider="p2")
    assert world.chat().target.provider.name == "p1"
    assert "correction" not in world.steps[0]["result"]


def test_a_retry_comes_before_others_and_waits_as_it_was_told() -> None:
    world = World([FailureKind.SERVER_ERROR, FailureKind.SERVER_ERROR, OK], [OK])
    world.correct("p0_server_error", "retry", wait=3, retries=2)
    outcome = world.chat()
    assert (outcome.target.provider.name, outcome.status, world.asked) == ("p0", "success", [3, 0])
    times = [one.at for one in world.providers[0].asked]
    assert all(later - earlier >= 3 for earlier, later in itertools.pairwise(times))
    assert [step["strategy"] for step in world.steps] == ["retry", "retry"]


def test_a_retry_that_was_made_often_enough_ends_in_what_is_usual() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK])
    world.correct("p0_server_error", "retry")
    assert world.chat().target.provider.name == "p1"
    assert world.asked == [2, 1]
    assert world.steps[1]["result"]["correction"] == {
        "strategy": "retry",
        "obeyed": False,
        "obstacle": "it was repeated 1 times already",
    }


def test_what_the_provider_asked_for_holds_for_a_correction_too() -> None:
    world = World([FailureKind.RATE_LIMIT, OK], [OK], retry_after=4.0)
    world.correct("p0_rate_limit", "retry", wait=1)
    world.chat()
    first, second = world.providers[0].asked
    assert second.at - first.at >= 4.0


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_is_final_is_never_repeated(status: int) -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], http_status=status)
    world.correct("p0_server_error", "retry", retries=5)
    assert world.chat().target.provider.name == "p1"
    assert world.asked == [1, 1]


def test_no_correction_is_worth_more_attempts_or_time_than_a_call_has() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], policy=Policy(attempts=1))
    world.correct("p0_server_error", "fallback", provider="p1")
    with pytest.raises(CallError):
        world.chat()
    world = World([FailureKind.SERVER_ERROR])
    world.correct("p0_server_error", "retry", wait=60)
    with pytest.raises(CallError, match="was not obeyed: it would have to wait"):
        world.chat(timeout=5.0)
    assert world.clock.now - 1000.0 < 5.0


def test_a_spent_budget_is_spent() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], policy=Policy(retry_budget=1))
    world.correct("p0_server_error", "retry")
    world.chat()
    assert world.steps[0]["result"]["correction"]["obstacle"] == "the retry budget is spent"


def test_who_rests_is_not_waited_for_while_another_answers() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], [OK])
    world.correct("p0_server_error", "fallback", provider="p2")
    target = world.routes[2].to("m")
    leave = world.engine.health.enter(target, urgent=False)
    assert leave is not None
    world.engine.health.failed(leave, Failure(FailureKind.AUTH, "no", "p2", "m"))
    assert world.chat().target.provider.name == "p1"
    assert "another in 0.0 s" in world.steps[0]["result"]["correction"]["obstacle"]


def test_who_is_not_asked_by_this_call_is_not_asked_because_of_a_correction() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], [OK])
    world.correct("p0_server_error", "fallback", provider="p2", model="large")
    targets = resolve(world.routes, {"private": {"p0": "m", "p1": "m"}}, "private")
    outcome = asyncio.run(world.engine.chat(ChatCall("hi", REQUEST), targets))
    assert (outcome.target.provider.name, world.asked) == ("p1", [1, 1, 0])
    assert world.steps[0]["result"]["correction"]["obstacle"] == "whom it names cannot be asked in this call"


def test_a_request_is_made_smaller_as_it_was_told() -> None:
    world = World([FailureKind.TIMEOUT, OK], [OK])
    world.correct("p0_timeout", "simplify", max_tokens=100, remove=["temperature"])
    outcome = world.chat()
    assert (outcome.target.provider.name, outcome.status) == ("p0", "success")
    sent = world.providers[0].asked[1].request
    assert (sent.max_tokens, sent.temperature) == (100, None)
    (step,) = world.steps
    assert step["result"]["changed"] == {
        "max_tokens": {"from": 900, "to": 100},
        "parameters_removed": ["temperature"],
    }


def test_a_request_that_cannot_be_made_smaller_takes_the_usual_way() -> None:
    world = World([FailureKind.TIMEOUT], [OK])
    world.correct("p0_timeout", "simplify", max_tokens=1000)
    assert world.chat().target.provider.name == "p1"
    assert world.steps[0]["result"]["correction"]["obstacle"] == "there is nothing to leave out"


def test_a_long_prompt_is_halved_where_nothing_else_is_said() -> None:
    history = [{"role": "user", "content": "x" * 4_000}, {"role": "assistant", "content": "y" * 4_000}]
    world = World([FailureKind.TIMEOUT, OK], [OK])
    world.correct("p0_timeout", "simplify")
    world.chat(ChatRequest([*history, {"role": "user", "content": "and now?"}]))
    assert world.steps[0]["result"]["changed"]["characters_cut"] >= 4_000


def test_streams_obey_too() -> None:
    async def collect() -> list[Chunk]:
        targets = resolve(world.routes, {}, None)
        return [chunk async for chunk in world.engine.stream(ChatCall("hi", REQUEST), targets)]

    answer: Act = [Chunk("fine"), Chunk(finish_reason="stop")]
    world = World([FailureKind.SERVER_ERROR], [answer], [answer])
    world.correct("p0_server_error", "fallback", provider="p2")
    assert "".join(chunk.text for chunk in asyncio.run(collect())) == "fine"
    assert world.asked == [1, 0, 1]


def test_a_correction_that_is_gone_is_obeyed_no_longer() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], [OK])
    world.correct("p0_server_error", "fallback", provider="p2")
    world.advice.correct([])
    assert world.chat().target.provider.name == "p1"


def test_the_first_failure_after_a_silence_waits_for_the_corrections_a_moment() -> None:
    world = World([FailureKind.SERVER_ERROR], [OK], [OK])
    asked: list[float] = []

    def is_current() -> bool:
        asked.append(world.clock.now)
        if len(asked) == 5:  # read on another thread
            world.correct("p0_server_error", "fallback", provider="p2")
        return len(asked) >= 5

    world.advice.is_current = is_current
    assert world.chat().target.provider.name == "p2"
    world.advice.is_current = lambda: False  # a database that takes its time
    before = world.clock.now
    world.chat()
    assert world.clock.now - before <= 1.1


def test_what_cannot_be_obeyed_is_ignored_and_complained_about_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World([FailureKind.SERVER_ERROR], [OK])
    bad = StoredCorrection("p0_server_error", None, "falback", None)
    for _ in range(3):
        world.advice.correct([bad])
        world.advice.correct([bad, StoredCorrection("p1_timeout", None, "retry", None)])
    assert [record.getMessage() for record in caplog.records] == [
        "the correction of p0_server_error is ignored: 'falback' is not a strategy; did you mean 'fallback'?"
    ]
    assert world.chat().target.provider.name == "p1"
    world.advice.correct([StoredCorrection("p0_server_error", None, "retry", {"wait": "soon"})])
    assert caplog.records[-1].getMessage().endswith("is ignored: wait: expected a number, got a text")


def test_a_thousand_bad_corrections_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    world = World([OK])
    caplog.set_level(logging.WARNING)
    for round_ in range(5):
        world.advice.correct(
            [StoredCorrection(f"a_{i}", None, f"strategy-{round_}", None) for i in range(1000)]
        )
    assert len(caplog.records) == MOST_WARNINGS + 1
    assert caplog.records[-1].getMessage().startswith("995 more corrections are ignored")
    world.clock.now += MINUTE + 1
    world.advice.correct([StoredCorrection("b", None, "no", None)])
    assert len(caplog.records) == MOST_WARNINGS + 2


class Book:
    """A ``ports.Lessons`` that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = [0, 0]

    def corrections(self) -> Sequence[StoredCorrection]:
        self.reads[0] += 1
        return []

    def outcomes(self, after: int, limit: int) -> Sequence[StepOutcome]:
        self.reads[1] += 1
        return []


def test_the_database_is_not_asked_more_often_than_needed() -> None:
    clock, book = Clock(), Book()
    usual, learning = Shrug(clock=clock), Shrug(clock=clock, learns=True)
    for _ in range(200):
        usual.study(book)
        clock.now += 0.1
    assert 9 <= book.reads[0] <= 11
    assert book.reads[1] == 0
    learning.study(book)
    learning.study(book)
    assert book.reads[1] == 1


def test_a_message_has_the_pattern_that_the_record_gives_it() -> None:
    seen: list[str] = []

    class Patterns:
        def explain(self, *, provider: str, kind: str, message: str, **_known: Any) -> Any:
            seen.append(message)
            return Shrug().explain(Failure(FailureKind(kind), message, provider))

    advice = Advice(Patterns)
    advice.explain(Failure(FailureKind.AUTH, "Incorrect API key provided: sk-abcdefghijklmnopqrstuvwx", "p0"))
    assert "abcdefghij" not in seen[0]
