"""What recovery came to: from failure kind to outcome, by whom was asked, and by error pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cajanegra.domain import sketch
from cajanegra.storage.database import Database, snapshot
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.rollups.answers import answer
from cajanegra.storage.rollups.questions import Coverage, Question, together
from cajanegra.storage.rollups.step_answers import answer_steps
from cajanegra.storage.sums import ANSWERED, COST_UNITS, STEP_CURRENCY, Sums

MAX_PATTERNS = 100
"""Strategies at patterns that are listed."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Failures of one kind, what was done about them, and what that came to.

    Attributes:
        kind: the failure kind; empty where nobody noted it.
        strategy: what was done; ``None`` where nothing more was, and the call was given up.
        answered: whether the step got an answer.
        failures: how many.
    """

    kind: str
    strategy: str | None
    answered: bool
    failures: int


@dataclass(frozen=True, slots=True)
class Flows:
    """The failures of calls, the most first, and what the answer is made of."""

    flows: Sequence[Flow]
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Target:
    """What the steps of one strategy came to that asked one provider.

    Attributes:
        strategy: ``retry``, ``fallback`` or ``simplify``.
        provider: who was asked; ``None`` where nobody noted it.
        steps: how many.
        successes: those that got an answer.
        p50_ms: median of wait and attempt together: what the step added to its call.
        p95_ms: 95th percentile of the same.
        tokens: of the answers, as far as they are known.
        cost: of the answers in US dollars; ``None`` where no price is known.
    """

    strategy: str
    provider: str | None
    steps: int
    successes: int
    p50_ms: float | None
    p95_ms: float | None
    tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class Targets:
    """What each strategy achieved at each provider, most steps first, and what the answer is made of."""

    targets: Sequence[Target]
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Remedy:
    """What one strategy did about one error pattern.

    Attributes:
        strategy_name: ``retry``, ``fallback`` or ``simplify``.
        pattern: what made the steps necessary; ``None`` where it was not recorded, or all of them are meant.
        steps: how often it was tried.
        successes: how often it got an answer.
        p50_ms: median of wait and attempt together.
        p95_ms: 95th percentile of the same.
    """

    strategy_name: str
    pattern: str | None
    steps: int
    successes: int
    p50_ms: float | None
    p95_ms: float | None

    @property
    def success_rate(self) -> float:
        """Share of the steps that got an answer, 0 to 1."""
        return self.successes / self.steps


@dataclass(frozen=True, slots=True)
class Remedies:
    """What each strategy did about each pattern, most steps first.

    Attributes:
        remedies: at most 100.
        others: steps of those that are not listed.
        coverage: what the answer is made of.
    """

    remedies: Sequence[Remedy]
    others: int
    coverage: Coverage


def flows(db: Database, where: CallFilter) -> Flows:
    """The failures of the calls that the filter means, the most first.

    Each step has one failure that made it necessary, and each call that nobody answered has one more.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    with snapshot(db) as connection:
        steps = answer_steps(db, connection, where, ("kind", "strategy"), only_counts=True)
        calls = answer(db, connection, Question(where, ("status", "error_code"), measure="calls"))
    found = [
        Flow(kind, strategy, answered, failures)
        for (kind, strategy), sums in steps.groups.items()
        for answered, failures in ((True, sums.answered), (False, sums.calls - sums.answered))
        if failures
    ]
    given_up: dict[str, int] = {}
    for (status, kind), sums in calls.groups.items():
        if status not in ANSWERED:
            given_up[kind] = given_up.get(kind, 0) + sums.calls
    found += [Flow(kind, None, answered=False, failures=failures) for kind, failures in given_up.items()]
    found.sort(key=lambda one: (-one.failures, one.kind, one.strategy or "", one.answered))
    return Flows(found, together([steps.coverage, calls.coverage]))


def targets(db: Database, where: CallFilter) -> Targets:
    """What each strategy achieved at each provider, most steps first.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    with snapshot(db) as connection:
        steps = answer_steps(db, connection, where, ("strategy", "provider"))
    found = [
        Target(
            strategy,
            provider or None,
            sums.calls,
            sums.answered,
            *_times(sums),
            sums.tokens,
            None if sums.unpriced_calls == sums.calls else sums.costs.get(STEP_CURRENCY, 0) / COST_UNITS,
        )
        for (strategy, provider), sums in steps.groups.items()
    ]
    found.sort(key=lambda one: (-one.steps, one.strategy, one.provider or ""))
    return Targets(found, steps.coverage)


def remedies(db: Database, where: CallFilter, *, by_pattern: bool = True) -> Remedies:
    """What each strategy did about each pattern, for the calls that the filter means; most steps first.

    Args:
        db: the database.
        where: which calls.
        by_pattern: one for each strategy and pattern, or one for each strategy.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    with snapshot(db) as connection:
        if by_pattern:
            steps = answer_steps(db, connection, where, ("pattern", "strategy"), limit=MAX_PATTERNS)
        else:
            steps = answer_steps(db, connection, where, ("strategy",))
    found = [
        Remedy(strategy, "".join(pattern) or None, sums.calls, sums.answered, *_times(sums))
        for (*pattern, strategy), sums in steps.groups.items()
    ]
    found.sort(key=lambda one: (-one.steps, one.strategy_name, one.pattern or ""))
    return Remedies(found, steps.rest.calls, steps.coverage)


def _times(sums: Sums) -> tuple[float | None, float | None]:
    p50, p95 = sketch.quantiles(sums.latency, (0.5, 0.95))
    return p50, p95
