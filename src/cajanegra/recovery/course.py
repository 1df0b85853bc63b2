"""The course of one call through attempts and steps: what was tried, what comes next, what is noted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cajanegra.domain.call import Answer, CallStatus, ChatRequest, Strategy
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.domain.redaction import redact_text
from cajanegra.errors import CallError
from cajanegra.ports import Knowledge, OpenCall, Provider
from cajanegra.recovery.decision import LEAST_ATTEMPT, Decision, Policy, Situation, decide, is_repeatable
from cajanegra.recovery.simplify import Simplified, fit, simplify

CLOCK_MARGIN = 0.05
"""Seconds on top of a Retry-After: the provider began to count before we read it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider.

    Attributes:
        provider: who serves it.
        model: the provider's own name of it.
        timeout: seconds that one attempt may take.
        context_window: tokens that it can hold, when known.
    """

    provider: Provider
    model: str
    timeout: float
    context_window: int | None = None


@dataclass(frozen=True, slots=True)
class StepTaken:
    """A recovery step, as the caller is told of it."""

    strategy: Strategy
    action: str
    successful: bool
    time_ms: int
    failure: Failure
    """The failure that made the step necessary."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every call shares: the limits, the clocks and who is told."""

    policy: Policy
    knowledge: Knowledge
    clock: Callable[[], float]
    """Seconds, monotonic."""
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    """A random number in [0, 1)."""


@dataclass(slots=True)
class _Tried:
    """What is known of a target in this call."""

    target: Target
    attempts: int = 0
    retries: int = 0
    simplifications: int = 0
    not_before: float = 0.0
    """Clock time before which the provider asked not to be asked again."""
    hopeless: bool = False


@dataclass(slots=True)
class _Step:
    """A step that has begun: its attempt has not ended yet."""

    strategy: Strategy
    action: str
    error: ProviderError
    decision: Decision
    begun: float
    changed: Mapping[str, Any]


@dataclass(slots=True)
class Course:
    """One call under way. Ask ``target`` with ``request``, then say ``answered`` or ``recover``."""

    call: OpenCall
    original: ChatRequest
    targets: Sequence[Target]
    around: Surroundings
    deadline: float
    """Clock time at which the call is over."""
    request: ChatRequest = field(init=False)
    """What to send now."""
    attempts: int = 1
    steps: list[StepTaken] = field(default_factory=list)
    _tried: list[_Tried] = field(init=False)
    _now: _Tried = field(init=False)
    _step: _Step | None = None
    _failures: list[Failure] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.request = self.original
        self._tried = [_Tried(target) for target in self.targets]
        self._now = self._tried[0]

    @property
    def target(self) -> Target:
        """Whom to ask now."""
        return self._now.target

    @property
    def attempt_timeout(self) -> float:
        """Seconds that the attempt may take."""
        return max(min(self.target.timeout, self._remaining), LEAST_ATTEMPT)

    @property
    def status(self) -> CallStatus:
        """The status of the call, were it answered now: it says who answered."""
        return CallStatus.SUCCESS if self._now is self._tried[0] else CallStatus.FALLBACK

    def answered(self, answer: Answer, metadata: Mapping[str, Any] | None = None) -> None:
        """The attempt was answered, and with it the call."""
        self._end_step(answer)
        self.call.finish(answer, metadata=metadata)

    async def recover(self, error: ProviderError) -> None:
        """The attempt failed: prepare the next one and wait until it may be made.

        Raises:
            CallError: there is nothing left to try.
        """
        failure = error.failure
        self._failed(failure)
        other = self._best_other()
        smaller = simplify(self.request, failure, self.target.context_window)
        decision = decide(self.around.policy, self._situation(failure, other, smaller))
        if decision.strategy is None:
            raise self.given_up(error, decision.reason) from error
        before = self._now
        begun = self.around.clock()
        changed: Mapping[str, Any] = {}
        if decision.strategy is Strategy.RETRY:
            before.retries += 1
            action = f"retry {before.target.provider.name} after {decision.wait:.1f} s"
        elif decision.strategy is Strategy.SIMPLIFY and smaller is not None:
            before.simplifications += 1
            before.retries = 0
            self.request, changed, action = smaller.request, smaller.changed, smaller.action
        else:
            changed = self._move_to(other or before)
            action = _handover(before.target, self.target)
        self._step = _Step(decision.strategy, action, error, decision, begun, changed)
        self.attempts += 1
        if decision.wait > 0:
            await self.around.sleep(decision.wait)

    def given_up(self, error: ProviderError, reason: str, partial_text: str = "") -> CallError:
        """The call ends unanswered: write it down and return what the caller is to be told."""
        failure = error.failure
        late = failure.kind is FailureKind.TIMEOUT or self._remaining <= LEAST_ATTEMPT
        status = CallStatus.TIMEOUT if late else CallStatus.ERROR
        self.call.fail(error, status=status, metadata={"gave_up_because": reason}, partial_text=partial_text)
        return CallError(
            self._message(failure, reason),
            kind=failure.kind,
            status=status,
            request_id=self.call.request_id,
            steps=self.steps,
            partial_text=partial_text,
        )

    def broke_off(self, error: ProviderError) -> CallError:
        """A stream failed after its first content: nothing can be recovered."""
        self._failed(error.failure)
        return self.given_up(error, "part of the answer was delivered already", error.partial_text)

    def abandoned(self, error: BaseException, partial_text: str = "") -> None:
        """The caller gave up, or something that is not a failure of the provider was raised."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            failure = Failure(
                FailureKind.CANCELLED,
                "the caller cancelled the call",
                self.target.provider.name,
                self.target.model,
            )
            error = ProviderError(failure)
        self._end_step(None, "cancelled" if isinstance(error, ProviderError) else type(error).__name__)
        self.call.fail(error, partial_text=partial_text)

    @property
    def _remaining(self) -> float:
        return self.deadline - self.around.clock()

    def _failed(self, failure: Failure) -> None:
        self._end_step(None, failure.kind)
        self._failures.append(failure)
        self._now.attempts += 1
        self._now.hopeless = not is_repeatable(failure.kind)
        if failure.retry_after is not None:
            until = self.around.clock() + failure.retry_after + CLOCK_MARGIN
            for tried in self._tried:
                if tried.target.provider is self._now.target.provider:
                    tried.not_before = max(tried.not_before, until)

    def _situation(self, failure: Failure, other: _Tried | None, smaller: Simplified | None) -> Situation:
        return Situation(
            failure=failure,
            attempts=self.attempts,
            retries=self._now.retries,
            simplifications=self._now.simplifications,
            remaining=self._remaining,
            can_simplify=smaller is not None,
            other_wait=self._wait(other) if other else None,
            other_is_new=other is not None and other.attempts == 0,
            chance=self.around.chance(),
        )

    def _best_other(self) -> _Tried | None:
        """The target to fall back to: one that was not asked yet, else the one that may be asked soonest."""
        others = [tried for tried in self._tried if tried is not self._now and not tried.hopeless]
        others = [tried for tried in others if tried.retries < self.around.policy.last_retries]
        return min(others, key=lambda tried: (tried.attempts > 0, self._wait(tried)), default=None)

    def _wait(self, tried: _Tried) -> float:
        return max(0.0, tried.not_before - self.around.clock())

    def _move_to(self, other: _Tried) -> Mapping[str, Any]:
        """Go on with another target and the original request, made to fit it; what was changed for that."""
        if other.attempts:
            other.retries += 1
        self._now = other
        fitted = fit(self.original, other.target.context_window)
        self.request = fitted.request if fitted else self.original
        return fitted.changed if fitted else {}

    def _end_step(self, answer: Answer | None, outcome: str = "answered") -> None:
        step = self._step
        if step is None:
            return
        self._step = None
        time_ms = round((self.around.clock() - step.begun) * 1000)
        successful = answer is not None
        self.steps.append(StepTaken(step.strategy, step.action, successful, time_ms, step.error.failure))
        result: dict[str, Any] = {
            "reason": step.decision.reason,
            "wait_asked": step.error.failure.retry_after,
            "wait_taken": round(step.decision.wait, 3),
            "provider": self.target.provider.name,
            "model": self.target.model,
            "outcome": outcome,
        }
        if step.changed:
            result["changed"] = dict(step.changed)
        if answer is not None and answer.usage.total_tokens is not None:
            result["tokens"] = answer.usage.total_tokens
        self.call.step(
            step.strategy,
            action=step.action,
            error=step.error,
            successful=successful,
            time_ms=time_ms,
            provider=self.target.provider.name,
            model=self.target.model,
            result=result,
        )

    def _message(self, last: Failure, reason: str) -> str:
        tried = "; ".join(
            dict.fromkeys(f"{f.provider}: {f.kind} ({_short(f.message)})" for f in self._failures)
        )
        action = self.around.knowledge.explain(last.provider, last.kind).suggested_action
        return f"no provider answered, since {reason}. Tried {tried}. {action}".strip()


def _handover(before: Target, after: Target) -> str:
    """The fallback in words; the models are named where the provider stays the same."""
    if before.provider is after.provider:
        return f"{before.provider.name}/{before.model} -> {after.provider.name}/{after.model}"
    return f"{before.provider.name} -> {after.provider.name}"


def _short(message: str, size: int = 160) -> str:
    line = " ".join(redact_text(message[: size * 4]).split())
    return line if len(line) <= size else f"{line[: size - 1]}…"
