"""Compares the tables of a database with what they must be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, Connection, DefaultClause, MetaData, Table, UniqueConstraint, inspect, text
from sqlalchemy.engine.interfaces import ReflectedColumn, ReflectedIndex
from sqlalchemy.types import TypeEngine

from cajanegra.storage import partitions, secure_state
from cajanegra.storage.database import Database, reading
from cajanegra.storage.growing_ids import is_widened
from cajanegra.storage.tables import REQUEST_LOGS, Base

Kind = Literal["table", "column", "type", "default", "nullable", "index", "unique", "security"]
State = Literal["present", "missing", "different"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the schema must have, and what the database has.

    Attributes:
        table: the table it belongs to.
        item: the table's, column's or index's name, or the columns that are unique together.
        kind: what is compared.
        state: whether it is there and as it must be.
        expected: how it must be.
        found: how it is; empty where it is missing.
    """

    table: str
    item: str
    kind: Kind
    state: State
    expected: str
    found: str


def verify(db: Database) -> list[Finding]:
    """Compare every table, column, type, default, unique constraint and index.

    Where ``db secure`` was used, row-level security too. Of partitioned storage, the table that all
    partitions are like, which PostgreSQL sees to.

    Raises:
        StorageError: the database cannot be reached.
    """
    with reading(db) as connection:
        return [*compare(connection, Base.metadata), *_security(connection)]


def compare(connection: Connection, metadata: MetaData) -> list[Finding]:
    """Compare the tables of ``metadata`` with those that the connection sees."""
    return compare_tables(connection, metadata.tables.values())


def compare_tables(connection: Connection, tables: Iterable[Table]) -> list[Finding]:
    """Compare some tables with those that the connection sees."""
    there = _There(connection)
    return [finding for table in tables for finding in _compare_table(there, table)]


def _security(connection: Connection) -> Iterator[Finding]:
    if connection.dialect.name != "postgresql":
        return
    security = secure_state.read(connection)
    if not security.is_on:
        return
    wrong = list(secure_state.incomplete(security))
    for table, what, found in wrong:
        state: State = "different" if found else "missing"
        yield Finding(table, what, "security", state, "as 'cajanegra db secure' sets it", found)
    for table in sorted(security.secured.difference(table for table, _what, _found in wrong)):
        yield Finding(table, "row-level security", "security", "present", "on", "on")


class _There:
    """What the database has."""

    def __init__(self, connection: Connection) -> None:
        self.inspector = inspect(connection)
        self.dialect = connection.dialect
        self.sqlite = self.dialect.name == "sqlite"
        self.partitioned = {REQUEST_LOGS.name} if partitions.is_partitioned(connection) else set[str]()
        if self.sqlite:
            counting = (
                "SELECT name FROM sqlite_master WHERE type = 'table' AND upper(sql) LIKE '%AUTOINCREMENT%'"
            )
            self.counting = set(connection.scalars(text(counting)))
            self.invalid: set[str] = set()
        else:
            # A failed CREATE INDEX CONCURRENTLY leaves an index behind that is there and never used.
            invalid = (
                "SELECT relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE NOT indisvalid"
            )
            self.invalid = set(connection.scalars(text(invalid)))

    def type(self, kind: TypeEngine[Any]) -> str:
        shown = kind.compile(dialect=self.dialect)
        return "DOUBLE PRECISION" if shown == "FLOAT" and not self.sqlite else shown

    def key(self, table: Table, names: list[str]) -> list[str]:
        """The columns that must be unique together: across partitions, the time is always one of them."""
        return [*names, "created_at"] if table.name in self.partitioned else names

    def counts_up(self, table: str, column: ReflectedColumn) -> bool:
        if self.sqlite:
            return table in self.counting
        return "identity" in column or "nextval" in (column["default"] or "")


def _compare_table(there: _There, table: Table) -> Iterator[Finding]:
    if not there.inspector.has_table(table.name):
        yield Finding(table.name, table.name, "table", "missing", "table", "")
        return
    yield Finding(table.name, table.name, "table", "present", "table", "table")
    found = {column["name"]: column for column in there.inspector.get_columns(table.name)}
    for column in table.columns:
        if column.name in found:
            yield from _compare_column(there, column, found[column.name])
        else:
            yield Finding(table.name, column.name, "column", "missing", there.type(column.type), "")
    yield from _foreign_columns(table, found)
    yield from _compare_unique(there, table)
    yield from _compare_indexes(there, table)


def _compare_column(there: _There, column: Column[Any], found: ReflectedColumn) -> Iterator[Finding]:
    table = column.table.name

    def finding(kind: Kind, expected: str, actual: str) -> Finding:
        state: State = "present" if expected == actual else "different" if actual else "missing"
        return Finding(table, column.name, kind, state, expected, actual)

    yield finding("column", "column", "column")
    kind = found["type"] if is_widened(column.type, found["type"]) else column.type
    yield finding("type", there.type(kind), there.type(found["type"]))
    if not (there.sqlite and column.primary_key):  # SQLite keeps NULL out of an INTEGER PRIMARY KEY anyway
        nullable = column.nullable and column.name not in there.key(column.table, [])
        yield finding("nullable", _nullable(nullable), _nullable(found["nullable"]))
    if column is column.table.autoincrement_column:
        expected = "AUTOINCREMENT" if there.sqlite else "sequence"
        yield finding("default", expected, expected if there.counts_up(table, found) else "")
    elif default := default_text(column):
        yield finding("default", default, _bare_default(found["default"]))


def _foreign_columns(table: Table, found: dict[str, ReflectedColumn]) -> Iterator[Finding]:
    """Columns that somebody else added and that refuse rows that do not name them."""
    for name, column in found.items():
        given = (
            column["nullable"]
            or column["default"] is not None
            or "computed" in column
            or "identity" in column
        )
        if name not in table.columns and not given:
            yield Finding(table.name, name, "nullable", "different", "NULL, or a default", "NOT NULL")


def _compare_unique(there: _There, table: Table) -> Iterator[Finding]:
    inspector = there.inspector
    primary = list(inspector.get_pk_constraint(table.name)["constrained_columns"])
    expected = there.key(table, [column.name for column in table.primary_key.columns])
    state: State = "present" if primary == expected else "different" if primary else "missing"
    found = f"PRIMARY KEY ({', '.join(primary)})" if primary else ""
    yield Finding(
        table.name, ", ".join(expected), "unique", state, f"PRIMARY KEY ({', '.join(expected)})", found
    )
    present: list[set[str | None]] = [
        set(unique["column_names"]) for unique in inspector.get_unique_constraints(table.name)
    ]
    present += [
        set(index["column_names"])
        for index in inspector.get_indexes(table.name)
        if index["unique"] and not _is_partial(index) and index["name"] not in there.invalid
    ]
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            names = there.key(table, [str(column.name) for column in constraint.columns])
            shown = f"UNIQUE ({', '.join(names)})"
            state = "present" if set(names) in present else "missing"
            yield Finding(
                table.name, ", ".join(names), "unique", state, shown, shown if state == "present" else ""
            )


def _compare_indexes(there: _There, table: Table) -> Iterator[Finding]:
    found = {index["name"]: index for index in there.inspector.get_indexes(table.name)}
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        name = str(index.name)
        names = [column.name for column in index.columns]
        # The key begins with the same column, and one index is enough.
        is_key = len(names) == 1 and table.c[names[0]].unique
        expected = ", ".join(there.key(table, names) if is_key else names)
        if name not in found:
            yield Finding(table.name, name, "index", "missing", expected, "")
            continue
        actual = ", ".join(column or "(expression)" for column in found[name]["column_names"])
        actual += " (invalid)" if name in there.invalid else " (partial)" if _is_partial(found[name]) else ""
        state: State = "present" if actual == expected else "different"
        yield Finding(table.name, name, "index", state, expected, actual)


def default_text(column: Column[Any]) -> str:
    """The server default that the model gives a column, bare; empty where it has none."""
    default = column.server_default
    return _bare_default(str(default.arg)) if isinstance(default, DefaultClause) else ""


def _is_partial(index: ReflectedIndex) -> bool:
    return any(name.endswith("_where") for name in index.get("dialect_options", {}))


def _nullable(value: bool | None) -> str:
    return "NULL" if value else "NOT NULL"


def _bare_default(shown: str | None) -> str:
    """A default without the casts, quotes and synonyms in which a database may show it."""
    bare = re.sub(r"::[a-z ]+(\(\d+\))?", "", shown or "").strip("()")
    return "CURRENT_TIMESTAMP" if bare.lower() == "now" else bare.strip("'")
