"""The course of one call through attempts and steps: who is asked, what comes next, what is noted."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cajanegra.domain.call import Answer, CallStatus, ChatCall, ChatRequest, Strategy
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.errors import CallError
from cajanegra.ports import CallLog, Knowledge
from cajanegra.recovery.backoff import backoff
from cajanegra.recovery.candidates import Candidate, Candidates
from cajanegra.recovery.decision import (
    LEAST_ATTEMPT,
    Decision,
    Other,
    Policy,
    Situation,
    decide,
    is_repeatable,
)
from cajanegra.recovery.health import Health, Pass
from cajanegra.recovery.minutes import Minutes, StepTaken
from cajanegra.recovery.pace import Pace
from cajanegra.recovery.reading import Reading
from cajanegra.recovery.simplify import simplify
from cajanegra.recovery.target import Target

COLD_LIMIT = 5.0
"""Seconds after which a target is left for another one while nobody knows how long it usually needs."""
PATIENCE = 1.0
"""Seconds that a call waits before it cuts short somebody's rest."""
HESITATION = 0.05
"""Seconds per attempt made for which a call leaves a probe to another one, which has more attempts left."""
MOST_WAITING = 10_000
"""Calls that may wait for somebody to ask; further ones are given up at once."""
LONGEST_PAUSE = 1.0
"""Seconds after which a waiting call looks for itself whether something has changed."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every call shares: the limits, what was learned, the clocks and who is told."""

    log: CallLog
    policy: Policy
    health: Health
    knowledge: Knowledge
    clock: Callable[[], float]
    """Seconds, monotonic."""
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    """A random number in [0, 1)."""


@dataclass(slots=True)
class Course:
    """One call under way: ``begin``, ask ``target`` with ``request``, then ``answered`` or ``recover``."""

    asked: ChatCall
    targets: Sequence[Target]
    around: Surroundings
    streamed: bool
    begun: float
    attempts: int = 0
    deadline: float = field(init=False)
    minutes: Minutes = field(init=False)
    _candidates: Candidates = field(init=False)
    _reading: Reading = field(init=False)
    _now: Candidate = field(init=False)
    _pass: Pass | None = None
    _sent_at: float = 0.0
    _limited: bool = False
    """Whether the attempt has less time than its target is usually given."""

    def __post_init__(self) -> None:
        allowed = self.around.policy.timeout if self.asked.timeout is None else self.asked.timeout
        self.deadline = self.begun + allowed
        self.minutes = Minutes(self.asked, self.around.log, self.around.knowledge, self.around.clock)
        self._candidates = Candidates(self.asked.request, self.targets, self.around.health)
        self._now = self._candidates.all[0]
        self._reading = Reading(self.around.health.windows, alone=len(self.targets) == 1)

    @property
    def target(self) -> Target:
        """Whom to ask now."""
        return self._now.target

    @property
    def request(self) -> ChatRequest:
        """What to send now."""
        return self._now.request

    @property
    def status(self) -> CallStatus:
        """The status of the call, were it answered now: it says who answered."""
        return CallStatus.SUCCESS if self._now.target is self.minutes.first else CallStatus.FALLBACK

    @property
    def steps(self) -> Sequence[StepTaken]:
        """The steps that have ended."""
        return self.minutes.steps

    @property
    def request_id(self) -> str:
        """Finds the call in the record."""
        return self.minutes.call.request_id

    @property
    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - self.around.clock()

    async def begin(self) -> None:
        """Choose whom to ask first, and wait until that may be done.

        Raises:
            CallError: nobody can be asked in time.
        """
        self.minutes.open(self._candidates.all[0].target)
        preferred = self._candidates.preferred()
        if preferred is not None and self._enter(preferred, urgent=False):
            self.minutes.first_attempt(preferred.target, preferred.changed, ())
            return
        while True:
            urgent = False
            chosen, wait = self._candidates.first(urgent=False)
            if wait > PATIENCE:
                urgent = True
                chosen, wait = self._candidates.first(urgent=True)
            if wait <= 0 and self._enter(chosen, urgent=urgent):
                break
            held = self.around.health.why(chosen.target)
            too_late = wait < math.inf and wait + LEAST_ATTEMPT >= self.remaining
            if held is not None and too_late and not self._candidates.one_is_tried():
                reason = f"it may be asked again in {wait:.1f} s, with {self.remaining:.1f} s left"
                raise self._nobody(held, reason)
            if self.remaining <= LEAST_ATTEMPT:
                raise self._nobody(held or _unheard(chosen.target), "the deadline has passed")
            if len(self.around.health.bell) >= MOST_WAITING:
                raise self._nobody(
                    held or _unheard(chosen.target), f"{MOST_WAITING} calls are waiting already"
                )
            await self._pause(wait)
        self.minutes.first_attempt(chosen.target, chosen.changed, self._candidates.skipped(chosen))

    def limit(self) -> float:
        """Seconds that the attempt may take: until its whole answer, or the first content of a stream."""
        target, remaining = self.target, self.remaining
        most = target.timeout
        if self.streamed and target.first_token_timeout is not None:
            most = min(most, target.first_token_timeout * 2.0**self._now.timeouts)
        pace = self._pace(target)
        usual = pace.limit
        if self._candidates.other_could_answer(self._now):
            patience = max(COLD_LIMIT, remaining / (len(self.targets) + 1)) if usual is None else usual
            most = min(most, patience * 2.0**self._now.timeouts)
        self._limited = remaining < min(most, usual or most)
        return max(min(most, remaining), LEAST_ATTEMPT)

    def answered(self, answer: Answer, metadata: Mapping[str, Any]) -> None:
        """The attempt was answered, and with it the call."""
        health, target = self.around.health, self.target
        if self._pass is not None:
            health.answered(self._pass)
            self._pass = None
        health.budget.answered(target.key[0], self.asked.info.tenant_id)
        self._reading.learn(self._now, answer)
        self.minutes.answered(answer, {**metadata, **({"json_repaired": True} if answer.repaired else {})})

    def first_content(self, seconds: float) -> None:
        """The attempt's answer, or the first content of its stream, took so long."""
        self._pace(self.target).add(seconds)

    def check_prompt(self, answer: Answer) -> None:
        """See that the provider has read the whole prompt, by the tokens that it counted.

        Raises:
            ProviderError: it has hardly read all of it, and there is another target to ask.
        """
        self._reading.check(self._now, answer)

    @property
    def holds(self) -> bool:
        """Whether a stream is kept back until the provider has said how much of the prompt it read."""
        return self._reading.is_in_doubt(self._now)

    async def recover(self, error: ProviderError) -> None:
        """The attempt failed: decide on the next one and wait until it may be made.

        Raises:
            CallError: there is nothing left to try.
        """
        failure, before = error.failure, self._now
        self._failed(failure)
        begun = self.around.clock()
        smaller = simplify(
            self.request,
            failure,
            self._candidates.window(self.target),
            self.around.health.windows.density(self.target.key),
        )
        self.around.health.demands.learn(self.target.key, failure, smaller.changed if smaller else {})
        while True:
            decision, chosen, urgent = self._decide(failure, can_simplify=smaller is not None)
            if decision.strategy is None:
                raise self.given_up(error, decision.reason) from error
            if decision.wait <= 0 and self._enter(chosen, urgent=urgent):
                break
            await self._pause(decision.wait)
        changed: Mapping[str, Any] = {}
        if decision.strategy is Strategy.SIMPLIFY and smaller is not None:
            chosen.simplify(smaller.request)
            changed, action = smaller.changed, smaller.action
        elif decision.strategy is Strategy.FALLBACK:
            changed, action = chosen.changed, _handover(before.target, chosen.target)
            chosen.retries += chosen.attempts > 1
        else:
            chosen.retries += 1
            action = f"retry {chosen.target.provider.name} after {self.around.clock() - begun:.1f} s"
        self.minutes.step(decision, action, error, chosen.target, changed, begun)

    def given_up(self, error: ProviderError, reason: str, partial_text: str = "") -> CallError:
        """The call ends unanswered: write it down and return what the caller is to be told."""
        late = error.failure.kind is FailureKind.TIMEOUT or self.remaining <= LEAST_ATTEMPT
        status = CallStatus.TIMEOUT if late else CallStatus.ERROR
        return self.minutes.given_up(error, status, reason, self.attempts, partial_text)

    def broke_off(self, error: ProviderError) -> CallError:
        """A stream failed after its first content: nothing can be recovered."""
        self._failed(error.failure)
        return self.given_up(error, "part of the answer was delivered already", error.partial_text)

    def abandoned(self, error: BaseException, partial_text: str = "") -> None:
        """The caller gave up, or something that is not a failure of the provider was raised."""
        if self._pass is not None:
            self.around.health.left(self._pass)
            self._pass = None
        if not self.minutes.is_open:
            self.minutes.open(self.target)
        self.minutes.abandoned(error, self.target, partial_text)

    def _failed(self, failure: Failure) -> None:
        now, health = self.around.clock(), self.around.health
        self.minutes.failed(failure)
        tenant, account = self.asked.info.tenant_id, self.target.key[0]
        impatient = failure.kind is FailureKind.TIMEOUT and self._limited
        if self._pass is not None:
            if self._pass.probing and failure.kind is FailureKind.TIMEOUT and not impatient:
                # Who is slow for long is slow, and does not hang: its probes say so, bit by bit.
                self._pace(self.target).add(now - self._sent_at)
            if impatient:  # the call's own deadline was short: the provider is not to blame
                health.left(self._pass)
            else:
                health.failed(self._pass, failure)
            self._pass = None
        if failure.retry_after is None and not impatient:
            health.budget.failed(account, tenant)
        if failure.kind is FailureKind.CONTEXT_LENGTH:
            self._reading.learn_window(self._now, failure)
        chance = self.around.chance()
        wait = backoff(self._now.failures, failure.retry_after, chance, self._now.backed_off)
        if failure.retry_after is None:
            self._now.backed_off = wait
        self._now.failures += 1
        self._now.timeouts += failure.kind is FailureKind.TIMEOUT
        self._now.not_before = now + wait
        self._now.hopeless = not is_repeatable(failure)

    def _decide(self, failure: Failure, *, can_simplify: bool) -> tuple[Decision, Candidate, bool]:
        """What to do now, with whom, and whether a rest is cut short for it, there being nobody else."""
        calm = self._decided(failure, can_simplify=can_simplify, urgent=False)
        if calm[0].strategy is not None and calm[0].wait <= PATIENCE:
            return calm
        urgent = self._decided(failure, can_simplify=can_simplify, urgent=True)
        if urgent[0].strategy is None or (calm[0].strategy is not None and calm[0].wait <= urgent[0].wait):
            return calm
        return urgent

    def _decided(
        self, failure: Failure, *, can_simplify: bool, urgent: bool
    ) -> tuple[Decision, Candidate, bool]:
        policy = self.around.policy
        other = self._candidates.best_other(self._now, policy.last_retries, urgent=urgent)
        decision = decide(policy, self._situation(failure, other, can_simplify, urgent=urgent))
        chosen = other[0] if decision.strategy is Strategy.FALLBACK and other is not None else self._now
        return decision, chosen, urgent

    def _situation(
        self, failure: Failure, other: tuple[Candidate, float] | None, can_simplify: bool, *, urgent: bool
    ) -> Situation:
        health, now = self.around.health, self._now
        wait = health.wait(now.target, urgent=urgent, hesitation=self._candidates.hesitation)
        if not now.hopeless:
            wait = max(wait, now.not_before - self.around.clock())
        return Situation(
            failure=failure,
            attempts=self.attempts,
            retries=now.retries,
            simplifications=now.simplifications,
            remaining=self.remaining,
            wait=_finite(wait),
            can_simplify=can_simplify,
            within_budget=health.budget.allows(now.target.key[0], self.asked.info.tenant_id),
            other=None
            if other is None
            else Other(
                wait=_finite(other[1]),
                usual=self._pace(other[0].target).usual,
                is_new=other[0].attempts == 0,
                holds_all=self._candidates.surely_holds_all(other[0]),
            ),
        )

    def _enter(self, chosen: Candidate, *, urgent: bool) -> bool:
        health, hesitation = self.around.health, self._candidates.hesitation
        self._pass = health.enter(chosen.target, urgent=urgent, hesitation=hesitation)
        if self._pass is None:
            return False
        self._now = chosen
        self._sent_at = self.around.clock()
        self.attempts += 1
        self._candidates.hesitation = HESITATION * self.attempts
        chosen.attempts += 1
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until something has changed."""
        seconds = max(min(seconds, self.remaining, LONGEST_PAUSE if math.isinf(seconds) else seconds), 0.001)
        await self.around.health.bell.wait(self.around.sleep(seconds))

    def _nobody(self, held: Failure, reason: str) -> CallError:
        self.minutes.failed(held)
        return self.given_up(ProviderError(held), reason)

    def _pace(self, target: Target) -> Pace:
        return self.around.health.paces.of(target.key, self.asked.info.task, streamed=self.streamed)


def _finite(wait: float) -> float:
    return LONGEST_PAUSE if math.isinf(wait) else max(wait, 0.0)


def _unheard(target: Target) -> Failure:
    return Failure(FailureKind.TIMEOUT, "nobody could be asked in time", target.provider.name, target.model)


def _handover(before: Target, after: Target) -> str:
    """The fallback in words; the models are named where the provider stays the same."""
    if before.provider is after.provider:
        return f"{before.provider.name}/{before.model} -> {after.provider.name}/{after.model}"
    return f"{before.provider.name} -> {after.provider.name}"
