"""What is asked of calls together, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cajanegra.storage.filters import CallFilter
from cajanegra.storage.rollups.cubes import Dimension
from cajanegra.storage.sums import Sums

Source = Literal["rollups", "rows", "both"]
Measure = Literal["figures", "usage", "calls"]
"""What is asked for: everything but types of tokens; everything but percentiles; the numbers of calls and
tokens alone."""
Group = tuple[Any, ...]
FILTERS: Mapping[str, Dimension] = {
    "provider": "provider",
    "model": "model",
    "module": "module",
    "task": "task",
    "status": "status",
    "error_code": "error_code",
    "user_id": "user",
}
"""Attributes of a ``CallFilter`` that ask for a value of a dimension, but for the tenant's."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an answer is made of.

    Attributes:
        source: ``rollups``, ``rows`` of single calls, or ``both``.
        counted_since: calls begun before this (UTC without a zone) are left out, since there are too many to
            look at each; ``None``: all that are meant are counted.
        whole_hours: whether the first or last hour is counted whole, since its calls have been deleted.
    """

    source: Source
    counted_since: datetime | None = None
    whole_hours: bool = False


def together(parts: Iterable[Coverage]) -> Coverage:
    """What several answers are made of that are shown as one."""
    found = [*parts]
    sources = {part.source for part in found}
    return Coverage(
        found[0].source if len(sources) == 1 else "both",
        max((part.counted_since for part in found if part.counted_since), default=None),
        any(part.whole_hours for part in found),
    )


@dataclass(slots=True)
class Answer:
    """What calls come to, by group; the group is empty where nothing is asked by.

    Attributes:
        groups: a value for each dimension, and for the bucket before them where there are buckets.
        rest: what the calls of users come to who are counted together.
        coverage: what it is made of.
    """

    groups: dict[Group, Sums] = field(default_factory=dict)
    rest: Sums = field(default_factory=Sums)
    coverage: Coverage = field(default_factory=lambda: Coverage("rollups"))


@dataclass(frozen=True, slots=True)
class Question:
    """Which calls, and by what they are grouped.

    Attributes:
        where: which calls.
        by: the dimensions.
        bucket: by time, too: the length of a bucket in seconds.
        values: of the first dimension, those that matter; ``None``: all.
        measure: what is asked for.
    """

    where: CallFilter
    by: tuple[Dimension, ...] = ()
    bucket: int | None = None
    values: tuple[str, ...] | None = None
    measure: Measure = "figures"
