"""What recovery steps came to: one by one, and summed up with how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

Z_95 = 1.959963984540054
"""Standard deviations on either side of the mean that hold 95 % of a normal distribution."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What one recovery step came to.

    Attributes:
        id: of its row; later steps have greater ones.
        pattern: the error pattern of the failure that made it necessary.
        strategy: ``retry``, ``fallback`` or ``simplify``.
        provider: who was asked.
        model: which model was asked.
        worked: whether it got an answer.
        time_ms: wait and attempt together, in milliseconds.
        wait_ms: the wait alone.
        tokens: total tokens of its answer.
        cost: of its answer, in the currency that prices are set in.
        at: when it ended (UTC, without a zone).
    """

    id: int
    pattern: str
    strategy: str
    provider: str | None
    model: str | None
    worked: bool
    time_ms: int | None
    wait_ms: int | None
    tokens: int | None
    cost: float | None
    at: datetime | None

    @property
    def target(self) -> str:
        """Provider and model that were asked."""
        return f"{self.provider or ''}/{self.model or ''}"


@dataclass(frozen=True, slots=True)
class Achievement:
    """What steps of one kind have achieved.

    Attributes:
        strategy: ``retry``, ``fallback`` or ``simplify``.
        target: whom a fallback asked, as ``provider/model``; ``None`` for the others.
        steps: how often it was tried.
        successes: how often it got an answer.
        lowest: lower end of the 95 % interval of the success rate.
        highest: its upper end.
        p50_ms: median of wait and attempt together, in milliseconds.
        p95_ms: 95th percentile of the same.
        tokens: mean total tokens of an answer, where they were reported.
        cost: mean cost of an answer, where it is known.
    """

    strategy: str
    target: str | None
    steps: int
    successes: int
    lowest: float
    highest: float
    p50_ms: int | None
    p95_ms: int | None
    tokens: float | None
    cost: float | None


def achievements(outcomes: Sequence[Outcome]) -> list[Achievement]:
    """What each strategy has achieved, fallbacks per target; those that were tried most come first."""
    groups: dict[tuple[str, str | None], list[Outcome]] = {}
    for one in outcomes:
        target = one.target if one.strategy == "fallback" and one.provider else None
        groups.setdefault((one.strategy, target), []).append(one)
    found = [_achievement(strategy, target, group) for (strategy, target), group in groups.items()]
    return sorted(found, key=lambda one: (-one.steps, one.strategy, one.target or ""))


def wilson(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """The interval in which a rate lies, as far as so many trials tell.

    Wilson's score interval (E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical
    Inference", JASA 22, 1927), which L. D. Brown, T. T. Cai and A. DasGupta recommend for few trials
    ("Interval Estimation for a Binomial Proportion", Statistical Science 16, 2001).

    Args:
        successes: how many of the trials succeeded.
        trials: how many there were; with none, nothing is known, and the interval is 0 to 1.
        z: how sure it is, in standard deviations.
    """
    if trials <= 0:
        return 0.0, 1.0
    rate, spread = successes / trials, z * z / trials
    middle = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(rate * (1 - rate) / trials + spread / (4 * trials))
    lowest = 0.0 if successes <= 0 else max(middle - half, 0.0)
    highest = 1.0 if successes >= trials else min(middle + half, 1.0)
    return lowest, highest


def _achievement(strategy: str, target: str | None, group: Sequence[Outcome]) -> Achievement:
    worked = [one for one in group if one.worked]
    times = sorted(one.time_ms for one in group if one.time_ms is not None)
    lowest, highest = wilson(len(worked), len(group))
    return Achievement(
        strategy,
        target,
        len(group),
        len(worked),
        lowest,
        highest,
        _nearest_rank(times, 0.5),
        _nearest_rank(times, 0.95),
        _mean([one.tokens for one in worked if one.tokens is not None]),
        _mean([one.cost for one in worked if one.cost is not None]),
    )


def _nearest_rank(times: Sequence[int], share: float) -> int | None:
    """The smallest value that so large a share of the values does not exceed."""
    return times[math.ceil(share * len(times)) - 1] if times else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
