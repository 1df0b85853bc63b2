"""Keeps the minutes of a call: writes its steps and its end down, and finds the words for its caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cajanegra.domain.call import Answer, CallStatus, ChatCall, Cost, Strategy
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.domain.pattern import Pattern
from cajanegra.domain.redaction import redact_text
from cajanegra.errors import CallError
from cajanegra.ports import CallLog, OpenCall, Prices
from cajanegra.recovery.decision import Decision
from cajanegra.recovery.target import Target


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
class _Step:
    """A step that has begun: its attempt has not ended yet."""

    strategy: Strategy
    action: str
    error: ProviderError
    reason: str
    target: Target
    because: Mapping[str, Any]
    changed: Mapping[str, Any]
    begun: float
    waited: float


class Minutes:
    """The record of one call.

    Args:
        asked: the call.
        log: where it is written down.
        explain: says what to do about a failure, for a caller whose call cannot be answered.
        clock: seconds, monotonic.
        prices: knows what answers cost.
    """

    def __init__(
        self,
        asked: ChatCall,
        log: CallLog,
        explain: Callable[[Failure], Pattern],
        clock: Callable[[], float],
        prices: Prices | None = None,
    ) -> None:
        self.call: OpenCall
        self.first: Target | None = None
        """Whom the call would ask first, were everybody well."""
        self.steps: list[StepTaken] = []
        self._asked = asked
        self._log = log
        self._explain = explain
        self._clock = clock
        self._prices = prices
        self._begun = clock()
        self._step: _Step | None = None
        self._failures: list[Failure] = []
        self._noted: dict[str, Any] = {}

    @property
    def is_open(self) -> bool:
        """Whether the call has been opened in the record."""
        return self.first is not None

    def first_attempt(
        self, target: Target, changed: Mapping[str, Any], skipped: Sequence[Mapping[str, Any]]
    ) -> None:
        """The first attempt is about to be made.

        Args:
            target: who is asked.
            changed: what was left out of the request so that it fits.
            skipped: who would have been asked before, and why it is not.
        """
        if changed:
            self._noted["changed"] = dict(changed)
        if skipped:
            self._noted["skipped"] = list(skipped)
        waited = round((self._clock() - self._begun) * 1000)
        if waited:
            self._noted["waited_ms"] = waited
        if self.first is None or target.place != self.first.place:
            self.call.ask_instead(target.provider.name, target.model)

    def open(self, target: Target) -> None:
        """Write down that the call begins, which this target would be asked first."""
        self.first = target
        info, request = self._asked.info, self._asked.request
        self.call = self._log.call(
            task=info.task,
            provider=target.provider.name,
            model=self._asked.model,
            prompt=self._asked.prompt,
            tenant_id=info.tenant_id,
            module=info.module,
            user_id=info.user_id,
            request_id=info.request_id,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            metadata=info.metadata,
        )

    def step(
        self,
        decision: Decision,
        action: str,
        error: ProviderError,
        target: Target,
        changed: Mapping[str, Any],
        begun: float,
    ) -> None:
        """A step begins: its attempt is about to be made, ``begun`` being when the one before failed."""
        strategy = decision.strategy or Strategy.RETRY
        waited = self._clock() - begun
        self._step = _Step(
            strategy, action, error, decision.reason, target, decision.because, changed, begun, waited
        )

    def failed(self, failure: Failure) -> None:
        """The attempt failed, and with it the step that it belonged to."""
        self._failures.append(failure)
        self._end_step(None, failure.kind)

    def continued(self, target: Target, after: int) -> None:
        """Somebody goes on with an answer that was cut off after so many characters."""
        who = {"provider": target.provider.name, "model": target.model, "after_characters": after}
        self._noted.setdefault("continued", []).append(who)

    def answered(self, answer: Answer, target: Target, metadata: Mapping[str, Any]) -> None:
        """The attempt was answered by a target, and with it the call."""
        cost = self._cost(answer, target)
        self._end_step(answer, "answered", cost)
        noted = {**self._noted, **metadata}
        if cost is not None:
            noted |= {"cost": cost.amount, "cost_currency": cost.currency, "cost_prices": cost.prices}
        self.call.finish(answer, metadata=noted or None)

    def _cost(self, answer: Answer, target: Target) -> Cost | None:
        """What an answer costs: by the exact model that gave it, else by the name that was asked for."""
        prices, name = self._prices, target.provider.name
        if prices is None:
            return None
        exact = prices.cost(name, answer.model, answer.usage) if answer.model else None
        return exact or (
            prices.cost(name, target.model, answer.usage) if answer.model != target.model else None
        )

    def given_up(
        self, error: ProviderError, status: CallStatus, reason: str, attempts: int, partial_text: str
    ) -> CallError:
        """The call ends unanswered: write it down and return what the caller is to be told."""
        metadata = {**self._noted, "gave_up_because": reason}
        if not attempts:
            metadata["attempts"] = 0
        self.call.fail(error, status=status, metadata=metadata, partial_text=partial_text)
        return CallError(
            self._message(error.failure, reason),
            kind=error.failure.kind,
            status=status,
            request_id=self.call.request_id,
            failure=error.failure,
            steps=self.steps,
            partial_text=partial_text,
        )

    def abandoned(self, error: BaseException, target: Target, partial_text: str) -> None:
        """The caller gave up, or something that is not a failure of the provider was raised."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            name = target.provider.name
            error = ProviderError(
                Failure(FailureKind.CANCELLED, "the caller cancelled the call", name, target.model)
            )
        self._end_step(None, "cancelled" if isinstance(error, ProviderError) else type(error).__name__)
        self.call.fail(error, metadata=self._noted or None, partial_text=partial_text)

    def _end_step(self, answer: Answer | None, outcome: str, cost: Cost | None = None) -> None:
        step, self._step = self._step, None
        if step is None:
            return
        time_ms = round((self._clock() - step.begun) * 1000)
        successful = answer is not None
        self.steps.append(StepTaken(step.strategy, step.action, successful, time_ms, step.error.failure))
        result: dict[str, Any] = {
            "reason": step.reason,
            "wait_asked": step.error.failure.retry_after,
            "wait_taken": round(step.waited, 3),
            "provider": step.target.provider.name,
            "model": step.target.model,
            "outcome": outcome,
            **step.because,
        }
        if step.changed:
            result["changed"] = dict(step.changed)
        if answer is not None and answer.usage.total_tokens is not None:
            result["tokens"] = answer.usage.total_tokens
        if cost is not None:
            result["cost"] = cost.amount
        self.call.step(
            step.strategy,
            action=step.action,
            error=step.error,
            successful=successful,
            time_ms=time_ms,
            provider=step.target.provider.name,
            model=step.target.model,
            result=result,
        )

    def _message(self, last: Failure, reason: str) -> str:
        tried = "; ".join(
            dict.fromkeys(f"{f.provider}: {f.kind} ({_short(f.message)})" for f in self._failures)
        )
        action = self._explain(last).suggested_action
        return f"no provider answered, since {reason}. Tried {tried}. {action}".strip()


def _short(message: str, size: int = 160) -> str:
    line = " ".join(redact_text(message[: size * 4]).split())
    return line if len(line) <= size else f"{line[: size - 1]}…"
