"""What has helped after which failures, from the rows of the record, and the choice that is made by it."""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cajanegra.domain.call import Strategy
from cajanegra.domain.outcome import Outcome

MOST_OUTCOMES = 5_000
"""Steps that are looked back on, of all patterns together."""
LOOK_BACK = timedelta(days=7)
"""How long ago a step may have been made to count."""
OVERLAP = 500
"""Rows that are read again each time: a row with a smaller id may be committed later."""
HALF_LIFE = 50
"""Later steps after failures of the same pattern that make a step count for half."""
PRIOR = {True: (4.0, 1.0), False: (1.0, 1.0)}
"""Successes and failures that are assumed beforehand, of the step that the table of moves would take and of
the others: with nothing on record the table is followed four times in five where there are two."""

ArmKey = tuple[Strategy, str]
"""A strategy and, of a fallback, whom it asks (provider and model)."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one kind of step has achieved, of late.

    Attributes:
        tried: how often it was tried; older steps count for less.
        worked: how often it got an answer, counted likewise.
        seconds: mean of the attempts' times, without the waits before them.
        spread: their standard deviation.
    """

    tried: float = 0.0
    worked: float = 0.0
    seconds: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Arm:
    """A step that may be taken now.

    Attributes:
        strategy: what it is.
        target: whom a fallback asks, as provider and model.
        record: what it has achieved.
        wait: seconds to wait before it.
        usual: seconds that an attempt there usually takes.
        is_usual: whether the table of moves would take it.
    """

    strategy: Strategy
    target: str
    record: Record
    wait: float
    usual: float
    is_usual: bool


def choose(arms: Sequence[Arm], remaining: float, dice: random.Random) -> tuple[int, list[dict[str, Any]]]:
    """Which step to take, and the numbers that it was chosen by.

    Thompson sampling (W. R. Thompson, "On the Likelihood that One Unknown Probability Exceeds Another",
    Biometrika 25, 1933; D. Russo et al., "A Tutorial on Thompson Sampling", 2018): of each step a success
    rate and a time are drawn from what is believed of them, and the one with the best prospect is taken.
    Success rates have a Beta distribution. Since providers change, records fade, and what has not been tried
    for long is tried again (V. Raj and S. Kalyani, "Taming Non-stationary Bandits: A Bayesian Approach",
    2017). An answer is worth 1 now and nothing at the deadline.

    Args:
        arms: at least one.
        remaining: seconds until the deadline.
        dice: what is drawn depends on its seed alone.
    """
    drawn: list[dict[str, Any]] = []
    prospects: list[float] = []
    for arm in arms:
        success, seconds = _draw(arm, dice)
        in_time = max(1.0 - (arm.wait + seconds) / remaining, 0.0) if remaining > 0 else 0.0
        prospects.append(success * in_time)
        numbers = {
            "strategy": str(arm.strategy),
            "target": arm.target,
            "tried": round(arm.record.tried, 2),
            "worked": round(arm.record.worked, 2),
            "wait": round(arm.wait, 3),
            "drawn_success": round(success, 4),
            "drawn_seconds": round(seconds, 3),
            "prospect": round(success * in_time, 4),
        }
        drawn.append({name: value for name, value in numbers.items() if value != ""})
    # Where nobody can be expected to answer in time, whoever is likeliest to is asked.
    best = max(range(len(arms)), key=lambda index: (prospects[index], arms[index].is_usual))
    return best, drawn


def _draw(arm: Arm, dice: random.Random) -> tuple[float, float]:
    """A success rate and seconds, as they may be by all that is known."""
    record = arm.record
    wins, losses = PRIOR[arm.is_usual]
    success = dice.betavariate(wins + record.worked, losses + record.tried - record.worked)
    mean = (arm.usual + record.tried * record.seconds) / (1 + record.tried)
    doubt = max(record.spread, mean / 2) / math.sqrt(1 + record.tried)
    return success, max(dice.gauss(mean, doubt), 0.0)


class Experience:
    """The outcomes of the latest steps, summed up per pattern. ``add`` is for one thread, ``of`` for all."""

    def __init__(self) -> None:
        self.newest = 0
        """The greatest id of a row that was read."""
        self._outcomes: OrderedDict[int, Outcome] = OrderedDict()
        self._records: Mapping[str, Mapping[ArmKey, Record]] = {}

    def add(self, outcomes: Sequence[Outcome], now: datetime) -> None:
        """Take what was read since; rows that are known already or too old change nothing."""
        known, oldest = self._outcomes, now - LOOK_BACK
        for one in sorted(outcomes, key=lambda one: one.id):
            known[one.id] = one
            self.newest = max(self.newest, one.id)
        while len(known) > MOST_OUTCOMES:
            known.popitem(last=False)
        groups: dict[str, list[Outcome]] = {}
        for one in reversed(known.values()):
            if one.at is None or one.at >= oldest:
                groups.setdefault(one.pattern, []).append(one)
        self._records = {pattern: _records(steps) for pattern, steps in groups.items()}

    def of(self, pattern: str) -> Mapping[ArmKey, Record]:
        """What each step has achieved after failures of a pattern."""
        return self._records.get(pattern, {})


def _records(steps: Sequence[Outcome]) -> Mapping[ArmKey, Record]:
    """What the steps after failures of one pattern, the newest first, have achieved."""
    groups: dict[ArmKey, list[tuple[float, Outcome]]] = {}
    for later, one in enumerate(steps):
        key = _key(one)
        if key is not None:
            groups.setdefault(key, []).append((0.5 ** (later / HALF_LIFE), one))
    return {key: _record(group) for key, group in groups.items()}


def _key(one: Outcome) -> ArmKey | None:
    try:
        strategy = Strategy(one.strategy)
    except ValueError:  # a host's own word
        return None
    return strategy, one.target if strategy is Strategy.FALLBACK else ""


def _record(steps: Sequence[tuple[float, Outcome]]) -> Record:
    times = [
        (weight, max(one.time_ms - (one.wait_ms or 0), 0) / 1000)
        for weight, one in steps
        if one.time_ms is not None
    ]
    known = sum(weight for weight, _ in times)
    mean = sum(weight * time for weight, time in times) / known if known else 0.0
    variance = sum(weight * (time - mean) ** 2 for weight, time in times) / known if known else 0.0
    tried = sum(weight for weight, _ in steps)
    worked = sum(weight for weight, one in steps if one.worked)
    return Record(tried, worked, mean, math.sqrt(variance))
