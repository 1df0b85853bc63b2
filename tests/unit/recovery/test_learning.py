"""Learned mode: what is drawn, how it converges, and that every choice can be made again from its row."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import Answer, ChatCall, ChatRequest, Strategy, Usage
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.domain.outcome import Outcome
from cajanegra.recovery.decision import Other, Policy, Situation, decide
from cajanegra.recovery.engine import Engine
from cajanegra.recovery.learning import HALF_LIFE, LOOK_BACK, MOST_OUTCOMES, Arm, Experience, Record, choose
from cajanegra.recovery.target import Target
from scripted import Clock, Log, ScriptedProvider, Shrug

NOW = datetime(2026, 11, 24, 12, 0)  # noqa: DTZ001 - as the rows have it
OK = Answer("fine", "m-1", Usage(total_tokens=7), "stop")
RETRY, FALLBACK = Strategy.RETRY, Strategy.FALLBACK


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secret


def _outcome(number: int, **known: Any) -> Outcome:
    usual: dict[str, Any] = {
        "id": number,
        "pattern": "p0_timeout",
        "strategy": "retry",
        "provider": "p0",
        "model": "m",
        "worked": True,
        "time_ms": 100,
        "wait_ms": 0,
        "tokens": None,
        "cost": None,
        "at": NOW,
    }
    return Outcome(**(usual | known))


arms = st.lists(
    st.integers(0, 300).flatmap(
        lambda tried: st.builds(
            Arm,
            strategy=st.sampled_from(Strategy),
            target=st.sampled_from(["", "a/m"]),
            record=st.builds(
                Record,
                tried=st.just(tried),
                worked=st.integers(0, tried),
                seconds=st.floats(0, 1000),
                spread=st.floats(0, 1000),
            ),
            wait=st.floats(0, 60),
            usual=st.floats(0, 60),
            is_usual=st.booleans(),
        )
    ),
    min_size=1,
    max_size=6,
)


@given(arms, st.floats(-1, 100), st.integers())
def test_a_choice_is_one_of_the_arms_and_comes_with_its_numbers(
    found: list[Arm], remaining: float, seed: int
) -> None:
    choice, drawn = choose(found, remaining, _dice(seed))
    assert 0 <= choice < len(found)
    assert len(drawn) == len(found)
    assert drawn[choice]["prospect"] == max(one["prospect"] for one in drawn)
    assert all(0 <= one["drawn_success"] <= 1 and one["drawn_seconds"] >= 0 for one in drawn)
    json.dumps(drawn, allow_nan=False)
    assert choose(found, remaining, _dice(seed)) == (choice, drawn)


def _shares(*found: Arm, remaining: float = 30.0, draws: int = 4_000) -> list[float]:
    dice = _dice(7)
    counts = [0] * len(found)
    for _ in range(draws):
        counts[choose(found, remaining, dice)[0]] += 1
    return [count / draws for count in counts]


def _arm(tried: int, worked: int, *, seconds: float = 1.0, wait: float = 0.0, is_usual: bool = False) -> Arm:
    return Arm(FALLBACK, "a/m", Record(tried, worked, seconds, 0.1), wait, 1.0, is_usual=is_usual)


def test_with_nothing_on_record_the_table_is_mostly_followed() -> None:
    usual, other = _shares(_arm(0, 0, is_usual=True), _arm(0, 0))
    assert 0.7 < usual < 0.9
    assert other > 0.1


def test_what_helps_is_done_and_what_is_uncertain_is_tried() -> None:
    assert _shares(_arm(100, 20, is_usual=True), _arm(100, 90))[1] > 0.99
    assert 0.05 < _shares(_arm(100, 80, is_usual=True), _arm(2, 1))[1] < 0.5


def test_an_answer_is_worth_less_the_nearer_the_deadline_it_comes() -> None:
    slow, fast = _arm(100, 90, wait=8.0), _arm(100, 80)
    assert _shares(slow, fast, remaining=10.0)[1] > 0.99
    assert _shares(slow, fast, remaining=600.0)[0] > 0.9


@given(st.integers(0, 2**32))
def test_a_choice_can_be_made_again_from_what_is_on_record(seed: int) -> None:
    records = {(RETRY, ""): Record(40, 10, 0.5, 0.1), (FALLBACK, "b/m"): Record(10, 9, 2.0, 0.5)}
    first, second = Other(name="a/m"), Other(name="b/m", wait=0.5)
    now = Situation(
        Failure(FailureKind.RATE_LIMIT, "slow down", "p0"),
        wait=1.0,
        other=first,
        others=(first, second),
        records=records,
        seed=seed,
    )
    decision = decide(Policy(), now)
    noted = json.loads(json.dumps(decision.because["learned"]))
    assert noted["seed"] == seed
    best = max(noted["arms"], key=lambda arm: arm["prospect"])
    assert best["strategy"] == decision.strategy
    assert best.get("target", "") == (decision.other.name if decision.other else "")
    tried = {(arm["strategy"], arm.get("target", "")): (arm["tried"], arm["worked"]) for arm in noted["arms"]}
    assert tried == {("retry", ""): (40, 10), ("fallback", "a/m"): (0, 0), ("fallback", "b/m"): (10, 9)}


def test_what_the_table_forbids_is_never_chosen_however_well_it_did() -> None:
    records = {(RETRY, ""): Record(1000, 1000, 0.1, 0.0), (FALLBACK, "a/m"): Record(1000, 1, 9.0, 0.1)}
    for kind in (FailureKind.AUTH, FailureKind.QUOTA_EXHAUSTED, FailureKind.CONTENT_FILTER):
        other = Other(name="a/m")
        for seed in range(50):
            now = Situation(
                Failure(kind, "no", "p0"), other=other, others=(other,), records=records, seed=seed
            )
            assert decide(Policy(), now).strategy is FALLBACK


def test_experience_is_bounded_in_number_and_age_and_reading_it_again_changes_nothing() -> None:
    experience = Experience()
    experience.add([_outcome(number) for number in range(1, MOST_OUTCOMES + 100)], NOW)
    before = experience.of("p0_timeout")
    assert len(experience._outcomes) == MOST_OUTCOMES
    assert experience.newest == MOST_OUTCOMES + 99
    experience.add([_outcome(MOST_OUTCOMES + 99)], NOW)
    assert experience.of("p0_timeout") == before
    experience.add([], NOW + LOOK_BACK + timedelta(seconds=1))
    assert experience.of("p0_timeout") == {}


def test_a_step_counts_for_half_when_so_many_have_followed() -> None:
    experience = Experience()
    experience.add([_outcome(1)], NOW)
    assert experience.of("p0_timeout")[RETRY, ""].tried == 1
    others = [_outcome(number, strategy="fallback") for number in range(2, 2 + HALF_LIFE)]
    experience.add([*others, _outcome(900, pattern="p0_auth")], NOW)
    assert experience.of("p0_timeout")[RETRY, ""].tried == pytest.approx(0.5)
    assert experience.of("p0_timeout")[FALLBACK, "p0/m"].tried < HALF_LIFE


def test_experience_is_kept_per_pattern_strategy_and_target_without_the_waits() -> None:
    experience = Experience()
    experience.add(
        [
            _outcome(1, time_ms=5100, wait_ms=5000),
            _outcome(2, time_ms=300, worked=False),
            _outcome(3, strategy="fallback", provider="p1", model="m"),
            _outcome(4, strategy="fallback", provider="p2", model="m", time_ms=None),
            _outcome(5, strategy="a host's own word"),
            _outcome(6, pattern="p0_auth"),
        ],
        NOW,
    )
    found = experience.of("p0_timeout")
    assert found.keys() == {(RETRY, ""), (FALLBACK, "p1/m"), (FALLBACK, "p2/m")}
    retry = found[RETRY, ""]
    assert retry.tried == pytest.approx(2, abs=0.15)
    assert retry.worked == pytest.approx(1, abs=0.1)
    assert retry.seconds == pytest.approx(0.2, abs=0.01)
    assert retry.spread == pytest.approx(0.1, abs=0.01)
    assert experience.of("p9_timeout") == {}


class Flaky(ScriptedProvider):
    """Answers with a probability that the world sets."""

    def __init__(self, name: str, clock: Clock, dice: random.Random) -> None:
        super().__init__(name, OK, clock=clock)
        self.rate = 1.0
        self.dice = dice

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        self._next(request, model, timeout)
        if self.dice.random() < self.rate:
            return OK
        raise self._error(FailureKind.INVALID_RESPONSE, model, timeout)


class Simulation:
    """An engine in learned mode whose steps become rows that it reads again."""

    def __init__(self, seed: int) -> None:
        dice = _dice(seed)
        self.clock, self.log = Clock(), Log()
        self.providers = [Flaky(f"p{i}", self.clock, dice) for i in range(3)]
        self.targets = [Target(one, "m", 10.0, account=one.name) for one in self.providers]
        self.advice = Shrug(learns=True, clock=self.clock)
        self.engine = Engine(
            self.log,
            self.advice,
            Policy(timeout=30, attempts=2, retry_budget=0),
            clock=self.clock,
            sleep=self.clock.sleep,
            chance=dice.random,
        )
        self.rows: list[Outcome] = []

    def outcomes(self, after: int, limit: int) -> list[Outcome]:
        return [row for row in self.rows if row.id > after][-limit:]

    def corrections(self) -> list[Any]:
        return []

    def run(self, calls: int) -> list[str]:
        """Make calls whose first attempt fails; who was asked in the step after it."""
        asked: list[str] = []
        for _ in range(calls):
            self.providers[0].rate = 0.0
            self.engine.health._gates.clear()  # breakers are not what this is about
            try:
                asyncio.run(self.engine.chat(ChatCall("hi", ChatRequest([])), self.targets))
            except Exception as error:
                if type(error).__name__ != "CallError":
                    raise
            (step,) = self.log.calls.pop().steps
            assert step["result"]["learned"]["arms"]
            asked.append(f"{step['strategy']} {step['provider']}")
            failure = step["error"].failure
            self.rows.append(
                Outcome(
                    id=len(self.rows) + 1,
                    pattern=f"{failure.provider}_{failure.kind}",
                    strategy=step["strategy"],
                    provider=step["provider"],
                    model=step["model"],
                    worked=step["successful"],
                    time_ms=step["time_ms"],
                    wait_ms=round(step["result"]["wait_taken"] * 1000),
                    tokens=None,
                    cost=None,
                    at=None,
                )
            )
            self.clock.now += 11.0
            self.advice.study(self)
        return asked


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_converges_to_what_helps_keeps_exploring_and_follows_a_change(seed: int) -> None:
    world = Simulation(seed)
    world.providers[1].rate, world.providers[2].rate = 0.2, 0.9
    asked = world.run(300)
    settled = asked[100:]
    assert settled.count("fallback p2") / len(settled) > 0.85
    assert {"fallback p1", "fallback p2"} <= set(asked)
    assert set(asked[50:]) - {"fallback p2"}, "nothing else was tried any more"
    world.providers[1].rate, world.providers[2].rate = 0.95, 0.05
    later = world.run(400)[200:]
    assert later.count("fallback p1") / len(later) > 0.8


def test_in_default_mode_nothing_is_drawn() -> None:
    clock, log = Clock(), Log()
    providers = [ScriptedProvider("p0", FailureKind.TIMEOUT, clock=clock), ScriptedProvider("p1", OK)]
    engine = Engine(log, Shrug(), Policy(), clock=clock, sleep=clock.sleep)
    asyncio.run(engine.chat(ChatCall("hi", ChatRequest([])), [Target(one, "m", 10.0) for one in providers]))
    assert "learned" not in log.calls[0].steps[0]["result"]
