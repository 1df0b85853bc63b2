"""What sets of calls come to, in a form in which two of them can be added up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, Self

import msgspec

from cajanegra.domain import sketch
from cajanegra.domain.call import CallStatus
from cajanegra.storage.percentiles import LATENCY, NO_TIMES, Latency

ANSWERED = (CallStatus.SUCCESS, CallStatus.FALLBACK)
TOKEN_TYPES = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
"""In a call's metadata: cached ones are a part of the input, reasoning a part of the output."""
DETAILS = ("detailed", "input", "output", "cached", "reasoning", "unpriced_calls", "unpriced_tokens")
"""The last attributes of ``Sums``."""
COST_UNITS = 1_000_000_000
"""Of a unit of currency: costs are whole numbers, so that their sum does not depend on the order."""
STEP_CURRENCY = "USD"
"""Of the costs of recovery steps."""
MAX_COST = 1e9
"""A cost beyond it is none: it would not fit where it is added up."""
MAX_TOKENS = 2**31 - 1
"""Tokens beyond it are none, likewise."""


@dataclass(slots=True)
class Figures:
    """What a set of calls comes to.

    Attributes:
        total: calls.
        answered: calls with the status ``success`` or ``fallback``.
        recovered: answered calls that had at least one recovery step.
        tokens: tokens of the answers, as far as they are known.
        costs: sum of the calls' costs, as far as they are known, by currency.
        by_status: calls per status.
        latency: from begin to finish, within one per cent.
        first_token: until the first token of a streamed answer, within one per cent.
        last_at: when the latest call was begun, UTC without a zone.
    """

    total: int = 0
    answered: int = 0
    recovered: int = 0
    tokens: int = 0
    costs: dict[str, float] = field(default_factory=dict)
    by_status: dict[str, int] = field(default_factory=dict)
    latency: Latency = NO_TIMES
    first_token: Latency = NO_TIMES
    last_at: datetime | None = None

    @property
    def failed(self) -> int:
        """Calls that nobody answered."""
        return self.total - self.answered


class CountedStep(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What of a recovery step is counted; texts are empty where nobody noted them.

    Attributes:
        kind: the failure kind that made it necessary.
        pattern: the error pattern of that.
        strategy: ``retry``, ``fallback`` or ``simplify``.
        provider: who was asked.
        successful: whether it got an answer.
        ms: wait and attempt together.
        tokens: of the answer.
        cost: in billionths of a US dollar; ``None`` where it is not known.
    """

    kind: str
    pattern: str
    strategy: str
    provider: str
    successful: bool
    ms: int | None
    tokens: int
    cost: int | None


class CountedCall(msgspec.Struct, array_like=True, gc=False):
    """What of a call is counted, as its row has it; texts are empty where it has none.

    What has a default is the call's detail, which earlier versions did not leave to be counted.

    Attributes:
        at: when it began, UTC, as both databases read it.
        provider: who answered, or was asked last.
        model: which model.
        model_requested: the model that was asked for.
        module: the part of the application.
        task: what for.
        status: how it ended.
        error_code: the failure kind that it ended with.
        user: who asked.
        weight: 1, or -1 where it was counted before and is not what it was.
        recovered: whether it was answered after a recovery step.
        tokens: of the answer.
        cost: in billionths of the currency; ``None`` where it is not known.
        currency: of the cost.
        ms: from begin to finish.
        first_token: milliseconds until the first token.
        input: tokens of the prompt, cached ones included; ``None`` where no detail is known.
        output: tokens of the answer, reasoning included.
        cached: tokens of the prompt that the provider had cached.
        reasoning: tokens that the model thought with.
        steps: its recovery steps.
    """

    at: str
    provider: str
    model: str
    model_requested: str
    module: str
    task: str
    status: str
    error_code: str
    user: str
    weight: int
    recovered: bool
    tokens: int | None
    cost: int | None
    currency: str
    ms: int | None
    first_token: float | None
    input: int | None = None
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    steps: Sequence[CountedStep] = ()


@dataclass(slots=True)
class Sums:
    """Figures that can be added up; costs are in billionths, and times in sketches (``domain.sketch``).

    Of recovery steps ``calls`` is how many there are, ``answered`` those that got an answer, and
    ``unpriced_calls`` those whose cost is not known.
    """

    calls: int = 0
    answered: int = 0
    recovered: int = 0
    tokens: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    costs: dict[str, int] = field(default_factory=dict)
    latency: int = sketch.EMPTY
    first_token: int = sketch.EMPTY
    last_at: str | None = None
    """As text that sorts as the times do."""
    detailed: int = 0
    """Calls that are in the figures below; an earlier version did not count these."""
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    unpriced_calls: int = 0
    """Answered calls whose cost is not known."""
    unpriced_tokens: int = 0

    @classmethod
    def of(cls, calls: Collection[CountedCall]) -> Self:
        """What calls come to, less those that are taken out again."""
        found = cls()
        statuses, costs = found.statuses, found.costs
        times: dict[float, int] = {}
        first: dict[float, int] = {}
        for call in calls:
            weight = call.weight
            found.calls += weight
            statuses[call.status] = statuses.get(call.status, 0) + weight
            if call.recovered:
                found.recovered += weight
            if call.tokens:
                found.tokens += weight * call.tokens
            if call.cost is not None:
                costs[call.currency] = costs.get(call.currency, 0) + weight * call.cost
            if call.ms is not None:
                times[call.ms] = times.get(call.ms, 0) + weight
            if call.first_token is not None:
                first[call.first_token] = first.get(call.first_token, 0) + weight
            if found.last_at is None or call.at > found.last_at:
                found.last_at = call.at
        found.answered = sum(statuses.get(status, 0) for status in ANSWERED)
        found.latency, found.first_token = sketch.of_times(times), sketch.of_times(first)
        found._detail(calls)
        return found

    @classmethod
    def of_steps(cls, steps: Iterable[tuple[CountedStep, CountedCall]]) -> Self:
        """What recovery steps come to, less those of calls that are taken out again."""
        found = cls()
        times: dict[float, int] = {}
        for step, call in steps:
            weight = call.weight
            found.calls += weight
            if step.successful:
                found.answered += weight
            found.tokens += weight * step.tokens
            if step.cost is None:
                found.unpriced_calls += weight
            else:
                found.costs[STEP_CURRENCY] = found.costs.get(STEP_CURRENCY, 0) + weight * step.cost
            if step.ms is not None:
                times[step.ms] = times.get(step.ms, 0) + weight
        found.detailed = found.calls
        found.latency = sketch.of_times(times)
        return found

    def with_details(self, details: Iterable[Any]) -> Self:
        """The same with the figures from ``detailed`` on."""
        for name, value in zip(DETAILS, details, strict=True):
            setattr(self, name, int(value))
        return self

    def _detail(self, calls: Iterable[CountedCall]) -> None:
        for call in calls:
            if call.input is None:
                continue
            weight = call.weight
            self.detailed += weight
            if call.input or call.output or call.cached or call.reasoning:
                self.input += weight * call.input
                self.output += weight * call.output
                self.cached += weight * call.cached
                self.reasoning += weight * call.reasoning
            if call.cost is None and call.status in ANSWERED:
                self.unpriced_calls += weight
                self.unpriced_tokens += weight * (call.tokens or 0)

    def add(self, other: Sums) -> None:
        """Count what another set comes to, too."""
        self.calls += other.calls
        self.answered += other.answered
        self.recovered += other.recovered
        self.tokens += other.tokens
        for name, calls in other.statuses.items():
            self.statuses[name] = self.statuses.get(name, 0) + calls
        for name, cost in other.costs.items():
            self.costs[name] = self.costs.get(name, 0) + cost
        self.latency += other.latency
        self.first_token += other.first_token
        if other.last_at is not None and (self.last_at is None or other.last_at > self.last_at):
            self.last_at = other.last_at
        self.detailed += other.detailed
        self.input += other.input
        self.output += other.output
        self.cached += other.cached
        self.reasoning += other.reasoning
        self.unpriced_calls += other.unpriced_calls
        self.unpriced_tokens += other.unpriced_tokens

    def figures(self) -> Figures:
        """The same to be shown."""
        statuses = {name: calls for name, calls in self.statuses.items() if calls}
        return Figures(
            total=self.calls,
            answered=self.answered,
            recovered=self.recovered,
            tokens=self.tokens,
            costs=self.amounts(),
            by_status=dict(sorted(statuses.items(), key=lambda item: (-item[1], item[0]))),
            latency=Latency(*sketch.quantiles(self.latency, LATENCY)),
            first_token=Latency(*sketch.quantiles(self.first_token, LATENCY)),
            last_at=None if self.last_at is None else datetime.fromisoformat(self.last_at),
        )

    def amounts(self) -> dict[str, float]:
        """The costs in units, by currency."""
        return {name: cost / COST_UNITS for name, cost in sorted(self.costs.items()) if cost}


def whole_tokens(tokens: Any) -> int:
    """Tokens as they are counted; none where it is no number, or not a credible one."""
    return int(tokens) if type(tokens) in (int, float) and 0 <= tokens <= MAX_TOKENS else 0


def whole_cost(cost: Any) -> int | None:
    """A cost as it is counted; ``None`` where it is no number, or not a credible one."""
    if type(cost) not in (int, float) or not -MAX_COST <= cost <= MAX_COST:
        return None
    return int(cost * COST_UNITS + 0.5)


details_of = attrgetter(*DETAILS)
"""What sums have in detail."""
