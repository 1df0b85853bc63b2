"""Rebuilds a SQLite table in place: SQLite cannot add AUTOINCREMENT or a constraint to one that exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Row, Table, inspect
from sqlalchemy.schema import CreateTable

from cajanegra.errors import SchemaError


def rebuild(connection: Connection, table: Table, stand_ins: Mapping[str, str]) -> None:
    """Give a table the columns and constraints of ``table``.

    Rows, ids, columns of others, indexes and triggers are kept; rows without an id get one. A NULL that the
    new table does not allow becomes its stand-in (an SQL expression by column name).

    Raises:
        SchemaError: not every row could be copied.
    """
    name, new = table.name, f"{table.name}_rebuilt"
    there = {column["name"] for column in inspect(connection).get_columns(name)}
    attached = _attached(connection, name)
    sequence = _sequence(connection, name)
    target = table.to_metadata(MetaData(), name=new)
    connection.execute(CreateTable(target))
    foreign = _add_foreign_columns(connection, table, new)
    columns = {column.name: _expression(column, there, stand_ins) for column in table.columns}
    columns |= {quoted: quoted for quoted in foreign}
    order = (
        "id IS NULL, rowid" if "id" in there else "rowid"
    )  # ids that are made up must follow those that exist
    copied = connection.exec_driver_sql(
        f"INSERT INTO {new} ({', '.join(columns)}) "  # noqa: S608 - names from the models and the catalogue
        f"SELECT {', '.join(columns.values())} FROM {name} ORDER BY {order}"
    ).rowcount
    count = connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()  # noqa: S608 - as above
    if copied != count:
        raise SchemaError(f"{name} could not be rebuilt: {copied} of its {count} rows could be copied")
    _replace(connection, name, new)
    _raise_sequence(connection, name, sequence)
    for index in table.indexes:
        index.create(connection)
    wanted = {index.name for index in table.indexes}
    for item in attached:
        if item.name not in wanted:
            connection.exec_driver_sql(item.sql)


def _expression(column: Column[Any], there: set[str], stand_ins: Mapping[str, str]) -> str:
    """What a row of the old table gives a column: what is unknown is NULL, not the default."""
    name = column.name
    if column.nullable or name not in stand_ins:
        return name if name in there else "NULL"
    return f"coalesce({name}, {stand_ins[name]})" if name in there else stand_ins[name]


def _add_foreign_columns(connection: Connection, table: Table, new: str) -> list[str]:
    """Add the columns that are not ours, all of them optional; returns their quoted names."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    added = []
    for column in connection.exec_driver_sql(f"PRAGMA table_info({table.name})"):
        if column.name in table.columns:
            continue
        name = quote(column.name)
        default = f" DEFAULT {column.dflt_value}" if column.dflt_value is not None else ""
        connection.exec_driver_sql(f"ALTER TABLE {new} ADD COLUMN {name} {column.type}{default}")
        added.append(name)
    return added


def _attached(connection: Connection, name: str) -> Sequence[Row[Any]]:
    """Indexes and triggers of a table, with the SQL that made them; they go when the table is dropped."""
    kept = "type IN ('index', 'trigger') AND sql IS NOT NULL"
    query = f"SELECT name, sql FROM sqlite_master WHERE tbl_name = ? AND {kept}"  # noqa: S608 - a constant
    return connection.exec_driver_sql(query, (name,)).all()


def _replace(connection: Connection, name: str, new: str) -> None:
    connection.exec_driver_sql(f"DROP TABLE {name}")
    # In its modern form RENAME refuses while a view names the table that was just dropped.
    connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
    connection.exec_driver_sql(f"ALTER TABLE {new} RENAME TO {name}")
    connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")


def _sequence(connection: Connection, name: str) -> int:
    """The highest id that AUTOINCREMENT ever gave in this table; 0 where it does not have it."""
    if not inspect(connection).has_table("sqlite_sequence"):
        return 0
    row = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (name,)).first()
    return int(row[0]) if row else 0


def _raise_sequence(connection: Connection, name: str, sequence: int) -> None:
    if sequence > _sequence(connection, name):
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, sequence))
