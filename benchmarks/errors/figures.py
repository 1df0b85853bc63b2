"""The figures by which classification and grouping are judged, from labelled messages."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.errors.readers import Read

Row = Mapping[str, Any]


def figures(rows: Sequence[Row], found: Sequence[Read]) -> dict[str, float]:
    """Shares from 0 to 1; a figure that a reader does not tell is left out.

    ``kind`` and ``recover``: right, or another answer that is listed as right. ``same template`` and ``same
    cause``: pairs of messages of one template or root cause that share a pattern. ``contradictions``: pairs
    within a pattern whose kinds cannot both be right.
    """
    told: dict[str, float] = {}
    if found[0].kind is not None:
        told["kind"] = _share(
            is_right(row, read.kind, "label") for row, read in zip(rows, found, strict=True)
        )
    if found[0].recover is not None:
        told["recover"] = _share(
            is_right(row, read.recover, "recover") for row, read in zip(rows, found, strict=True)
        )
    if found[0].pattern is not None:
        patterns = [read.pattern for read in found]
        for name, key in (("same template", "template"), ("same cause", "group")):
            pairs = _pairs(row[key] for row in rows)
            told[name] = _share(patterns[one] == patterns[other] for one, other in pairs)
        labels = [{row["label"], *row.get("alt_labels", ())} for row in rows]
        told["contradictions"] = _share(not labels[one] & labels[other] for one, other in _pairs(patterns))
    return told


def is_right(row: Row, answer: str | None, name: str) -> bool:
    """Whether an answer is the labelled one, or another that is listed as right."""
    return answer == row[name] or answer in row.get("alt_labels" if name == "label" else "alt_recover", ())


def _pairs(keys: Iterable[Hashable]) -> Iterator[tuple[int, int]]:
    members: dict[Hashable, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        members[key].append(number)
    for numbers in members.values():
        yield from itertools.combinations(numbers, 2)


def _share(answers: Iterable[bool]) -> float:
    listed = list(answers)
    return sum(listed) / len(listed) if listed else 0.0
