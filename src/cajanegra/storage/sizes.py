"""How much room the product's tables take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Table, func, inspect, select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from cajanegra.errors import SchemaError
from cajanegra.storage.database import Database, storage_error
from cajanegra.storage.tables import Base

_COUNT_UP_TO_BYTES = 256 * 1024 * 1024
"""Counting the rows of a larger table takes seconds; PostgreSQL's own estimate has to do."""


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
    try:
        with db.engine.connect() as connection:
            present = set(inspect(connection).get_table_names())
            tables = [table for table in Base.metadata.tables.values() if table.name in present]
            if not tables:
                raise SchemaError(
                    f"{db.label} has no tables of cajanegra; 'cajanegra db upgrade' creates them"
                )
            measure = _of_postgresql if db.dialect == "postgresql" else _of_sqlite
            found = [measure(connection, table) for table in tables]
    except SQLAlchemyError as error:
        raise storage_error(db, error) from None
    return sorted(found, key=lambda size: -size.total_bytes)


def _of_postgresql(connection: Connection, table: Table) -> TableSize:
    query = text(
        "SELECT pg_table_size(oid) AS table_bytes, pg_indexes_size(oid) AS index_bytes,"
        " pg_total_relation_size(oid) AS total_bytes, reltuples FROM pg_class WHERE oid = to_regclass(:name)"
    )
    row = connection.execute(query, {"name": table.name}).one()
    exact = row.table_bytes <= _COUNT_UP_TO_BYTES or row.reltuples < 0
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
