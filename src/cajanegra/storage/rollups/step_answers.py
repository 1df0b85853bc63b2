"""Answers what recovery steps come to: of a time, and of a tenant or of all, from the cubes of steps.

For every other filter, for the parts of an hour and for hours whose steps nobody counted, the rows are looked
at. A step belongs to the hour in which its call began.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, cast, func, select, tuple_, union_all

from cajanegra.domain import sketch
from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.storage.counted import CountedStep
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.rollups import deltas, rows, state, table
from cajanegra.storage.rollups.answers import MOST_ROWS
from cajanegra.storage.rollups.cubes import KEY, OF_ALL
from cajanegra.storage.rollups.questions import Answer, Coverage, Group
from cajanegra.storage.rollups.step_rows import StepDimension, of_steps
from cajanegra.storage.rollups.windows import Window, whose
from cajanegra.storage.step_figures import sums_of_steps
from cajanegra.storage.sums import Sums
from cajanegra.storage.tables import ROLLUPS

Groups = dict[Group, Sums]

_ROLLUPS = ROLLUPS.c
_KEYS = (_ROLLUPS.key1, _ROLLUPS.key2, _ROLLUPS.key3)
_SUMS = (
    *_KEYS,
    _ROLLUPS.calls,
    _ROLLUPS.answered,
    _ROLLUPS.tokens,
    _ROLLUPS.unpriced_calls,
    cast(_ROLLUPS.costs, String),
    _ROLLUPS.latency,
)
"""What is known of steps: a fraction of the columns."""
_COUNTED = frozenset({"scope", "tenant_id", "since", "until"})
"""The filters that the cubes know."""
_OF_KEYS: Mapping[str, Mapping[StepDimension, Callable[[Sequence[str]], str]]] = {
    "step": {
        "kind": lambda keys: keys[0],
        "strategy": lambda keys: keys[1],
        "provider": lambda keys: keys[2],
    },
    "remedy": {"pattern": lambda keys: keys[0] + keys[1], "strategy": lambda keys: keys[2]},
}


def answer_steps(
    db: Database,
    connection: Connection,
    where: CallFilter,
    by: Sequence[StepDimension],
    *,
    limit: int | None = None,
    only_counts: bool = False,
) -> Answer:
    """What the steps of calls come to.

    Args:
        db: the database.
        connection: one that reads it at one moment (``database.snapshot``).
        where: which calls.
        by: the dimensions; with a limit pattern and strategy.
        limit: groups at most, those with most steps; how many steps the others have is in ``rest``.
        only_counts: whether no more than steps and successes is asked for.

    Raises:
        UsageError: a filter makes no sense.
    """
    where.conditions(db.dialect)  # refuses what makes no sense
    tenant = whose(where)
    is_counted = all(getattr(where, one.name) is None for one in fields(where) if one.name not in _COUNTED)
    known = state.read(db, connection) if is_counted and tenant is not None else None
    if known is None or tenant is None:
        conditions, since = rows.newest(connection, where, where.within(), MOST_ROWS)
        found, others = _largest(_of_rows(connection, conditions, by), limit)
        return Answer(found, others, Coverage("rows", since))
    waiting = [*deltas.waiting_of(connection, tenant)]
    window = Window(where, known).in_detail(connection, tenant)
    cube = _Cube(by, tenant, window)
    parts, coverage = rows.beside(connection, where, window, MOST_ROWS)
    found, others = _of_waiting(waiting, window, by), Sums()
    for conditions in parts:
        _add(found, _of_rows(connection, conditions, by))
    if only_counts or limit is not None:
        counts = cube.counts(connection)
        _add(counts, found)
        kept, others = _largest(counts, limit)
        if only_counts:
            return Answer(kept, others, coverage)
        found = {group: sums for group, sums in found.items() if group in kept}
        _add(found, cube.sums(connection, kept))
    else:
        _add(found, cube.sums(connection))
    return Answer({group: sums for group, sums in found.items() if sums.calls}, others, coverage)


class _Cube:
    """The rows of rollups that know the answer."""

    def __init__(self, by: Sequence[StepDimension], tenant: Scope, window: Window) -> None:
        self._name = next(name for name, known in _OF_KEYS.items() if known.keys() >= {*by})
        self._values = [_OF_KEYS[self._name][name] for name in by]
        is_all = isinstance(tenant, AllTenants)
        cube, of = (OF_ALL + self._name, "") if is_all else (self._name, str(tenant))
        self._conditions = [_ROLLUPS.cube == cube, _ROLLUPS.tenant_id == of]
        self._spans = window.conditions()

    def counts(self, connection: Connection) -> Groups:
        """How many steps and successes each group has."""
        found: Groups = {}
        sums = func.sum(_ROLLUPS.calls), func.sum(_ROLLUPS.answered)
        for *keys, steps, successes in self._read(connection, [*_KEYS, *sums], group_by=_KEYS):
            found.setdefault(self._group(keys), Sums()).add(Sums(int(steps), int(successes)))
        return found

    def sums(self, connection: Connection, groups: Collection[Group] | None = None) -> Groups:
        """What the steps come to; ``None``: those of all groups."""
        found: Groups = {}
        among = [] if groups is None else [self._is_one_of(groups)]
        for *keys, steps, successes, tokens, unpriced, costs, times in self._read(connection, _SUMS, among):
            sums = found.setdefault(self._group(keys), Sums())
            sums.calls += steps
            sums.answered += successes
            sums.tokens += tokens
            sums.unpriced_calls += unpriced
            sums.latency += sketch.decode(times)
            for currency, cost in table.read_json(costs).items():
                sums.costs[currency] = sums.costs.get(currency, 0) + cost
        return found

    def _read(
        self,
        connection: Connection,
        columns: Sequence[ColumnElement[Any]],
        among: Sequence[ColumnElement[bool]] = (),
        group_by: Sequence[ColumnElement[Any]] = (),
    ) -> Iterable[Any]:
        parts = [
            select(*columns).where(*self._conditions, span, *among).group_by(*group_by)
            for span in self._spans
        ]
        return connection.execute(union_all(*parts)) if parts else ()

    def _group(self, keys: Sequence[str]) -> Group:
        return tuple(value(keys) for value in self._values)

    def _is_one_of(self, groups: Collection[Group]) -> ColumnElement[bool]:
        """Of patterns and strategies."""
        keys = [(pattern[:KEY], pattern[KEY:], strategy) for pattern, strategy in groups]
        return tuple_(*_KEYS).in_(keys)


def _of_waiting(waiting: Iterable[deltas.OfTenant], window: Window, by: Sequence[StepDimension]) -> Groups:
    """What is yet to be counted."""
    found: dict[Group, list[tuple[CountedStep, int]]] = defaultdict(list)
    for _tenant, calls in waiting:
        for place in window.places(calls.at) if calls.steps else ():
            weight = calls.weight[place] if calls.weight else 1
            for step in calls.steps[place]:
                found[tuple(getattr(step, name) for name in by)].append((step, weight))
    return {group: Sums.of_steps(steps) for group, steps in found.items()}


def _of_rows(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], by: Sequence[StepDimension]
) -> Groups:
    dialect = connection.dialect.name
    return sums_of_steps(connection, conditions, {name: of_steps(name, dialect) for name in by})


def _add(found: Groups, more: Groups) -> None:
    for group, sums in more.items():
        found.setdefault(group, Sums()).add(sums)


def _largest(found: Groups, limit: int | None) -> tuple[Groups, Sums]:
    """The groups with most steps, and how many steps the others have."""
    ordered = sorted(found.items(), key=lambda item: (-item[1].calls, item[0]))
    kept = {group: sums for group, sums in ordered[:limit] if sums.calls}
    return kept, Sums(sum(sums.calls for _group, sums in ordered) - sum(sums.calls for sums in kept.values()))
