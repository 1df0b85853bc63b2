"""By what calls are counted: the cubes of ``cajanegra_rollups``, and which of them knows an answer.

One cube over everything that calls have in common would have nearly as many rows as there are calls; several
small ones answer what is asked in practice.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cajanegra.storage.sums import CountedCall, CountedStep, Sums

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


@dataclass(frozen=True, slots=True)
class Cube:
    """What calls are counted by.

    Attributes:
        name: in the table.
        dimensions: what it can be asked for.
        keys: the keys of a call.
        value: of a row's keys, the value of each dimension.
    """

    name: str
    dimensions: Sequence[Dimension]
    keys: Callable[[CountedCall], tuple[str, str, str]]
    value: Mapping[Dimension, Callable[[Sequence[str]], str]]


def _first(keys: Sequence[str]) -> str:
    return keys[0]


def _second(keys: Sequence[str]) -> str:
    return keys[1]


CUBES: Mapping[str, Cube] = {
    cube.name: cube
    for cube in (
        Cube("total", (), lambda _call: ("", "", ""), {}),
        Cube(
            "model",
            ("provider", "model"),
            lambda call: (call.provider, call.model, call.model_requested),
            {"provider": _first, "model": lambda keys: keys[1] or keys[2]},
        ),
        Cube(
            "task",
            ("module", "task"),
            lambda call: (call.module, call.task, ""),
            {"module": _first, "task": _second},
        ),
        Cube(
            "error",
            ("status", "error_code"),
            lambda call: (call.status, call.error_code, ""),
            {"status": _first, "error_code": _second},
        ),
        Cube("user", ("user",), lambda call: (call.user, "", ""), {"user": _first}),
    )
}
STEP_CUBES: Mapping[str, Callable[[CountedStep], tuple[str, str, str]]] = {
    "step": lambda step: (step.kind, step.strategy, step.provider),
    "remedy": lambda step: (step.pattern[:KEY], step.pattern[KEY:], step.strategy),
}
"""What recovery steps are counted by, in the hours in which their calls began; the name of a pattern takes
two keys, since it may have twice the characters of one."""
TENANTS = Cube("tenant", ("tenant",), lambda _call: ("", "", ""), {"tenant": _first})
"""Over all tenants: each with what its calls come to."""


@dataclass(frozen=True, slots=True)
class Key:
    """Which row of the table; ``start`` is text that sorts as the times do."""

    cube: str
    tenant_id: str
    grain: Grain
    start: str
    keys: tuple[str, str, str]

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
    calls: Iterable[tuple[str, CountedCall]], give_way: Callable[[], object] = lambda: None
) -> dict[Key, Sums]:
    """What calls, each with its tenant, add to the rows of their hours; gives way after a row."""
    groups: dict[tuple[str, str], list[CountedCall]] = defaultdict(list)
    for tenant, call in calls:
        groups[tenant, call.at[:_HOUR]].append(call)
    found: dict[Key, Sums] = {}
    for (tenant, hour), some in groups.items():
        start = hour_text(hour)
        for cube in CUBES.values():
            if cube.dimensions:
                rows: dict[tuple[str, str, str], list[CountedCall]] = defaultdict(list)
                for call in some:
                    rows[cube.keys(call)].append(call)
                for keys, of_row in rows.items():
                    found[Key(cube.name, tenant, "1h", start, keys)] = Sums.of(of_row)
                    give_way()
        steps = [(step, call) for call in some for step in call.steps]
        for name, keys_of in STEP_CUBES.items() if steps else ():
            of_steps: dict[tuple[str, str, str], list[tuple[CountedStep, CountedCall]]] = defaultdict(list)
            for step in steps:
                of_steps[keys_of(step[0])].append(step)
            for keys, of_key in of_steps.items():
                found[Key(name, tenant, "1h", start, keys)] = Sums.of_steps(of_key)
                give_way()
    return with_totals(found)


def with_totals(found: dict[Key, Sums]) -> dict[Key, Sums]:
    """Rows of tenants, with those of their totals and of all tenants."""
    totals: dict[Key, Sums] = defaultdict(Sums)
    for key, sums in found.items():
        totals[Key(OF_ALL + key.cube, "", key.grain, key.start, key.keys)].add(sums)
        if key.cube == "error":  # any cube but the total has every call once
            nothing = ("", "", "")
            totals[Key("total", key.tenant_id, key.grain, key.start, nothing)].add(sums)
            totals[Key(f"{OF_ALL}total", "", key.grain, key.start, nothing)].add(sums)
            totals[Key(TENANTS.name, "", key.grain, key.start, (key.tenant_id, "", ""))].add(sums)
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
