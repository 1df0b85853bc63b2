"""A database by its URL: opened lazily, with every connection setting in one place."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from cajanegra.errors import SettingsError, StorageError


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
        return self.url.render_as_string(hide_password=True)

    @property
    def engine(self) -> Engine:
        """The engine, made when first asked for; the directory of a SQLite file is made with it.

        Raises:
            StorageError: the directory cannot be made.
        """
        if self._engine is None:
            self._engine = _open_sqlite(self.url) if self.dialect == "sqlite" else _open_postgresql(self.url)
        return self._engine

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
    """What a database error means to a user, in one line without secrets."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = " ".join(str(cause).split())
    what = "cannot be reached" if isinstance(error, OperationalError) else "refused"
    return StorageError(f"{database.label} {what}: {reason}")


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
        connect_args={"connect_timeout": 10, "prepare_threshold": None},
    )


def _open_sqlite(url: URL) -> Engine:
    path = url.database
    if path and path != ":memory:" and not path.startswith("file:"):
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StorageError(f"the directory of {path} cannot be made: {error.strerror}") from None
    engine = create_engine(url, connect_args={"timeout": 10})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # WAL lets readers go on while the writer writes; with it NORMAL survives the death of the process.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
