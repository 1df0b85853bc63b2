"""Tokens by what they were, and what they cost, as far as prices are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cajanegra.storage.database import Database, snapshot
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.rollups.answers import answer, answer_all
from cajanegra.storage.rollups.questions import Answer, Coverage, Question, together
from cajanegra.storage.statistics import MAX_GROUPS, Grouping, dimension
from cajanegra.storage.sums import Sums


@dataclass(frozen=True, slots=True)
class Usage:
    """What a set of calls used.

    Attributes:
        calls: how many.
        tokens: all tokens of the answers, as far as they are known.
        input: of the prompts, cached ones included.
        output: of the answers, reasoning included.
        cached: of the prompts, those that the provider had cached.
        reasoning: those that models thought with.
        unpriced_calls: answered calls whose cost is not known.
        unpriced_tokens: the tokens of these.
        costs: by currency.
    """

    calls: int = 0
    tokens: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    unpriced_calls: int = 0
    unpriced_tokens: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Answered calls of one model whose cost is not known; the model is empty where nobody noted it."""

    provider: str
    model: str
    calls: int
    tokens: int


@dataclass(frozen=True, slots=True)
class UsageGroups:
    """What calls used, all together and by what they have in common.

    Attributes:
        all: of all calls that the filter means.
        groups: of each value, most tokens first; the value is empty where the calls have none.
        others: calls in groups that are not listed.
        unpriced: models whose answers have no cost, most tokens first.
        coverage: what the answer is made of.
    """

    all: Usage
    groups: Sequence[tuple[str, Usage]]
    others: int
    unpriced: Sequence[Unpriced]
    coverage: Coverage


def usage(db: Database, where: CallFilter, by: Grouping, *, limit: int = MAX_GROUPS) -> UsageGroups:
    """What the calls that the filter means used.

    Args:
        db: the database.
        where: which calls.
        by: what they are grouped by.
        limit: groups at most, and models without a price.

    Raises:
        UsageError: a filter makes no sense, or calls are not grouped by this.
        StorageError: the database cannot be read.
    """
    asked = (dimension(by),)
    with snapshot(db) as connection:
        counts = answer(db, connection, Question(where, asked, measure="calls")).groups
        most = sorted(counts.items(), key=lambda item: (-item[1].tokens, -item[1].calls, item[0]))
        names = tuple(name for (name,), _sums in most[:limit])
        questions = [
            Question(where, measure="usage"),
            Question(where, asked, values=names, measure="usage"),
            Question(where, ("provider", "model"), measure="usage"),
        ]
        whole, found, models = answer_all(db, connection, questions)
    everything = _used(whole.groups.get((), Sums()))
    groups = [(name, _used(found.groups[name,])) for name in names if (name,) in found.groups]
    return UsageGroups(
        everything,
        groups,
        everything.calls - sum(entry.calls for _name, entry in groups),
        _unpriced(models)[:limit],
        together(one.coverage for one in (whole, found, models)),
    )


def _used(sums: Sums) -> Usage:
    return Usage(
        sums.calls,
        sums.tokens,
        sums.input,
        sums.output,
        sums.cached,
        sums.reasoning,
        sums.unpriced_calls,
        sums.unpriced_tokens,
        sums.amounts(),
    )


def _unpriced(models: Answer) -> Sequence[Unpriced]:
    found = [
        Unpriced(provider, model, sums.unpriced_calls, sums.unpriced_tokens)
        for (provider, model), sums in models.groups.items()
        if sums.unpriced_calls
    ]
    return sorted(found, key=lambda one: (-one.tokens, -one.calls, one.provider, one.model))
