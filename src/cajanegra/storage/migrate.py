"""Brings a database to a revision of the schema: every process may try, one does it, in one transaction."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, inspect, text

from cajanegra.errors import SchemaError
from cajanegra.storage.database import Database, reading, writing
from cajanegra.storage.tables import VERSION_TABLE, Base

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_TIMEOUT = "10s"
"""How long an upgrade waits for a table that somebody else uses."""

_LOCK = 0x63616A616E65  # "cajane": the advisory lock that migrations of this product share
_alembic = threading.Lock()
"""Alembic keeps the migration that runs in globals: two databases at once would get parts of each other's."""
_TABLES = [name for name in Base.metadata.tables if name != VERSION_TABLE]

UpgradeState = Literal["created", "adopted", "upgraded", "completed", "current"]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade did.

    Attributes:
        state: ``created`` (nothing was there), ``adopted`` (tables without a revision were there),
            ``upgraded`` (from an earlier revision), ``completed`` (something of this revision was missing),
            or ``current`` (nothing was to do).
        from_revision: the revision before.
        to_revision: the revision now.
        changes: what was done, in words.
    """

    state: UpgradeState
    from_revision: str | None
    to_revision: str
    changes: tuple[str, ...] = ()


def upgrade(db: Database, revision: str = "head") -> Upgrade:
    """Bring the schema to a revision, creating only what is missing and losing no row.

    Raises:
        SchemaError: rows stand in the way, or the revision is unknown.
        StorageError: the database cannot be reached or refused.
    """
    with locked(db) as connection:
        before = revision_of(connection)
        tables = set(inspect(connection).get_table_names())
        with _alembic:
            changes = _run(connection, "upgrade", revision)
        after = revision_of(connection) or ""
        state: UpgradeState
        if before is None:
            state = "adopted" if tables.intersection(_TABLES) else "created"
        elif before != after:
            state = "upgraded"
        else:
            changes = _complete(connection) if revision == "head" else []
            state = "completed" if changes else "current"
    return Upgrade(state, before, after, tuple(changes))


def downgrade(db: Database, revision: str, *, drop_data: bool = False) -> str | None:
    """Take the schema back to a revision (``base``, ``-1`` or a name) and return it.

    Raises:
        SchemaError: rows would be lost and ``drop_data`` is not set, or the revision is unknown.
        StorageError: the database cannot be reached or refused.
    """
    with locked(db) as connection:
        with _alembic:
            _run(connection, "downgrade", revision, drop_data=drop_data)
        return revision_of(connection)


def current(db: Database) -> str | None:
    """The revision that the database has, or ``None`` where it was never migrated.

    Raises:
        StorageError: the database cannot be reached.
    """
    with reading(db) as connection:
        return revision_of(connection)


def head() -> str:
    """The newest revision that this version of cajanegra knows."""
    return revisions()[-1]


def revisions() -> list[str]:
    """Every revision that this version of cajanegra knows, oldest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def ensure_sqlite(db: Database) -> None:
    """Create the tables of a SQLite file that has none of them; any other database is left as it is.

    Raises:
        StorageError: the file cannot be opened or written.
    """
    if db.dialect != "sqlite":
        return
    with reading(db) as connection:
        present = set(inspect(connection).get_table_names()).intersection(_TABLES)
    if not present:
        upgrade(db)


@contextmanager
def locked(db: Database) -> Iterator[Connection]:
    """One transaction that no other migration runs beside."""
    with writing(db) as connection:
        if db.dialect == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = '10min'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            # Writers queue behind a lock that we wait for: better to fail soon than to hold them up.
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        yield connection


def revision_of(connection: Connection) -> str | None:
    """The revision that the database has, or ``None`` where it was never migrated."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant


def _run(
    connection: Connection,
    direction: Literal["upgrade", "downgrade"],
    revision: str,
    *,
    drop_data: bool = False,
) -> list[str]:
    # Imported here since ensure_sqlite runs at each start and hardly ever needs it.
    from alembic import command
    from alembic.util import CommandError

    config = _config()
    known = revisions()
    found = revision_of(connection)
    if found is not None and found not in known:
        raise SchemaError(f"the database is at revision {found} of a newer version; upgrade cajanegra")
    changes: list[str] = []
    config.attributes |= {"connection": connection, "changes": changes, "drop_data": drop_data}
    try:
        getattr(command, direction)(config, revision)
    except CommandError as error:
        raise SchemaError(f"{error} (the revisions of this version: base, {', '.join(known)})") from None
    return changes


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _complete(connection: Connection) -> list[str]:
    """Create what somebody dropped since the migration."""
    from cajanegra.storage.migrations.adopt import adopt

    return adopt(connection, Base.metadata)


def _start_afresh() -> None:
    """In a forked child: whoever held the lock is the parent's thread."""
    global _alembic  # noqa: PLW0603 - a lock that a thread of the parent holds is never released here
    _alembic = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
