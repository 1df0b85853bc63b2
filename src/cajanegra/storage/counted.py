"""What of calls is counted, in columns: a built-in function adds a column up in the time of few additions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Self, TypeVar

import msgspec
from msgspec.structs import astuple

from cajanegra.storage.fitting_columns import Values

K = TypeVar("K", bound=Hashable)


class CountedStep(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What of a recovery step is counted; texts are empty where nobody noted them.

    Attributes:
        kind: the failure kind that made it necessary.
        pattern: the error pattern of that.
        strategy: ``retry``, ``fallback`` or ``simplify``.
        provider: who was asked.
        successful: whether it got an answer.
        ms: wait and attempt together.
        tokens: of the answer.
        cost: in billionths of a US dollar; ``None`` where it is not known.
    """

    kind: str
    pattern: str
    strategy: str
    provider: str
    successful: bool
    ms: int | None
    tokens: int
    cost: int | None


class CountedCalls(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Calls as their rows have them, the same call at the same place of each column.

    From ``tokens`` on a column is empty where every call has nothing in it (see ``NOTHING``).

    Attributes:
        at: when each began, UTC, as both databases read it.
        provider: who answered, or was asked last; as all texts empty where there is none.
        model: which model.
        model_requested: the model that was asked for.
        module: the part of the application.
        task: what for.
        status: how it ended.
        error_code: the failure kind that it ended with.
        user: who asked.
        tokens: of the answer.
        ms: from begin to finish; ``None`` where it is not known.
        first_token: milliseconds until the first token; ``None`` where it is not known.
        cost: in billionths of the currency; ``None`` where it is not known.
        currency: of the cost.
        unpriced: whether it was answered and its cost is not known.
        recovered: whether it was answered after a recovery step.
        input: tokens of the prompt, cached ones included.
        output: tokens of the answer, reasoning included.
        cached: tokens of the prompt that the provider had cached.
        reasoning: tokens that the model thought with.
        steps: its recovery steps.
        weight: 1, or -1 where it was counted before and is not what it was.
    """

    at: Sequence[str] = ()
    provider: Sequence[str] = ()
    model: Sequence[str] = ()
    model_requested: Sequence[str] = ()
    module: Sequence[str] = ()
    task: Sequence[str] = ()
    status: Sequence[str] = ()
    error_code: Sequence[str] = ()
    user: Sequence[str] = ()
    tokens: Sequence[int] = ()
    ms: Sequence[int | None] = ()
    first_token: Sequence[float | None] = ()
    cost: Sequence[int | None] = ()
    currency: Sequence[str] = ()
    unpriced: Sequence[bool] = ()
    recovered: Sequence[bool] = ()
    input: Sequence[int] = ()
    output: Sequence[int] = ()
    cached: Sequence[int] = ()
    reasoning: Sequence[int] = ()
    steps: Sequence[Sequence[CountedStep]] = ()
    weight: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(cls, texts: Iterable[Values], measures: Iterable[Values]) -> Self:
        """Calls of columns: those before ``tokens``, and the others, where all may have nothing."""
        return cls(*texts, *map(_if_any, measures, NOTHING))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The calls of all parts."""
        if len(parts) == 1:
            return parts[0]
        sizes = [*map(len, parts)]
        columns = zip(*map(astuple, parts), strict=True)
        return cls(*map(_join, columns, repeat(sizes), _FILLS))

    def pick(self, places: Sequence[int]) -> Self:
        """The calls at these places, which are in order."""
        if len(places) == len(self):
            return self
        return type(self)(*([*map(values.__getitem__, places)] if values else () for values in astuple(self)))


NOTHING: Sequence[Any] = (0, None, None, None, "", False, False, 0, 0, 0, 0, (), 1)
"""Of a call that has nothing in the columns from ``tokens`` on."""
_FILLS: Sequence[Any] = (*[""] * (len(CountedCalls.__struct_fields__) - len(NOTHING)), *NOTHING)


def places_of(keys: Sequence[K]) -> Mapping[K, Sequence[int]]:
    """Where each key is."""
    if keys and keys.count(keys[0]) == len(keys):
        return {keys[0]: range(len(keys))}
    found: dict[K, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        found[key].append(place)
    return found


def _if_any(values: Values, nothing: Any) -> Values:
    return () if values.count(nothing) == len(values) else values


def _join(parts: Sequence[Values], sizes: Sequence[int], nothing: Any) -> Values:
    if not any(parts):
        return ()
    return [*chain.from_iterable(part or [nothing] * size for part, size in zip(parts, sizes, strict=True))]
