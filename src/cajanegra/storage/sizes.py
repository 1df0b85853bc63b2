"""How much room the product's tables take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, Table, func, inspect, select, text
from sqlalchemy.exc import OperationalError

from cajanegra.domain.principal import Scope
from cajanegra.errors import SchemaError
from cajanegra.storage.database import Database, reading
from cajanegra.storage.filters import of_scope
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.tables import CONTENTS, ERROR_RECOVERY, REQUEST_LOGS, Base

COUNT_UP_TO_BYTES = 256 * 1024 * 1024
"""Counting the rows of a larger table takes seconds; PostgreSQL's own estimate has to do."""
GROWTH_OVER = timedelta(days=7)
"""How far is looked back to see how fast tables grow: a week has its busy and its quiet days."""
_LEAST_LOOK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TableSize:
    """Rows and bytes of one table.

    Attributes:
        table: its name.
        rows: how many rows it has.
        table_bytes: the rows, texts stored apart included.
        index_bytes: all of its indexes.
        total_bytes: both.
        exact_rows: whether the rows were counted, or are the server's estimate.
        measured: where the bytes come from: ``server``, ``dbstat`` (pages of SQLite), or ``content`` (the
            length of what is stored, where this SQLite was built without dbstat).
    """

    table: str
    rows: int
    table_bytes: int
    index_bytes: int
    total_bytes: int
    exact_rows: bool = True
    measured: Literal["server", "dbstat", "content"] = "server"


def sizes(db: Database) -> list[TableSize]:
    """The size of each of the product's tables, the largest first.

    Raises:
        SchemaError: the database has none of them.
        StorageError: the database cannot be reached.
    """
    with reading(db) as connection:
        present = set(inspect(connection).get_table_names())
        tables = [table for table in Base.metadata.tables.values() if table.name in present]
        if not tables:
            raise SchemaError(f"{db.label} has no tables of cajanegra; 'cajanegra db upgrade' creates them")
        measure = _of_postgresql if db.dialect == "postgresql" else _of_sqlite
        found = [measure(connection, table) for table in tables]
    return sorted(found, key=lambda size: -size.total_bytes)


def _of_postgresql(connection: Connection, table: Table) -> TableSize:
    # A partitioned table has nothing itself; of one that is not, the tree is the table.
    query = text(
        "SELECT sum(pg_table_size(oid))::bigint AS table_bytes,"
        " sum(pg_indexes_size(oid))::bigint AS index_bytes,"
        " sum(pg_total_relation_size(oid))::bigint AS total_bytes,"
        " CASE WHEN min(reltuples) < 0 THEN -1 ELSE sum(reltuples) END AS reltuples FROM pg_class"
        " WHERE relkind = 'r' AND oid IN"
        " (SELECT to_regclass(:name) UNION SELECT relid FROM pg_partition_tree(to_regclass(:name)))"
    )
    row = connection.execute(query, {"name": table.name}).one()
    if row.table_bytes is None:  # partitioned, and without partitions
        return TableSize(table.name, 0, 0, 0, 0)
    exact = row.table_bytes <= COUNT_UP_TO_BYTES or row.reltuples < 0
    rows = _count(connection, table) if exact else int(row.reltuples)
    return TableSize(table.name, rows, row.table_bytes, row.index_bytes, row.total_bytes, exact_rows=exact)


def _of_sqlite(connection: Connection, table: Table) -> TableSize:
    rows = _count(connection, table)
    try:
        own, indexes = _pages(connection, table)
    except OperationalError:
        own, indexes = _content(connection, table)
        return TableSize(table.name, rows, own, indexes, own + indexes, measured="content")
    return TableSize(table.name, rows, own, indexes, own + indexes, measured="dbstat")


def _pages(connection: Connection, table: Table) -> tuple[int, int]:
    query = text(
        "SELECT coalesce(sum(pgsize) FILTER (WHERE type = 'table'), 0),"
        " coalesce(sum(pgsize) FILTER (WHERE type = 'index'), 0)"
        " FROM sqlite_master JOIN dbstat USING (name) WHERE tbl_name = :name AND aggregate = TRUE"
    )
    row = connection.execute(query, {"name": table.name}).one()
    return row[0], row[1]


def _content(connection: Connection, table: Table) -> tuple[int, int]:
    def length(names: list[str]) -> int:
        lengths = " + ".join(f"coalesce(length(CAST({name} AS BLOB)), 0)" for name in names)
        query = f"SELECT coalesce(sum({lengths}), 0) FROM {table.name}"  # noqa: S608 - names of the models
        return int(connection.exec_driver_sql(query).scalar_one())

    indexes = [[column.name for column in index.columns] for index in table.indexes]
    return length([column.name for column in table.columns]), sum(map(length, indexes))


def _count(connection: Connection, table: Table) -> int:
    return connection.scalars(select(func.count()).select_from(table)).one()


@dataclass(frozen=True, slots=True)
class Growth:
    """How fast the tables of calls grow.

    Attributes:
        hours: how long was looked back: seven days, or to the oldest call.
        calls: how many were begun in that time.
        calls_per_day: the same per day.
        bytes_per_day: what these add to the tables of calls, steps and contents, indexes included, if they
            are as large as the others there.
    """

    hours: float
    calls: int
    calls_per_day: float
    bytes_per_day: float


def growth(db: Database, found: Sequence[TableSize], now: datetime) -> Growth | None:
    """How fast the tables grow that hold calls; ``None`` without calls in the last seven days.

    Args:
        db: the database.
        found: the sizes of its tables.
        now: the time that it is, aware.

    Raises:
        StorageError: the database cannot be read.
    """
    begun = REQUEST_LOGS.c.created_at
    until = fit_time(now)
    assert until is not None  # noqa: S101 - only what is no time has none
    since = until - GROWTH_OVER
    with reading(db) as connection:
        calls, oldest = connection.execute(
            select(func.count(), func.min(begun)).where(begun >= since, begun <= until)
        ).one()
        older = connection.scalar(select(func.min(begun)))
    by_name = {size.table: size for size in found}
    rows = by_name[REQUEST_LOGS.name].rows if REQUEST_LOGS.name in by_name else 0
    if not calls or not rows:
        return None
    looked = GROWTH_OVER if older < since else max(until - oldest, _LEAST_LOOK)
    days = looked / timedelta(days=1)
    tables = (REQUEST_LOGS.name, ERROR_RECOVERY.name, CONTENTS.name)
    taken = sum(by_name[name].total_bytes for name in tables if name in by_name)
    per_day = calls / days
    return Growth(looked / timedelta(hours=1), calls, per_day, per_day * taken / rows)


def own_rows(db: Database, scope: Scope) -> dict[str, int]:
    """How many rows of each table belong to the calls of a scope.

    Raises:
        StorageError: the database cannot be read.
    """
    calls = select(REQUEST_LOGS.c.id).where(*of_scope(scope))
    found = {}
    with reading(db) as connection:
        for table in (REQUEST_LOGS, ERROR_RECOVERY, CONTENTS):
            column = table.c.id if table is REQUEST_LOGS else table.c.request_log_id
            query = select(func.count()).select_from(table).where(column.in_(calls))
            found[table.name] = connection.execute(query).scalar_one()
    return found
