"""What may be wrong with a database, and what mends it: the database's part of ``cajanegra doctor``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from cajanegra.storage.check import Check
from cajanegra.storage.database import Database, storage_error
from cajanegra.storage.health_postgresql import postgresql_checks
from cajanegra.storage.health_schema import UPGRADE, schema_checks
from cajanegra.storage.health_sqlite import sqlite_checks
from cajanegra.storage.tables import Base
from cajanegra.storage.verify import compare

__all__ = ["Check", "checks"]

_REACH = (
    "see that the server runs and that the host, port, user, password and name in the database URL are right"
)
_OPEN = "see that the path in the database URL is right and that you may write the file and its directory"


def checks(db: Database, *, clock: Callable[[], float] = time.time) -> list[Check]:
    """Look at everything that can be looked at; one that fails does not keep the others from being looked at.

    Args:
        db: the database.
        clock: seconds since the Unix epoch, to compare the server's clock with.
    """
    if db.dialect == "sqlite" and (absent := _absent_file(db)):
        return [absent]
    try:
        with db.engine.connect() as connection:
            found = [Check("connection", "ok", db.label)]
            findings = compare(connection, Base.metadata)
            found += schema_checks(connection, findings)
            specific = postgresql_checks if db.dialect == "postgresql" else sqlite_checks
            return found + specific(connection, findings, clock)
    except SQLAlchemyError as error:
        mend = _REACH if db.dialect == "postgresql" else _OPEN
        return [Check("connection", "failed", str(storage_error(db, error)), mend)]


def _absent_file(db: Database) -> Check | None:
    """Opening a SQLite file would make it, and looking must not."""
    path = Path(db.url.database or "")
    if db.url.database in {None, "", ":memory:"} or path.exists():
        return None
    return Check("connection", "warning", f"{path} does not exist yet; the first call makes it", UPGRADE)
