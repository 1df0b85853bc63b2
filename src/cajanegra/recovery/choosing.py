"""Finds out what is known after a failure, and chooses the next step of a call, with whom and when."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cajanegra.domain.call import ChatCall
from cajanegra.domain.correction import Fallback, Retry, Simplify
from cajanegra.domain.failure import Failure
from cajanegra.recovery.advice import NOTHING, Known
from cajanegra.recovery.candidates import Candidate, Candidates
from cajanegra.recovery.decision import LEAST_ATTEMPT, Decision, Other, Situation, decide
from cajanegra.recovery.pace import Pace
from cajanegra.recovery.simplify import Simplified, simplified_as, simplify
from cajanegra.recovery.surroundings import Surroundings
from cajanegra.recovery.target import Target

PATIENCE = 1.0
"""Seconds that a call waits before it cuts short somebody's rest."""
AWAITED = 1.0
"""Seconds that an attempt under way, on which others depend, is expected to take."""
CATCH_UP = 1.0
"""Seconds for which the first failure after a silence waits for the corrections to be read."""
LOOK_AGAIN = 0.01
"""Seconds after which it looks whether they are."""


@dataclass(frozen=True, slots=True)
class Setback:
    """A failure and what is known about it, as long as it takes to make the next step.

    Attributes:
        failure: what the attempt ended with.
        at: who was asked.
        known: what people and the record say about it.
        seed: of the dice that the step may be drawn with.
        smaller: the request made smaller as the failure demands, if that is possible.
        corrected: the same as the pattern's correction demands.
    """

    failure: Failure
    at: Candidate
    known: Known = NOTHING
    seed: int = 0
    smaller: Simplified | None = None
    corrected: Simplified | None = None


class Choosing:
    """Chooses the steps of one call.

    Args:
        asked: the call.
        candidates: whom it may ask.
        around: what all calls share.
        deadline: when it must have ended, by the clock.
        pace: how fast a target usually is.
    """

    def __init__(
        self,
        asked: ChatCall,
        candidates: Candidates,
        around: Surroundings,
        deadline: float,
        pace: Callable[[Target], Pace],
    ) -> None:
        self._asked = asked
        self._candidates = candidates
        self._around = around
        self._deadline = deadline
        self._pace = pace

    async def look_into(self, failure: Failure, now: Candidate, begun: float, *, plain: bool) -> Setback:
        """Find out what is known about a failure, and how the request could be made smaller.

        Args:
            failure: what the attempt ended with.
            now: who was asked.
            begun: when it failed.
            plain: whether the request has to stay as it is, and what is usually done is all that can be.
        """
        around, key = self._around, now.target.key
        if plain:
            around.health.demands.learn(key, failure, {})
            return Setback(failure, now)
        patience = min(CATCH_UP, self._remaining / 4)
        while not around.advice.is_current() and around.clock() - begun < patience:
            await around.sleep(LOOK_AGAIN)
        known = around.advice.about(failure)
        window, density = self._candidates.window(now.target), around.health.windows.density(key)
        smaller = simplify(now.request, failure, window, density)
        around.health.demands.learn(key, failure, smaller.changed if smaller else {})
        corrected = None
        if isinstance(known.correction, Simplify):
            corrected = simplified_as(known.correction, now.request, failure, window, density)
        elif isinstance(known.correction, Retry) and known.correction.wait is not None:
            now.not_before = max(now.not_before, begun + known.correction.wait)
        seed = int(around.chance() * 2**32) if known.records is not None else 0
        return Setback(failure, now, known, seed, smaller, corrected)

    def decide(self, setback: Setback, attempts: int) -> tuple[Decision, Candidate, bool]:
        """What to do now, with whom, and whether a rest is cut short for it, there being nobody else."""
        calm = self._decided(setback, attempts, urgent=False)
        if calm[0].strategy is not None and calm[0].wait <= PATIENCE:
            return calm
        urgent = self._decided(setback, attempts, urgent=True)
        if urgent[0].strategy is None or (calm[0].strategy is not None and calm[0].wait <= urgent[0].wait):
            return calm
        return urgent

    @property
    def _remaining(self) -> float:
        return self._deadline - self._around.clock()

    def _decided(self, setback: Setback, attempts: int, *, urgent: bool) -> tuple[Decision, Candidate, bool]:
        others = self._others(setback.at, self._candidates.all, urgent=urgent)
        named = others[:1]
        correction = setback.known.correction
        if isinstance(correction, Fallback) and correction.provider is not None:
            meant = self._meant(correction.provider, correction.model)
            named = self._others(setback.at, meant, urgent=urgent)[:1]
        situation = replace(
            self._situation(setback, attempts, urgent=urgent),
            other=others[0][1] if others else None,
            others=[other for _, other in others],
            named=named[0][1] if named else None,
        )
        decision = decide(self._around.policy, situation)
        chosen = next((one for one, other in (*others, *named) if other is decision.other), setback.at)
        return decision, chosen, urgent

    def _meant(self, provider: str, model: str | None) -> list[Candidate]:
        """Whom a correction names."""
        route = self._around.routes.get(provider)
        target = route.to(model) if route is not None and model is not None else None
        return self._candidates.named(provider, target)

    def _others(
        self, now: Candidate, among: Sequence[Candidate], *, urgent: bool
    ) -> list[tuple[Candidate, Other]]:
        """Whom else to ask, best first, each as the decision sees it."""
        most, within = self._around.policy.last_retries, self._remaining - LEAST_ATTEMPT
        found = self._candidates.others(now, among, most, within=within, urgent=urgent)
        return [(one, self._other(one, wait)) for one, wait in found]

    def _other(self, one: Candidate, wait: float) -> Other:
        target = one.target
        return Other(
            wait=_finite(wait),
            usual=self._pace(target).usual,
            is_new=one.attempts == 0,
            holds_all=self._candidates.surely_holds_all(one),
            name=f"{target.provider.name}/{target.model}",
        )

    def _situation(self, setback: Setback, attempts: int, *, urgent: bool) -> Situation:
        health, now, known = self._around.health, setback.at, setback.known
        wait = health.wait(now.target, urgent=urgent, place=self._candidates.place)
        if not now.hopeless:
            wait = max(wait, now.not_before - self._around.clock())
        return Situation(
            failure=setback.failure,
            attempts=attempts,
            retries=now.retries,
            simplifications=now.simplifications,
            remaining=self._remaining,
            wait=_finite(wait),
            usual=self._pace(now.target).usual,
            can_simplify=setback.smaller is not None,
            within_budget=health.budget.allows(now.target.key[0], self._asked.info.tenant_id),
            correction=known.correction,
            can_correct=setback.corrected is not None,
            records=known.records,
            seed=setback.seed,
        )


def _finite(wait: float) -> float:
    return AWAITED if math.isinf(wait) else max(wait, 0.0)
