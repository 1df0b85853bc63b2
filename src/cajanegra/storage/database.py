"""A database by its URL: opened lazily, with every connection setting in one place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, StatementError

from cajanegra.errors import SchemaError, SettingsError, StorageError


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

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction that writes; on SQLite it has the write lock from the beginning.

        Raises:
            SQLAlchemyError: what the database says; everything is rolled back.
        """
        if self.dialect != "sqlite":
            with self.engine.begin() as connection:
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
        """Close every connection."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": 10})

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
