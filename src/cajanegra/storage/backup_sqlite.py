"""SQLite's side of backups: its online backup, and a restore in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from cajanegra.errors import StorageError
from cajanegra.storage.database import Database, storage_error

_PAGES_PER_STEP = 1024  # 4 MiB: writers get their turn between steps


def dump(db: Database, path: Path, on_progress: Callable[[int, int], None]) -> None:
    """Copy the whole file to ``path``, page by page."""

    def progress(_status: int, remaining: int, total: int) -> None:
        on_progress(total - remaining, total)

    try:
        with db.engine.connect() as connection, closing(sqlite3.connect(path)) as target:
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)  # noqa: S101 - tells the type checker
            source.backup(target, pages=_PAGES_PER_STEP, progress=progress, sleep=0)
            target.execute("PRAGMA journal_mode = DELETE")  # a backup is one file
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise storage_error(db, error) from None


def load(db: Database, tables: Sequence[str], path: Path, on_progress: Callable[[int, int], None]) -> None:
    """Replace the rows of ``tables`` by those of the file at ``path``."""
    try:
        with db.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("ATTACH DATABASE ? AS backup", (str(path),))
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                for done, table in enumerate(tables, start=1):
                    _replace_rows(connection, table)
                    on_progress(done, len(tables))
                connection.commit()
            finally:
                connection.rollback()
                connection.exec_driver_sql("DETACH DATABASE backup")
    except DatabaseError as error:
        raise StorageError(f"{path} could not be restored: {error.orig}") from None
    except SQLAlchemyError as error:
        raise storage_error(db, error) from None


def _replace_rows(connection: Connection, table: str) -> None:
    connection.exec_driver_sql(f"DELETE FROM main.{table}")  # noqa: S608 - a name of the models
    shared = _columns(connection, "main", table) & _columns(connection, "backup", table)
    if shared:
        columns = ", ".join(sorted(shared))
        rows = f"SELECT {columns} FROM backup.{table}"  # noqa: S608 - names of the models
        connection.exec_driver_sql(f"INSERT INTO main.{table} ({columns}) {rows}")


def _columns(connection: Connection, schema: str, table: str) -> set[str]:
    return {f'"{row.name}"' for row in connection.exec_driver_sql(f"PRAGMA {schema}.table_info({table})")}
