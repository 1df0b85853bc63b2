"""Adds to counters in bulk: one statement for many rows, whether they are there already or not."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, Table

from cajanegra.storage.fitting import INT32_MAX

_MAX_ROWS = 100
"""Rows of one statement."""


@dataclass(frozen=True)
class Counter:
    """A table that counts, and what becomes of the columns of a row that is there already.

    Attributes:
        table: the table.
        columns: the columns that are written, in the order of the values that are added.
        keys: those that name a row.
        sums: those that are added up; what a 32-bit column cannot hold stays at the greatest that it can.
        earliest: those of which the lesser stays.
        latest: those of which the greater stays.
        replaced: those that get the new value. All others stay as they are.
        returning: columns of the rows, as they are then, that ``add`` gives back.
    """

    table: Table
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    earliest: tuple[str, ...] = ()
    latest: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    returning: tuple[str, ...] = ()

    def add(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Add rows, each with a key of its own, in their order: all writers must have the same.

        Raises:
            SQLAlchemyError: what the database says.
        """
        found: list[Any] = []
        for start in range(0, len(rows), _MAX_ROWS):
            some = rows[start : start + _MAX_ROWS]
            statement = _statement(self, len(some), connection.dialect.name)
            result = connection.exec_driver_sql(statement, tuple(itertools.chain.from_iterable(some)))
            if self.returning:
                found += result.all()
        return found


@functools.lru_cache(maxsize=512)
def _statement(counter: Counter, rows: int, dialect: str) -> str:
    name = counter.table.name
    mark, least, greatest = ("%s", "least", "greatest") if dialect == "postgresql" else ("?", "min", "max")
    row = f"({', '.join([mark] * len(counter.columns))})"
    sets = [f"{column} = {_sum(least, counter.table, column)}" for column in counter.sums]
    sets += [_chosen(least, name, column) for column in counter.earliest]
    sets += [_chosen(greatest, name, column) for column in counter.latest]
    sets += [f"{column} = excluded.{column}" for column in counter.replaced]
    statement = (
        f"INSERT INTO {name} ({', '.join(counter.columns)}) VALUES {', '.join([row] * rows)} "  # noqa: S608 - our own names
        f"ON CONFLICT ({', '.join(counter.keys)}) DO UPDATE SET {', '.join(sets)}"
    )
    return f"{statement} RETURNING {', '.join(counter.returning)}" if counter.returning else statement


def _sum(least: str, table: Table, column: str) -> str:
    before = f"coalesce({table.name}.{column}, 0)"
    if isinstance(table.c[column].type, BigInteger):
        return f"{before} + excluded.{column}"
    return f"{least}({INT32_MAX}, cast({before} AS bigint) + excluded.{column})"


def _chosen(function: str, table: str, column: str) -> str:
    here, new = f"{table}.{column}", f"excluded.{column}"
    # SQLite's function returns NULL where one of both is.
    return f"{column} = {function}(coalesce({here}, {new}), coalesce({new}, {here}))"
