from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

import pytest

from cajanegra.domain.call import Answer, ChatCall, ChatRequest, Usage
from cajanegra.domain.failure import FailureKind
from cajanegra.recovery.balance import balanced
from cajanegra.recovery.decision import Policy
from cajanegra.recovery.engine import Engine
from cajanegra.recovery.health import Health
from cajanegra.recovery.target import Target
from scripted import Act, Clock, Log, ScriptedProvider, Shrug

OK = Answer("fine", "m", Usage(total_tokens=7), "stop")
CALL = ChatCall("hi", ChatRequest([{"role": "user", "content": "hi"}]))


def endpoint(account: str, *acts: Act, name: str = "openai", **known: Any) -> Target:
    return Target(ScriptedProvider(name, *(acts or (OK,))), "m", 10.0, account=account, **known)


def firsts(targets: list[Target], health: Health, calls: int = 1_000) -> Counter[str]:
    """How often each endpoint is asked first."""
    chance = Random(7).random  # noqa: S311 - the same each time
    asked = (balanced(targets, health, "chat", streamed=False, chance=chance)[0] for _ in range(calls))
    return Counter(one.account for one in asked)


def paced(health: Health, target: Target, seconds: float) -> None:
    health.paces.of(target.key, "chat", streamed=False).add(seconds)


def test_equal_endpoints_share_the_calls() -> None:
    shares = firsts([endpoint("a"), endpoint("b")], Health(Clock()))
    assert shares["a"] == pytest.approx(500, abs=80)


def test_the_faster_endpoint_is_asked_first_and_the_other_measured_now_and_then() -> None:
    health, targets = Health(Clock()), [endpoint("slow"), endpoint("fast")]
    paced(health, targets[0], 2.0)
    paced(health, targets[1], 0.5)
    shares = firsts(targets, health)
    assert shares["fast"] > 900
    assert shares["slow"] > 5


def test_what_is_under_way_counts() -> None:
    health, targets = Health(Clock()), [endpoint("a"), endpoint("b")]
    for target in targets:
        paced(health, target, 1.0)
    for _ in range(3):
        assert health.enter(targets[0], urgent=False) is not None
    assert firsts(targets, health)["b"] > 900


def test_a_heavier_endpoint_takes_more_at_the_same_time() -> None:
    health = Health(Clock())
    light, heavy = endpoint("light"), endpoint("heavy", weight=3.0)
    for target in (light, heavy):
        paced(health, target, 1.0)
    assert health.enter(heavy, urgent=False) is not None
    assert firsts([light, heavy], health)["heavy"] > 900


def test_providers_keep_their_order() -> None:
    targets = [endpoint("a", name="first"), endpoint("b", name="second"), endpoint("c", name="second")]
    for _ in range(20):
        ordered = balanced(targets, Health(Clock()), "chat", streamed=False, chance=lambda: 0.5)
        assert ordered[0] is targets[0]
        assert {one.account for one in ordered[1:]} == {"b", "c"}


def test_another_endpoint_of_the_same_provider_is_a_retry() -> None:
    clock, log = Clock(), Log()
    engine = Engine(log, Shrug(), Policy(), clock=clock, sleep=clock.sleep, chance=lambda: 0.5)
    targets = [endpoint("a", FailureKind.AUTH), endpoint("b")]
    for target in targets:  # the order is then that of the settings
        engine.health.paces.of(target.key, "chat", streamed=False).add(1.0 if target.account == "a" else 1.1)
    outcome = asyncio.run(engine.chat(CALL, targets))
    assert (outcome.status, outcome.attempts, outcome.target.account) == ("success", 2, "b")
    (step,) = log.calls[0].steps
    assert (step["strategy"], step["action"]) == ("retry", "retry openai at another endpoint")
