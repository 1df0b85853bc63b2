from __future__ import annotations

from cajanegra.domain.call import ChatRequest
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.candidates import Candidates
from cajanegra.recovery.health import CLOCK_MARGIN, Health
from cajanegra.recovery.target import Target
from scripted import Clock, ScriptedProvider


def test_a_provider_that_is_being_tried_may_be_well_before_one_that_is_held() -> None:
    clock = Clock()
    health = Health(clock)
    held, tried = (Target(ScriptedProvider(name), "m", 10.0, account=name) for name in ("p0", "p1"))

    def limit(target: Target, seconds: float) -> None:
        leave = health.enter(target, urgent=False)
        assert leave is not None
        failure = Failure(FailureKind.RATE_LIMIT, "slow down", target.provider.name, retry_after=seconds)
        health.failed(leave, failure)

    limit(held, 60)
    limit(tried, 3)
    candidates = Candidates(ChatRequest([{"role": "user", "content": "hi"}]), [held, tried], health)
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
