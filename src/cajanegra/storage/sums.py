"""What sets of calls come to, in a form in which two of them can be added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from itertools import compress
from operator import attrgetter
from typing import Any, Self

import msgspec

from cajanegra.domain import sketch
from cajanegra.domain.call import CallStatus
from cajanegra.storage.counted import CountedCalls, CountedStep, places_of
from cajanegra.storage.fitting_columns import Values
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

_FEW = 50
"""Values that are counted one by one before ``Counter`` has begun."""


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
    def of(cls, calls: CountedCalls, places: Sequence[int] | None = None) -> Self:
        """What calls come to, less those that are taken out again.

        Args:
            calls: some calls.
            places: which of them; default is all.
        """
        if calls.weight:
            return cls._of_weighted(calls, range(len(calls)) if places is None else places)

        def those(values: Values) -> Values:
            return values if places is None or not values else [*map(values.__getitem__, places)]

        times = those(calls.at)
        if not times:
            return cls()
        statuses = _counts(those(calls.status))
        unpriced = those(calls.unpriced)
        tokens = those(calls.tokens)
        return cls(
            calls=len(times),
            answered=sum(statuses.get(status, 0) for status in ANSWERED),
            recovered=sum(those(calls.recovered)),
            tokens=sum(tokens),
            statuses=statuses,
            costs=_costs(those(calls.cost), those(calls.currency)),
            latency=_sketch(those(calls.ms)),
            first_token=_sketch(those(calls.first_token)),
            last_at=max(times),
            detailed=len(times),
            input=sum(those(calls.input)),
            output=sum(those(calls.output)),
            cached=sum(those(calls.cached)),
            reasoning=sum(those(calls.reasoning)),
            unpriced_calls=sum(unpriced),
            unpriced_tokens=sum(compress(tokens, unpriced)),
        )

    @classmethod
    def of_steps(cls, steps: Sequence[tuple[CountedStep, int]]) -> Self:
        """What recovery steps, each with its call's weight, come to."""
        found = cls()
        times: dict[float, int] = {}
        for step, weight in steps:
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

    @classmethod
    def _of_weighted(cls, calls: CountedCalls, places: Sequence[int]) -> Self:
        alike = msgspec.structs.replace(calls, weight=())
        found = cls.of(alike, [place for place in places if calls.weight[place] > 0])
        found.add(cls.of(alike, [place for place in places if calls.weight[place] < 0]).taken_out())
        return found

    def taken_out(self) -> Self:
        """What takes these out of others, when it is added to them."""
        numbers = {name: -value for name in _NUMBERS if (value := getattr(self, name))}
        statuses = {name: -calls for name, calls in self.statuses.items()}
        return replace(
            self, **numbers, statuses=statuses, costs={name: -cost for name, cost in self.costs.items()}
        )

    def with_details(self, details: Iterable[Any]) -> Self:
        """The same with the figures from ``detailed`` on."""
        for name, value in zip(DETAILS, details, strict=True):
            setattr(self, name, int(value))
        return self

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


def _costs(costs: Values, currencies: Values) -> dict[str, int]:
    """Costs by currency, of which those that are not known are ``None``."""
    found: dict[str, int] = {}
    for currency, places in places_of(currencies or [""] * len(costs)).items() if costs else ():
        known = [cost for place in places if (cost := costs[place]) is not None]
        if known:
            found[currency] = sum(known)
    return found


def _sketch(times: Values) -> int:
    counts = _counts(times)
    counts.pop(None, None)
    return sketch.of_times(counts)


def _counts(values: Values) -> dict[Any, int]:
    if len(values) > _FEW:
        return dict(Counter(values))
    found: dict[Any, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found


_NUMBERS = tuple(one.name for one in fields(Sums) if one.default == 0)
details_of = attrgetter(*DETAILS)
"""What sums have in detail."""
