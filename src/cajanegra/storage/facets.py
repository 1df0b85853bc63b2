"""How many calls have which value, for each of the filters that a list offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cajanegra.domain.principal import AllTenants
from cajanegra.storage.database import Database, snapshot
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.rollups.answers import answer_all
from cajanegra.storage.rollups.cubes import Dimension
from cajanegra.storage.rollups.questions import FILTERS, Answer, Coverage, Question, together

LOOKED_AT = 20_000
"""Calls that are looked at for values that no rollup tells of: the newest."""
MAX_VALUES = 20

_SHOWN = ("status", "provider", "model", "module", "task", "error_code")
"""Filters, as they are listed; whoever sees all has the tenant last."""


@dataclass(frozen=True, slots=True)
class Facets:
    """Calls by each of the filters.

    Attributes:
        values: by the filter's name, the values and how many calls have them, most calls first; at most 20
            each. A filter that is set does not narrow its own values, so that another can be chosen.
        coverage: what the counts are made of.
    """

    values: Mapping[str, Sequence[tuple[str, int]]]
    coverage: Coverage


def facets(db: Database, where: CallFilter) -> Facets:
    """How many of the calls have which value.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    filters: dict[str, Dimension] = {name: FILTERS[name] for name in _SHOWN}
    if isinstance(where.scope, AllTenants):
        filters["tenant_id"] = "tenant"
    asked: dict[CallFilter, list[str]] = {}
    for name in filters:
        unset: dict[str, Any] = {name: None}
        asked.setdefault(replace(where, **unset), []).append(name)
    found: dict[str, Answer] = {}
    with snapshot(db) as connection:
        for calls, names in asked.items():
            questions = [Question(calls, (filters[name],), measure="calls") for name in names]
            found |= zip(names, answer_all(db, connection, questions, most=LOOKED_AT), strict=True)
    values = {name: _most(found[name]) for name in filters}
    return Facets(values, together(one.coverage for one in found.values()))


def _most(found: Answer) -> Sequence[tuple[str, int]]:
    counts = [(value, sums.calls) for (value,), sums in found.groups.items() if value]
    return sorted(counts, key=lambda one: (-one[1], one[0]))[:MAX_VALUES]
