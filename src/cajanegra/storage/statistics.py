"""Totals, rates and percentiles of calls, all together and by what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from cajanegra.errors import UsageError
from cajanegra.storage.database import Database, snapshot
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.percentiles import Latency
from cajanegra.storage.rollups.answers import answer, answer_all, largest
from cajanegra.storage.rollups.cubes import Dimension
from cajanegra.storage.rollups.questions import Answer, Coverage, Question, together
from cajanegra.storage.sums import Figures, Sums

__all__ = ["Grouping", "Groups", "Latency", "Statistics"]

Grouping = Literal["provider", "model", "module", "task", "tenant", "error_code", "status", "user"]
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
MAX_GROUPS = 100
_FACETS: Sequence[Dimension] = ("provider", "module", "task", "error_code")


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a set of calls comes to; see ``Figures``.

    Attributes:
        total: calls.
        answered: calls with the status ``success`` or ``fallback``.
        recovered: answered calls that had at least one recovery step.
        tokens: tokens of the answers, as far as they are known.
        costs: sum of what is known, by currency.
        latency: from begin to finish.
        first_token: until the first token of a streamed answer.
        by_status: calls per status; the others likewise.
        coverage: what the answer is made of.
    """

    total: int
    answered: int
    recovered: int
    tokens: int
    costs: Mapping[str, float]
    latency: Latency
    first_token: Latency
    by_status: Mapping[str, int]
    by_provider: Mapping[str, int]
    by_module: Mapping[str, int]
    by_task: Mapping[str, int]
    by_error_code: Mapping[str, int]
    coverage: Coverage

    @property
    def failed(self) -> int:
        """Calls that nobody answered."""
        return self.total - self.answered


@dataclass(frozen=True, slots=True)
class Groups:
    """Calls by what they have in common, the largest groups first.

    Attributes:
        all: what all calls come to.
        groups: value and figures of a group; the value is empty where the calls have none.
        others: calls in smaller groups, which are not listed.
        coverage: what the answer is made of.
    """

    all: Figures
    groups: Sequence[tuple[str, Figures]]
    others: int
    coverage: Coverage


def statistics(db: Database, where: CallFilter) -> Statistics:
    """What the calls that the filter means come to.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    with snapshot(db) as connection:
        found = answer_all(db, connection, [Question(where, (name,)) for name in _FACETS])
    facets = dict(zip(_FACETS, found, strict=True))
    whole = Sums()
    for sums in facets["provider"].groups.values():
        whole.add(sums)
    all_calls = whole.figures()
    return Statistics(
        total=all_calls.total,
        answered=all_calls.answered,
        recovered=all_calls.recovered,
        tokens=all_calls.tokens,
        costs=all_calls.costs,
        latency=all_calls.latency,
        first_token=all_calls.first_token,
        by_status=all_calls.by_status,
        by_provider=_counts(facets["provider"]),
        by_module=_counts(facets["module"]),
        by_task=_counts(facets["task"]),
        by_error_code={name: calls for name, calls in _counts(facets["error_code"]).items() if name},
        coverage=together(facet.coverage for facet in facets.values()),
    )


def groups(db: Database, where: CallFilter, by: Grouping | None, *, limit: int = MAX_GROUPS) -> Groups:
    """What the calls that the filter means come to, all together and by what they have in common.

    Raises:
        UsageError: a filter makes no sense, or calls are not grouped by this.
        StorageError: the database cannot be read.
    """
    if by is None:
        with snapshot(db) as connection:
            whole = answer(db, connection, Question(where))
        return Groups(whole.groups.get((), Sums()).figures(), [], 0, whole.coverage)
    asked = Question(where, (dimension(by),))
    with snapshot(db) as connection:
        names = largest(db, connection, asked, limit)
        whole, found = answer_all(db, connection, [Question(where), replace(asked, values=tuple(names))])
    total = whole.groups.get((), Sums()).figures()
    ordered = [(name, found.groups[name,].figures()) for name in names if (name,) in found.groups]
    others = total.total - sum(entry.total for _name, entry in ordered)
    return Groups(total, ordered, others, together([whole.coverage, found.coverage]))


def dimension(by: Grouping) -> Dimension:
    """What calls are grouped by.

    Raises:
        UsageError: there is no such grouping.
    """
    if by not in GROUPINGS:
        raise UsageError(f"calls are not grouped by {by!r}; choose one of {', '.join(GROUPINGS)}")
    return by


def _counts(found: Answer) -> Mapping[str, int]:
    counts = {name: sums.calls for (name,), sums in found.groups.items()}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
