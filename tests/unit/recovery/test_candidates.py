from __future__ import annotations

import math

from cajanegra.domain.call import ChatRequest
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.candidates import Candidates
from cajanegra.recovery.health import CLOCK_MARGIN, Health
from cajanegra.recovery.target import Target
from scripted import Clock, ScriptedProvider

REQUEST = ChatRequest([{"role": "user", "content": "hi"}])


def _limit(health: Health, target: Target, seconds: float) -> None:
    leave = health.enter(target, urgent=False)
    assert leave is not None
    failure = Failure(FailureKind.RATE_LIMIT, "slow down", target.provider.name, retry_after=seconds)
    health.failed(leave, failure)


def _targets(*names: str) -> list[Target]:
    return [Target(ScriptedProvider(name), "m", 10.0, account=name) for name in names]


def test_a_provider_that_is_being_tried_may_be_well_before_one_that_is_held() -> None:
    clock = Clock()
    health = Health(clock)
    held, tried = _targets("p0", "p1")
    _limit(health, held, 60)
    _limit(health, tried, 3)
    candidates = Candidates(REQUEST, [held, tried], health)
    assert not candidates.one_is_tried()
    clock.now += 3 + CLOCK_MARGIN
    probe = health.enter(tried, urgent=False)
    assert probe is not None
    chosen, wait = candidates.first(urgent=True)
    assert (chosen.target, wait > 50) == (held, True)
    assert candidates.one_is_tried()
    health.answered(probe)
    assert not candidates.one_is_tried()
    assert candidates.first(urgent=True) == (candidates.all[1], 0)


def test_to_fall_back_to_one_that_is_being_tried_goes_before_one_that_is_held_for_too_long() -> None:
    clock = Clock()
    health = Health(clock)
    now, held, tried = _targets("p0", "p1", "p2")
    _limit(health, held, 60)
    _limit(health, tried, 3)
    clock.now += 3 + CLOCK_MARGIN
    assert health.enter(tried, urgent=False) is not None
    candidates = Candidates(REQUEST, [now, held, tried], health)
    asked = candidates.all[0]
    first, *_ = candidates.others(asked, candidates.all, 4, within=20.0, urgent=True)
    assert first == (candidates.all[2], math.inf)
    first, *_ = candidates.others(asked, candidates.all, 4, within=90.0, urgent=True)
    assert first[0] is candidates.all[1]
