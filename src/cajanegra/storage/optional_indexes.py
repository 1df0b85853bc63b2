"""Indexes of ``ai_request_logs`` that the guide does not have, for filters that no index of its own serves.

They cost some of the writer's rate and room on the disk, and so are added by whoever needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, text
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.errors import UsageError
from cajanegra.storage import partitions
from cajanegra.storage.database import Database, reading, storage_error
from cajanegra.storage.tables import OPTIONAL_INDEX, REQUEST_LOGS


@dataclass(frozen=True, slots=True)
class OptionalIndex:
    """An index that may be added.

    Attributes:
        name: how it is asked for; in the database ``cajanegra_logs_`` stands before it.
        filters: what calls are found by with it.
        columns: of the index, as SQL.
        method: of PostgreSQL; ``btree`` is on SQLite, too.
        extension: of PostgreSQL that it needs.
    """

    name: str
    filters: frozenset[str]
    columns: str
    method: str = "btree"
    extension: str | None = None

    @property
    def full_name(self) -> str:
        """In the database."""
        return OPTIONAL_INDEX + self.name


INDEXES: Sequence[OptionalIndex] = (
    OptionalIndex("status", frozenset({"status"}), "tenant_id, status, created_at"),
    OptionalIndex("user", frozenset({"user_id"}), "user_id, created_at"),
    OptionalIndex("provider", frozenset({"provider"}), "provider_used, created_at"),
    OptionalIndex("module", frozenset({"module"}), "module, created_at"),
    OptionalIndex("task", frozenset({"module", "task"}), "module, task, created_at"),
    OptionalIndex("error", frozenset({"error_code"}), "error_code, created_at"),
    OptionalIndex("pattern", frozenset({"pattern"}), "(response_metadata -> 'patterns')", "gin"),
    OptionalIndex(
        "text",
        frozenset({"q"}),
        "lower(error_message) gin_trgm_ops, lower(CAST(request_metadata AS VARCHAR)) gin_trgm_ops,"
        " lower(CAST(response_metadata AS VARCHAR)) gin_trgm_ops",
        "gin",
        "pg_trgm",
    ),
)


def add(
    db: Database, names: Sequence[str], on_progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """Add indexes while programs go on writing; those that were there already are left out of the answer.

    Args:
        db: the database.
        names: of ``INDEXES``; none: all that this kind of database can have.
        on_progress: told how many are done, and of how many.

    Raises:
        UsageError: there is no such index, or not in this kind of database.
        StorageError: the database cannot be reached or refuses.
    """
    wanted = _wanted(db, names)
    with reading(db) as connection:
        there = set(_present(connection))
    done = []
    for number, index in enumerate(wanted):
        if index.full_name not in there:
            _create(db, index)
            done.append(index.full_name)
        if on_progress is not None:
            on_progress(number + 1, len(wanted))
    return done


def served(
    connection: Connection, among: Mapping[str, ColumnElement[bool]]
) -> dict[str, ColumnElement[bool]]:
    """Those of some conditions, by filter, that calls are found by with one index that was added."""
    fitting = [index for index in INDEXES if index.filters <= {*among}] if among else []
    present = {*_present(connection)} if fitting else set()
    best = max((index.filters for index in fitting if index.full_name in present), key=len, default=())
    return {name: among[name] for name in best}


def _wanted(db: Database, names: Sequence[str]) -> list[OptionalIndex]:
    known = {index.name: index for index in INDEXES if db.dialect == "postgresql" or index.method == "btree"}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no index {name!r} for this database; choose of {', '.join(known)}")
    return [known[name] for name in names or known]


def _create(db: Database, index: OptionalIndex) -> None:
    on_postgresql = db.dialect == "postgresql"
    how, by = ("CONCURRENTLY ", f"USING {index.method} ") if on_postgresql else ("", "")
    columns = f"{by}({index.columns})"
    with reading(db) as connection:
        parts = [one.name for one in partitions.partitions(connection)]
    # Of a partitioned table each partition gets its own beforehand; then the table's takes no time.
    names = {f"{index.full_name}_{part[-8:]}": part for part in parts} or {index.full_name: REQUEST_LOGS.name}
    try:
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if index.extension is not None:
                connection.execute(text(f"CREATE EXTENSION IF NOT EXISTS {index.extension}"))
            for name, table in names.items():
                if on_postgresql:  # one that was broken off is there, and never used
                    invalid = (
                        "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid"
                    )
                    if connection.execute(text(invalid), {"name": name}).scalar():
                        connection.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
                connection.execute(text(f"CREATE INDEX {how}IF NOT EXISTS {name} ON {table} {columns}"))
    except SQLAlchemyError as error:
        raise storage_error(db, error) from None
    if parts:
        whole = text(f"CREATE INDEX IF NOT EXISTS {index.full_name} ON {REQUEST_LOGS.name} {columns}")
        partitions.briefly(db, lambda connection: connection.execute(whole))


def _present(connection: Connection) -> Iterator[str]:
    """The names of the indexes that can be used."""
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indrelid = to_regclass(:name) AND indisvalid"
        )
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = :name"
    yield from connection.execute(text(query), {"name": REQUEST_LOGS.name}).scalars()
