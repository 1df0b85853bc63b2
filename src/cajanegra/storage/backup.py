"""Backs up the product's tables, and restores them: all of it or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import inspect, literal, select, table

from cajanegra.errors import SchemaError, StorageError, UsageError
from cajanegra.storage import backup_postgresql, backup_sqlite, migrate
from cajanegra.storage.database import Database, reading
from cajanegra.storage.tables import VERSION_TABLE, Base

Progress = Callable[[int, int], None]
"""Told how much is done and how much there is: pages of SQLite, else tables."""

_BEGINNINGS = {"postgresql": b"PGDMP", "sqlite": b"SQLite format 3\0"}


def backup(db: Database, path: Path, *, force: bool = False, on_progress: Progress | None = None) -> None:
    """Write a backup while the database is in use.

    Of PostgreSQL it is pg_dump's custom format with the product's tables only; of SQLite a copy of the file.

    Raises:
        UsageError: the file exists and ``force`` is not set.
        SchemaError: there is nothing to back up.
        StorageError: the database cannot be reached, pg_dump is missing or failed, or the file cannot be
            written.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists; --force overwrites it")
    tables = _tables(db)
    if not tables:
        raise SchemaError(f"{db.label} has no tables of cajanegra to back up")
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.touch(mode=0o600)
        if db.dialect == "postgresql":
            backup_postgresql.dump(db, tables, partial, on_progress or _ignore)
        else:
            backup_sqlite.dump(db, partial, on_progress or _ignore)
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {os.strerror(error.errno or 0)}") from None
    finally:
        partial.unlink(missing_ok=True)


def restore(db: Database, path: Path, *, force: bool = False, on_progress: Progress | None = None) -> None:
    """Put the rows of a backup into the product's tables, which are created where they are missing.

    Args:
        db: where to.
        path: what ``backup`` wrote, of the same kind of database.
        force: replace the rows that are there.
        on_progress: told how many tables are done.

    Raises:
        UsageError: the tables have rows and ``force`` is not set, or the file is no such backup.
        StorageError: the database cannot be reached or refused; nothing was changed then.
    """
    _require_backup(path, db.dialect)
    migrate.upgrade(db)
    tables = [name for name in Base.metadata.tables if name != VERSION_TABLE]
    if not force and (full := _with_rows(db, tables)):
        raise UsageError(
            f"{', '.join(full)} would be overwritten; --force replaces the rows by those of the backup"
        )
    if db.dialect == "postgresql":
        backup_postgresql.load(db, tables, path, on_progress or _ignore)
    else:
        backup_sqlite.load(db, tables, path, on_progress or _ignore)


def _ignore(_done: int, _total: int) -> None:
    """Nobody asked for progress."""


def _tables(db: Database) -> list[str]:
    if db.dialect == "sqlite" and not Path(db.url.database or "").exists():
        raise StorageError(f"{db.url.database} does not exist")
    with reading(db) as connection:
        present = set(inspect(connection).get_table_names())
    return [name for name in Base.metadata.tables if name in present]


def _with_rows(db: Database, tables: list[str]) -> list[str]:
    with reading(db) as connection:
        some = [select(literal(1)).select_from(table(name)).limit(1) for name in tables]
        return [name for name, query in zip(tables, some, strict=True) if connection.scalar(query)]


def _require_backup(path: Path, dialect: str) -> None:
    beginning = _BEGINNINGS[dialect]
    try:
        with path.open("rb") as file:
            found = file.read(len(beginning))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None
    if found != beginning:
        raise UsageError(f"{path} is no backup of a {dialect} database made by 'cajanegra db backup'")
