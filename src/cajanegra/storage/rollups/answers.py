"""Answers what calls come to: from the rollups as far as they know, and from the rows for the rest.

From the rows come the parts of an hour at both ends of a time, times before calls were counted, and
everything of which no cube knows. All of it is read as it was at one moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from cajanegra.storage.database import Database
from cajanegra.storage.rollups import deltas, rows, state
from cajanegra.storage.rollups.cubes import GRAINS
from cajanegra.storage.rollups.plan import Plan, cube_for
from cajanegra.storage.rollups.questions import Answer, Coverage, Question
from cajanegra.storage.rollups.windows import Window, whose
from cajanegra.storage.sums import Sums

MOST_ROWS = 100_000
"""Calls whose rows are looked at for one answer: the newest."""


def answer(db: Database, connection: Connection, asked: Question) -> Answer:
    """What calls come to.

    Args:
        db: the database.
        connection: one that reads it at one moment (``database.snapshot``).
        asked: which calls.

    Raises:
        UsageError: a filter makes no sense.
    """
    (found,) = answer_all(db, connection, [asked])
    return found


def answer_all(
    db: Database, connection: Connection, asked: Sequence[Question], *, most: int | None = None
) -> list[Answer]:
    """What calls come to by several things; rows that have to be looked at are looked at once.

    Args:
        db: the database.
        connection: one that reads it at one moment (``database.snapshot``).
        asked: all about the same calls, measured alike, in the same buckets.
        most: calls whose rows are looked at; default is ``MOST_ROWS``.

    Raises:
        UsageError: a filter makes no sense.
    """
    where = asked[0].where
    where.conditions(db.dialect)  # refuses what makes no sense
    most = most or MOST_ROWS
    found = _from_rollups(db, connection, asked, most)
    if others := [one for one in asked if one not in found]:
        conditions, since = rows.newest(connection, where, where.within(), most)
        groups = rows.answers(connection, others, conditions)
        coverage = Coverage("rows", since)
        found |= {one: Answer(of, coverage=coverage) for one, of in zip(others, groups, strict=True)}
    for told in found.values():
        told.groups = {group: sums for group, sums in told.groups.items() if sums.calls}
    return [found[one] for one in asked]


def largest(db: Database, connection: Connection, asked: Question, most: int) -> list[str]:
    """The values of the dimension asked by that most calls have, at most so many.

    Raises:
        UsageError: a filter makes no sense.
    """
    found = answer(db, connection, replace(asked, bucket=None, measure="calls")).groups
    ordered = sorted(found.items(), key=lambda item: (-item[1].calls, item[0]))
    return [value for (value,), _sums in ordered[:most]]


def _from_rollups(
    db: Database, connection: Connection, asked: Sequence[Question], most: int
) -> dict[Question, Answer]:
    """What the rollups know, with the rows that they do not tell of."""
    where, tenant = asked[0].where, whose(asked[0].where)
    cubes = {one: cube for one in asked if (cube := cube_for(one)) is not None}
    known = state.read(db, connection) if cubes else None
    if known is None or tenant is None:
        return {}
    waiting = [*deltas.waiting_of(connection, tenant)]
    bucket = asked[0].bucket
    grains = [name for name, length in GRAINS.items() if not bucket or length.total_seconds() <= bucket]
    window = Window(where, known, grains)
    if asked[0].measure == "usage":
        window = window.in_detail(connection, tenant)
    found: dict[Question, Answer] = {}
    for one, cube in cubes.items():
        plan, told = Plan(one, cube, window, tenant), Answer()
        if plan.add_rollups(connection, told):
            plan.add_waiting(waiting, told)
            found[one] = told
    if not found:
        return found
    parts, coverage = rows.beside(connection, where, window, most)
    for conditions in parts:
        for told, groups in zip(found.values(), rows.answers(connection, [*found], conditions), strict=True):
            for group, sums in groups.items():
                told.groups.setdefault(group, Sums()).add(sums)
    for told in found.values():
        told.coverage = coverage
    return found
