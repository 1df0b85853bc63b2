"""A database by its URL: opened lazily, with every connection setting in one place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Column, Connection, Engine, Table, create_engine, event, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError, StatementError

from cajanegra.errors import SchemaError, SettingsError, StorageError

__all__ = [
    "Database",
    "Engine",
    "inserting",
    "reading",
    "server_version",
    "snapshot",
    "storage_error",
    "url_of",
    "writing",
]


class Database:
    """PostgreSQL or SQLite.

    Args:
        url: a SQLAlchemy URL: ``postgresql://user:password@host/name`` or ``sqlite:///path``.

    Raises:
        SettingsError: the URL is malformed or names another kind of database.
    """

    def __init__(self, url: str) -> None:
        self.url = _parse(url)
        self.dialect = self.url.get_backend_name()
        self._engine: Engine | None = None
        self._is_hosts = False
        self._tables: set[str] = set()

    @classmethod
    def of_engine(cls, engine: Engine) -> Self:
        """The database of an engine that the application has: its pool is used, and never closed.

        Raises:
            SettingsError: the engine is asynchronous, or its database of another kind.
        """
        if not isinstance(engine, Engine):
            raise SettingsError(
                f"{type(engine).__name__} is not an engine that create_engine returns; "
                "with an asynchronous one, give settings with the database's URL instead"
            )
        database = cls(url_of(engine))
        database._engine, database._is_hosts = engine, True
        return database

    @property
    def label(self) -> str:
        """The URL without its password, for people."""
        shown = self.url.set(drivername=self.dialect).difference_update_query(["password", "sslpassword"])
        return shown.render_as_string(hide_password=True)

    @property
    def engine(self) -> Engine:
        """The engine, made when first asked for; the directory of a SQLite file is made with it.

        Raises:
            StorageError: the directory cannot be made.
        """
        if self._engine is None:
            self._engine = _open_sqlite(self.url) if self.dialect == "sqlite" else _open_postgresql(self.url)
        return self._engine

    def import_driver(self) -> None:
        """Import the dialect and its driver now instead of with the first connection."""
        self.url.get_dialect().import_dbapi()

    def has_table(self, connection: Connection, name: str) -> bool:
        """Whether there is such a table; one that was seen once is not looked for again."""
        if name not in self._tables and inspect(connection).has_table(name):
            self._tables.add(name)
        return name in self._tables

    def has_column(self, connection: Connection, column: Column[Any]) -> bool:
        """Whether there is such a column of a table that is there, likewise."""
        name = f"{column.table.name}.{column.name}"
        if name not in self._tables:
            found = inspect(connection).get_columns(column.table.name)
            if any(one["name"] == column.name for one in found):
                self._tables.add(name)
        return name in self._tables

    @contextmanager
    def transaction(self, *, repeatable: bool = False) -> Iterator[Connection]:
        """One transaction that writes; on SQLite it has the write lock from the beginning.

        Args:
            repeatable: whether it sees the database as it is at one moment, which on SQLite it does anyway.

        Raises:
            SQLAlchemyError: what the database says; everything is rolled back.
        """
        if self.dialect != "sqlite":
            with self.engine.connect() as connection:
                if repeatable:
                    connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin():
                    yield connection
            return
        with self.engine.connect() as connection:
            # The driver would begin with a read: two such transactions can hold one another up for good.
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    def close(self) -> None:
        """Close every connection; those of an application's engine stay as they are."""
        if self._engine is not None and not self._is_hosts:
            self._engine.dispose()
            self._engine = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def url_of(engine: Engine) -> str:
    """The URL of an engine, password included."""
    return engine.url.render_as_string(hide_password=False)


@contextmanager
def reading(db: Database) -> Iterator[Connection]:
    """A connection to read with.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    try:
        with db.engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise storage_error(db, error) from None


@contextmanager
def snapshot(db: Database) -> Iterator[Connection]:
    """A connection that reads the database as it is at one moment, however many statements it takes.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    with reading(db) as connection:
        if db.dialect != "sqlite":
            yield connection.execution_options(isolation_level="REPEATABLE READ")
            return
        connection.exec_driver_sql("BEGIN")
        yield connection


@contextmanager
def writing(db: Database, *, repeatable: bool = False) -> Iterator[Connection]:
    """One transaction that writes; see ``Database.transaction``.

    Raises:
        StorageError: the database cannot be reached or refuses; everything is rolled back.
    """
    try:
        with db.transaction(repeatable=repeatable) as connection:
            yield connection
    except SQLAlchemyError as error:
        raise storage_error(db, error) from None


def server_version(db: Database) -> str:
    """What the database is, as it tells itself: ``PostgreSQL 17.5``, ``SQLite 3.46.1``.

    Raises:
        StorageError: the database cannot be reached.
    """
    name, query = _VERSIONS[db.dialect]
    with reading(db) as connection:
        told = str(connection.exec_driver_sql(query).scalar_one())
    return f"{name} {told.split(maxsplit=1)[0]}"  # packagers append their own


_VERSIONS = {
    "postgresql": ("PostgreSQL", "SELECT current_setting('server_version')"),
    "sqlite": ("SQLite", "SELECT sqlite_version()"),
}


def inserting(table: Table, dialect: str) -> Any:
    """An ``INSERT`` that can say what becomes of rows that are there already, which is each dialect's own."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


def storage_error(database: Database, error: Exception) -> StorageError:
    """What a database error means to a user, in one line without secrets and without the rows concerned."""
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    state = getattr(cause, "sqlstate", None)
    reason = _reason(cause)
    if state in _MISSING or reason.startswith(("no such table", "no such column")):
        return SchemaError(f"{database.label}: {reason}; 'cajanegra db upgrade' creates what is missing")
    if state == _NOT_ALLOWED:
        return StorageError(
            f"{database.label} refused: {reason}; 'cajanegra doctor' shows the GRANT that helps"
        )
    gone = state is None or state.startswith(("08", "57P"))  # connection lost, server shutting down
    if isinstance(error, OperationalError) and database.dialect == "postgresql" and gone:
        return StorageError(f"{database.label} cannot be reached: {reason}")
    return StorageError(f"{database.label} refused: {reason}")


_MISSING = frozenset({"42P01", "42703"})
"""PostgreSQL's codes for a table and a column that are not there."""
_NOT_ALLOWED = "42501"


def _reason(cause: BaseException) -> str:
    """The database's own words; PostgreSQL's further lines may quote the row, so they stay out."""
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)
    return " ".join(str(primary or cause).split())


def _parse(text: str) -> URL:
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise SettingsError(
            "the database URL is malformed; write postgresql://user:password@host/name or sqlite:///path"
        ) from None
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url
    raise SettingsError(f"{backend!r} databases are not supported; use postgresql:// or sqlite://")


def _open_postgresql(url: URL) -> Engine:
    # No prepared statements and no session state: connections may go through a transaction pooler.
    return create_engine(
        url,
        pool_size=5,
        max_overflow=5,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": 10,
            "prepare_threshold": None,
            # A server that vanishes without a word is noticed within a minute, and not within hours.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60_000,
        },
    )


def _open_sqlite(url: URL) -> Engine:
    path = url.database
    if path and path != ":memory:" and not path.startswith("file:"):
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StorageError(f"the directory of {path} cannot be made: {error.strerror}") from None
    engine = create_engine(
        url, hide_parameters=True, json_deserializer=_decoded, connect_args={"timeout": 10}
    )

    @event.listens_for(engine, "do_connect")
    def create(_dialect: Any, _record: Any, _arguments: Any, _options: Any) -> None:
        # Readable by its owner alone; the files beside it are made like it.
        if path and path != ":memory:" and not path.startswith("file:"):
            with suppress(OSError):  # it is there, or the driver says what is wrong
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # WAL lets readers go on while the writer writes; with it NORMAL survives the death of the process.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _decoded(text: str) -> Any:
    """JSON, or the text itself: SQLite takes anything that people write into such a column."""
    try:
        return json.loads(text)
    except ValueError:
        return text
