"""The course of one call through attempts and steps: who is asked, what comes next, what is noted."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cajanegra.domain.call import Answer, CallStatus, ChatCall, ChatRequest, Operation, Strategy
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.errors import CallError
from cajanegra.recovery.candidates import Candidate, Candidates
from cajanegra.recovery.choosing import PATIENCE, Choosing
from cajanegra.recovery.continuation import can_go_on
from cajanegra.recovery.decision import LEAST_ATTEMPT
from cajanegra.recovery.minutes import Minutes, StepTaken
from cajanegra.recovery.pace import Pace
from cajanegra.recovery.reading import Reading
from cajanegra.recovery.surroundings import Surroundings
from cajanegra.recovery.target import Target
from cajanegra.recovery.turn import Turn

MOST_WAITING = 10_000
"""Calls that may wait for somebody to ask; further ones are given up at once."""
LONGEST_PAUSE = 5.0
"""Seconds after which a waiting call looks for itself whether something has changed."""


@dataclass(slots=True)
class Course:
    """One call under way: ``begin``, ask ``target`` with ``request``, then ``answered`` or ``recover``."""

    asked: ChatCall
    targets: Sequence[Target]
    around: Surroundings
    streamed: bool
    begun: float
    attempts: int = 0
    delivered: str = ""
    """What the consumer of a stream has of an answer that was cut off."""
    deadline: float = field(init=False)
    minutes: Minutes = field(init=False)
    _candidates: Candidates = field(init=False)
    _choosing: Choosing = field(init=False)
    _reading: Reading = field(init=False)
    _now: Candidate = field(init=False)
    _turn: Turn | None = None
    """The attempt under way."""
    _cut: ProviderError | None = None
    """What cut the answer off that others are asked to continue."""

    def __post_init__(self) -> None:
        allowed = self.around.policy.timeout if self.asked.timeout is None else self.asked.timeout
        self.deadline = self.begun + allowed
        around = self.around
        self.minutes = Minutes(self.asked, around.log, around.advice.explain, around.clock, around.prices)
        self._candidates = Candidates(self.asked.request, self.targets, self.around.health)
        self._choosing = Choosing(self.asked, self._candidates, around, self.deadline, self._pace)
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
        first = self.minutes.first
        own = first is not None and self._now.target.place == first.place
        return CallStatus.SUCCESS if own else CallStatus.FALLBACK

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
            urgent, version = False, self.around.health.lines.version
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
            if len(self.around.health.lines) >= MOST_WAITING:
                raise self._nobody(
                    held or _unheard(chosen.target), f"{MOST_WAITING} calls are waiting already"
                )
            await self._pause(wait, version, urgent=urgent)
        self.minutes.first_attempt(chosen.target, chosen.changed, self._candidates.skipped(chosen))

    def limit(self) -> float:
        """Seconds that the attempt may take: until its whole answer, or the first content of a stream."""
        among = len(self.targets) + 1 if self._candidates.other_could_answer(self._now) else None
        return self._under_way.limit(self.remaining, streamed=self.streamed, among=among)

    def answered(self, answer: Answer, metadata: Mapping[str, Any]) -> None:
        """The attempt was answered, and with it the call."""
        self._under_way.answered()
        self._turn = None
        self._reading.learn(self._now, answer)
        self.minutes.answered(
            answer, self.target, {**metadata, **({"json_repaired": True} if answer.repaired else {})}
        )

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
        before, begun = self._now, self.around.clock()
        self._failed(error.failure)
        # An answer that is begun already is gone on with as it is, or not at all; so is all that is no chat.
        plain = bool(self.delivered) or self.request.operation is not Operation.CHAT
        setback = await self._choosing.look_into(error.failure, before, begun, plain=plain)
        while True:
            version = self.around.health.lines.version
            decision, chosen, urgent = self._choosing.decide(setback, self.attempts)
            if decision.strategy is None:
                raise self.given_up(error, decision.reason) from error
            if decision.wait <= 0 and self._enter(chosen, urgent=urgent):
                break
            await self._pause(decision.wait, version, urgent=urgent)
        changed: Mapping[str, Any] = {}
        smaller = setback.corrected if decision.corrected else setback.smaller
        if decision.strategy is Strategy.SIMPLIFY and smaller is not None:
            chosen.simplify(smaller.request)
            changed, action = smaller.changed, smaller.action
        elif decision.strategy is Strategy.FALLBACK:
            changed, action = chosen.changed, _handover(before.target, chosen.target)
            chosen.retries += chosen.attempts > 1
            if before.target.place == chosen.target.place:
                decision = replace(decision, strategy=Strategy.RETRY)
        else:
            chosen.retries += 1
            action = f"retry {chosen.target.provider.name} after {self.around.clock() - begun:.1f} s"
        self.minutes.step(decision, action, error, chosen.target, changed, begun)

    def given_up(self, error: ProviderError, reason: str) -> CallError:
        """The call ends unanswered: write it down and return what the caller is to be told.

        Of an answer that was cut off that is what cut it, whatever those who should have continued it said.
        """
        error = self._cut or error
        self.around.health.lines.leave(self._candidates.place)
        late = error.failure.kind is FailureKind.TIMEOUT or self.remaining <= LEAST_ATTEMPT
        status = CallStatus.TIMEOUT if late else CallStatus.ERROR
        return self.minutes.given_up(error, status, reason, self.attempts, self.delivered)

    async def go_on(self, error: ProviderError, because: Failure) -> None:
        """A stream failed after its first content: find somebody to go on with the answer.

        Args:
            error: the interruption, with all that was delivered.
            because: what interrupted the stream.

        Raises:
            CallError: nobody does.
        """
        self._cut, self.delivered = error, error.partial_text
        most = self.around.policy.last_retries
        plain = can_go_on(self.asked.request, because) and bool(self.delivered)
        if not plain or not self._candidates.go_on(self._now, self.delivered, most):
            self._failed(error.failure)
            raise self.given_up(error, "part of the answer was delivered already") from error
        await self.recover(error)

    def gone_on(self) -> None:
        """The target goes on with an answer that was cut off."""
        self.minutes.continued(self.target, len(self.request.begun))

    def abandoned(self, error: BaseException, partial_text: str) -> None:
        """The caller gave up, or something that is not a failure of the provider was raised."""
        self.around.health.lines.leave(self._candidates.place)
        if self._turn is not None:
            self._turn.left()
            self._turn = None
        if not self.minutes.is_open:
            self.minutes.open(self.target)
        self.minutes.abandoned(error, self.target, partial_text)

    @property
    def _under_way(self) -> Turn:
        assert self._turn is not None, "no attempt is under way"  # noqa: S101 - the engine asks after it began
        return self._turn

    def _failed(self, failure: Failure) -> None:
        self.minutes.failed(failure)
        self._under_way.failed(failure)
        self._turn = None
        if failure.kind is FailureKind.CONTEXT_LENGTH:
            self._reading.learn_window(self._now, failure)
        self._now.failed(failure, self.around.clock(), self.around.chance())

    def _enter(self, chosen: Candidate, *, urgent: bool) -> bool:
        health, place = self.around.health, self._candidates.place
        leave = health.enter(chosen.target, urgent=urgent, place=place)
        if leave is None:
            return False
        self._now = chosen
        self._turn = Turn(chosen, leave, health, self._pace(chosen.target), self.asked.info.tenant_id)
        health.lines.leave(place)
        self.attempts += 1
        place.attempts = self.attempts
        chosen.attempts += 1
        return True

    async def _pause(self, seconds: float, version: int, *, urgent: bool) -> None:
        """Wait so long, or until it is the call's turn."""
        targets, soonest, own = self._candidates.waited_for(urgent=urgent)
        most = self.remaining - LEAST_ATTEMPT

        def sleep(keeps_time: bool) -> Awaitable[None]:
            until = min(seconds, soonest, own) if keeps_time else min(own, LONGEST_PAUSE)
            return self.around.sleep(
                max(min(until, most, LONGEST_PAUSE if math.isinf(until) else until), 0.001)
            )

        await self.around.health.lines.pause(self._candidates.place, targets, version, sleep)

    def _nobody(self, held: Failure, reason: str) -> CallError:
        self.minutes.failed(held)
        return self.given_up(ProviderError(held), reason)

    def _pace(self, target: Target) -> Pace:
        return self.around.health.paces.of(target.key, self.asked.info.task, streamed=self.streamed)


def _unheard(target: Target) -> Failure:
    return Failure(FailureKind.TIMEOUT, "nobody could be asked in time", target.provider.name, target.model)


def _handover(before: Target, after: Target) -> str:
    """The fallback in words; the models are named where the provider stays the same."""
    if before.place == after.place:
        return f"retry {after.provider.name} at another endpoint"
    if before.provider.name == after.provider.name:
        return f"{before.provider.name}/{before.model} -> {after.provider.name}/{after.model}"
    return f"{before.provider.name} -> {after.provider.name}"
