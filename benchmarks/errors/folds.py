"""How much of the result rests on rules for messages that were seen."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest.mock import patch

from benchmarks.errors.figures import is_right
from cajanegra.analysis import reading
from cajanegra.analysis.phrases import Rule, RuleBook, compiled, contains, words
from cajanegra.analysis.rules import RULES, VAGUE

Row = Mapping[str, Any]
NOTHING = ("no message says this",)


def support(rows: Sequence[Row]) -> dict[tuple[str, str], set[str]]:
    """For each phrase, by cause and words, the root causes in whose messages it stands."""
    texts = [(row["group"], reading.Reading(row["message"]).said, words(row["message"])) for row in rows]
    found: dict[tuple[str, str], set[str]] = {}
    for rule in (*RULES, *VAGUE):
        for phrase in rule.says:
            looked_for = compiled(phrase)
            found[rule.cause, phrase] = {
                group
                for group, said, everything in texts
                if contains(said, looked_for) or contains(everything, looked_for)
            }
    return found


def without_own_phrases(rows: Sequence[Row]) -> float:
    """The share of kinds that are right when each root cause is judged without the phrases that only it has.

    Phrases that were written for a cause that no other shares are all taken away, also those that the
    provider documents: the figure is a floor, not what is to be expected.
    """
    held_by = support(rows)
    by_group = defaultdict(list)
    for row in rows:
        by_group[row["group"]].append(row)
    right = [answer for group, members in by_group.items() for answer in _judged(group, members, held_by)]
    return sum(right) / len(right)


def _judged(
    group: str, members: Sequence[Row], held_by: Mapping[tuple[str, str], set[str]]
) -> Iterator[bool]:
    book = RuleBook(_without(RULES, group, held_by))
    vague_book = RuleBook(_without(VAGUE, group, held_by))
    with patch.object(reading, "book", lambda: book), patch.object(reading, "vague_book", lambda: vague_book):
        for row in members:
            name = (row["exception_type"] or "").rpartition(".")[2]
            found = reading.judge(
                reading.Reading(row["message"]), row["http_status"], (), [name] if name else []
            )
            yield is_right(row, found.kind, "label")


def _without(
    rules: Sequence[Rule], group: str, held_by: Mapping[tuple[str, str], set[str]]
) -> Iterator[Rule]:
    for rule in rules:
        kept = tuple(phrase for phrase in rule.says if held_by[rule.cause, phrase] != {group})
        yield dataclasses.replace(rule, says=kept or NOTHING)
