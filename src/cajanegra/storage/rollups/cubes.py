"""By what calls are counted: the cubes of ``cajanegra_rollups``, and which of them knows an answer.

One cube over everything that calls have in common would have nearly as many rows as there are calls; several
small ones answer what is asked in practice.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from cajanegra.storage.counted import CountedCalls, CountedStep, places_of
from cajanegra.storage.sums import Sums

Dimension = Literal["tenant", "provider", "model", "module", "task", "status", "error_code", "user"]
Grain = Literal["1h", "6h", "1d"]

GRAINS: Mapping[Grain, timedelta] = {
    "1d": timedelta(days=1),
    "6h": timedelta(hours=6),
    "1h": timedelta(hours=1),
}
"""How much time a row is about, longest first; each begins at a multiple of itself since the Unix epoch."""
COARSE: Sequence[Grain] = ("6h", "1d")
MAX_USERS = 1_000
"""Users of one tenant and hour that are counted one by one: the busiest."""
REST = "*"
"""The second key of the row that counts all other users."""
KEY = 50
"""Characters of a key."""
OF_ALL = "all_"
"""What the names of cubes over all tenants begin with."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as the tables have it: UTC without a zone
_HOUR = len("2026-11-24 12")
_NO_KEYS = ("", "", "")


Keys = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Cube:
    """What calls are counted by.

    Attributes:
        name: in the table.
        dimensions: what it can be asked for.
        keys: the keys of each of the calls; ``None`` where the rows are made of another cube's.
        value: of a row's keys, the value of each dimension.
    """

    name: str
    dimensions: Sequence[Dimension]
    keys: Callable[[CountedCalls], Sequence[Keys]] | None
    value: Mapping[Dimension, Callable[[Sequence[str]], str]]


def _first(keys: Sequence[str]) -> str:
    return keys[0]


def _second(keys: Sequence[str]) -> str:
    return keys[1]


def _keys(*columns: Sequence[str]) -> Sequence[Keys]:
    """Keys of columns, of which there may be less than three."""
    return [*zip(*columns, *itertools.repeat(itertools.repeat(""), 3 - len(columns)))]  # noqa: B905 - some are endless


CUBES: Mapping[str, Cube] = {
    cube.name: cube
    for cube in (
        Cube("total", (), None, {}),
        Cube(
            "model",
            ("provider", "model"),
            lambda calls: _keys(calls.provider, calls.model, calls.model_requested),
            {"provider": _first, "model": lambda keys: keys[1] or keys[2]},
        ),
        Cube(
            "task",
            ("module", "task"),
            lambda calls: _keys(calls.module, calls.task),
            {"module": _first, "task": _second},
        ),
        Cube(
            "error",
            ("status", "error_code"),
            lambda calls: _keys(calls.status, calls.error_code),
            {"status": _first, "error_code": _second},
        ),
        Cube("user", ("user",), lambda calls: _keys(calls.user), {"user": _first}),
    )
}
STEP_CUBES: Mapping[str, Callable[[CountedStep], Keys]] = {
    "step": lambda step: (step.kind, step.strategy, step.provider),
    "remedy": lambda step: (step.pattern[:KEY], step.pattern[KEY:], step.strategy),
}
"""What recovery steps are counted by, in the hours in which their calls began; the name of a pattern takes
two keys, since it may have twice the characters of one."""
TENANTS = Cube("tenant", ("tenant",), None, {"tenant": _first})
"""Over all tenants: each with what its calls come to."""


@dataclass(frozen=True, slots=True)
class Key:
    """Which row of the table; ``start`` is text that sorts as the times do."""

    cube: str
    tenant_id: str
    grain: Grain
    start: str
    keys: Keys

    def row(self) -> tuple[str, ...]:
        """The primary key."""
        return (self.cube, self.tenant_id, self.grain, self.start, *self.keys)

    def __hash__(self) -> int:
        return hash((self.start, self.tenant_id, self.keys, self.cube))


def cube_of(dimensions: Iterable[Dimension], *, of_all: bool) -> Cube | None:
    """The smallest cube that knows these dimensions; ``None`` where none does.

    Args:
        dimensions: what is asked for and by.
        of_all: whether all tenants are meant; in the cube of tenants alone they are told apart.
    """
    asked = set(dimensions)
    if of_all and asked == {"tenant"}:
        return TENANTS
    return next((cube for cube in CUBES.values() if asked <= {*cube.dimensions}), None)


def hour_text(at: str) -> str:
    """The hour of a time, as a start."""
    return f"{at[:_HOUR]}:00:00.000000"


def floor(time: datetime, grain: Grain) -> datetime:
    """The begin of the grain in which a time (UTC without a zone) is."""
    return time - (time - _EPOCH) % GRAINS[grain]


def ceil(time: datetime, grain: Grain) -> datetime:
    """The first begin of a grain that is not before a time."""
    begin = floor(time, grain)
    return begin if begin == time else begin + GRAINS[grain]


def tally(
    calls: Iterable[tuple[str, CountedCalls]], give_way: Callable[[], object] = lambda: None
) -> dict[Key, Sums]:
    """What calls of tenants add to the rows of their hours, but for totals; gives way after a row."""
    found: dict[Key, Sums] = {}
    for tenant, some in calls:
        for hour, places in _hours_of(some).items():
            for key, sums in _rows_of(tenant, hour_text(hour), some.pick(places)):
                gather(found, [(key, sums)])
                give_way()
    return found


def _hours_of(calls: CountedCalls) -> Mapping[str, Sequence[int]]:
    if not calls:
        return {}
    first, last = min(calls.at)[:_HOUR], max(calls.at)[:_HOUR]
    return {first: range(len(calls))} if first == last else places_of([at[:_HOUR] for at in calls.at])


def _rows_of(tenant: str, start: str, calls: CountedCalls) -> Iterator[tuple[Key, Sums]]:
    """What calls of a tenant and an hour add to its rows."""
    whole: Sums | None = None
    for cube in CUBES.values():
        if cube.keys is not None:
            rows = places_of(cube.keys(calls))
            for keys, places in rows.items():
                if len(rows) > 1:
                    sums = Sums.of(calls, places)
                else:
                    whole = whole or Sums.of(calls)
                    sums = replace(whole, statuses={**whole.statuses}, costs={**whole.costs})
                yield Key(cube.name, tenant, "1h", start, keys), sums
    if not calls.steps:
        return
    weights = calls.weight or itertools.repeat(1)
    steps = [(step, weight) for some, weight in zip(calls.steps, weights) for step in some]  # noqa: B905 - one is endless
    for name, keys_of in STEP_CUBES.items():
        for keys, places in places_of([keys_of(step) for step, _weight in steps]).items():
            yield Key(name, tenant, "1h", start, keys), Sums.of_steps([steps[place] for place in places])


def with_totals(found: dict[Key, Sums], give_way: Callable[[], object] = lambda: None) -> dict[Key, Sums]:
    """Rows of tenants, with those of their totals and of all tenants; gives way after a row."""
    totals: dict[Key, Sums] = defaultdict(Sums)
    for key, sums in found.items():
        totals[Key(OF_ALL + key.cube, "", key.grain, key.start, key.keys)].add(sums)
        if key.cube == "error":  # any cube but the total has every call once
            totals[Key("total", key.tenant_id, key.grain, key.start, _NO_KEYS)].add(sums)
            totals[Key(f"{OF_ALL}total", "", key.grain, key.start, _NO_KEYS)].add(sums)
            totals[Key(TENANTS.name, "", key.grain, key.start, (key.tenant_id, "", ""))].add(sums)
        give_way()
    return found | totals


def gather(into: dict[Key, Sums], rows: Iterable[tuple[Key, Sums]]) -> None:
    """Add rows, which are nobody else's, to others."""
    for key, sums in rows:
        known = into.get(key)
        if known is None:
            into[key] = sums
        else:
            known.add(sums)


def coarser(key: Key, grain: Grain) -> Key:
    """The row of a longer grain in which a row is counted, too."""
    return Key(key.cube, key.tenant_id, grain, _coarser_start(key.start, grain), key.keys)


@functools.lru_cache(maxsize=10_000)
def _coarser_start(start: str, grain: Grain) -> str:
    return text_of(floor(datetime.fromisoformat(start), grain))


def text_of(time: datetime) -> str:
    """A time (UTC without a zone) as both databases read it."""
    return time.isoformat(" ", "microseconds")
