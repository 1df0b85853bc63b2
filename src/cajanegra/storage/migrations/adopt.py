"""Makes tables as they must be, whoever made them, and keeps every row: creates only what is missing."""

from __future__ import annotations

from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.sql import table as table_clause

from cajanegra.errors import SchemaError
from cajanegra.storage.migrations.rebuild import rebuild
from cajanegra.storage.verify import Finding, compare

REQUIRED = {
    "request_id": "'adopted-' || id",
    "task": "'unknown'",
    "prompt_length": "0",
    "provider_used": "'unknown'",
    "error_message_pattern": "''",
    "strategy_name": "'unknown'",
}
"""What stands in for the unknown in a column that must have a value (SQL expressions)."""


def adopt(connection: Connection, metadata: MetaData) -> list[str]:
    """Create what is missing of ``metadata``; returns what was done, in words.

    Raises:
        SchemaError: rows stand in the way, such as the same ``request_id`` twice.
    """
    done: list[str] = []
    findings = compare(connection, metadata)
    for table in metadata.tables.values():
        wrong = [
            finding for finding in findings if finding.table == table.name and finding.state != "present"
        ]
        if any(finding.kind == "table" for finding in wrong):
            table.create(connection)
            done.append(f"created {table.name}")
            continue
        _refuse_duplicates(connection, table, wrong)
        if connection.dialect.name == "sqlite":
            done += _mend_sqlite(connection, table, wrong)
        else:
            done += _mend_postgresql(connection, table, wrong)
    return done


def refuse_rows(connection: Connection, tables: list[str]) -> None:
    """Raise unless the tables are empty.

    Raises:
        SchemaError: names those with rows.
    """
    inspector = inspect(connection)
    full = [
        name
        for name in tables
        if inspector.has_table(name)
        and connection.scalar(select(text("1")).select_from(table_clause(name)).limit(1)) is not None
    ]
    if full:
        raise SchemaError(
            f"{', '.join(full)} would be dropped with the rows in it; use --drop-data if that is meant"
        )


def _mend_sqlite(connection: Connection, table: Table, wrong: list[Finding]) -> list[str]:
    if any(finding.kind != "index" for finding in wrong):
        rebuild(connection, table, REQUIRED)
        return [f"rebuilt {table.name}"]
    return _create_indexes(connection, table, wrong)


def _mend_postgresql(connection: Connection, table: Table, wrong: list[Finding]) -> list[str]:
    _refuse_foreign_ids(connection, table)
    operations = Operations(MigrationContext.configure(connection))
    done = []
    for finding in wrong:
        column = table.columns.get(finding.item)
        if finding.kind == "column" and column is not None:
            operations.add_column(table.name, Column(column.name, column.type))
            _set_default(operations, column)
            _require(connection, operations, column)
        elif finding.kind == "default" and finding.state == "missing" and column is not None:
            _set_default(operations, column)
        elif finding.kind == "nullable" and column is not None and not column.nullable:
            _require(connection, operations, column)
        elif finding.kind == "unique" and finding.state == "missing":
            connection.execute(text(f"ALTER TABLE {table.name} ADD {finding.expected}"))
        else:
            continue
        done.append(f"completed {table.name}: {finding.kind} {finding.item}")
    return done + _create_indexes(connection, table, wrong)


def _set_default(operations: Operations, column: Column[Any]) -> None:
    # Set after the column was added: rows that were there before keep NULL, which is what is known of them.
    default = column.server_default
    operations.alter_column(
        column.table.name, column.name, server_default=default if default is not None else False
    )


def _require(connection: Connection, operations: Operations, column: Column[Any]) -> None:
    """Forbid NULL in a column; rows that have it get what stands for the unknown."""
    if column.nullable:
        return
    table, name = column.table.name, column.name
    if name in REQUIRED:
        connection.execute(text(f"UPDATE {table} SET {name} = {REQUIRED[name]} WHERE {name} IS NULL"))  # noqa: S608 - our own names
    operations.alter_column(table, name, nullable=False)


def _create_indexes(connection: Connection, table: Table, wrong: list[Finding]) -> list[str]:
    missing = {finding.item for finding in wrong if finding.kind == "index" and finding.state == "missing"}
    indexes = sorted(
        (index for index in table.indexes if index.name in missing), key=lambda index: str(index.name)
    )
    for index in indexes:
        index.create(connection)
    return [f"created index {index.name}" for index in indexes]


def _refuse_foreign_ids(connection: Connection, table: Table) -> None:
    for column in inspect(connection).get_columns(table.name):
        if column["name"] == "id" and not isinstance(column["type"], Integer):
            raise SchemaError(
                f"{table.name}.id is {column['type']} and must be an integer; "
                "rename that table, then upgrade again"
            )


def _refuse_duplicates(connection: Connection, table: Table, wrong: list[Finding]) -> None:
    for finding in wrong:
        if finding.kind != "unique" or finding.item not in table.columns:
            continue
        column = table.columns[finding.item]
        if not has_column(connection, column):
            continue
        repeated = select(column).where(column.is_not(None)).group_by(column).having(func.count() > 1)
        count = connection.scalar(select(func.count()).select_from(repeated.subquery()))
        if count:
            raise SchemaError(
                f"{count} values of {table.name}.{column.name} are in more than one row and must be unique; "
                f"GROUP BY {column.name} HAVING count(*) > 1 finds them"
            )


def has_column(connection: Connection, column: Column[Any]) -> bool:
    """Whether the database has this column."""
    return any(found["name"] == column.name for found in inspect(connection).get_columns(column.table.name))
