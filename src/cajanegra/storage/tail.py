"""Follows calls as they are written, by whatever process, so that none is missed and none comes twice.

Ids are given out when a row is inserted, and rows are seen when their transaction commits, which may be in
another order. So the tail shows a row only once no smaller id can appear any more; then the order of the ids
stays as it is, and a place in it is one id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from cajanegra.domain.principal import Scope
from cajanegra.storage.database import Database, reading
from cajanegra.storage.filters import CallFilter, of_scope
from cajanegra.storage.reads import MAX_PAGE, Row, find, rows_of, seen_by
from cajanegra.storage.tables import REQUEST_LOGS

_LOGS = REQUEST_LOGS.c

_WRITERS = text(
    "SELECT virtualtransaction || ' ' || coalesce(pid, 0) FROM pg_locks WHERE locktype = 'relation'"
    " AND relation = to_regclass(:table) AND granted AND mode = 'RowExclusiveLock'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""Transactions that may insert: PostgreSQL takes this lock before the first id, and keeps it to the end."""


@dataclass(slots=True)
class Horizon:
    """How far the calls are complete.

    Used by one thread at a time, and on the primary alone: a standby does not know the locks. A transaction
    that writes to the table and is left open holds the horizon up until it ends.
    """

    db: Database
    reached: int | None = None
    """No call with this id or a smaller one will appear any more; ``None`` until that is known."""
    _waiting_for: frozenset[str] = frozenset()
    _candidate: int | None = None

    def advance(self) -> int | None:
        """Look again; returns ``reached``.

        Raises:
            StorageError: the database cannot be read.
        """
        with reading(self.db) as connection:
            newest = _newest(connection)
            if self.db.dialect == "sqlite":  # one writer at a time: rows commit in the order of their ids
                self.reached = newest
                return newest
            writers = frozenset(connection.execute(_WRITERS, {"table": REQUEST_LOGS.name}).scalars())
        if not writers & self._waiting_for:
            if self._candidate is not None:
                self.reached = self._candidate
            self._candidate, self._waiting_for = newest, writers
        if not self._waiting_for:
            self.reached = self._candidate
        return self.reached


def written(
    db: Database, where: CallFilter, beyond: int, upto: int, *, limit: int = MAX_PAGE
) -> tuple[Sequence[Row], int]:
    """Calls with an id beyond one, up to the horizon, in the order of their ids; and how far that is.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    query = select(REQUEST_LOGS).where(_LOGS.id > beyond, _LOGS.id <= upto, *where.conditions(db.dialect))
    with reading(db) as connection:
        rows = rows_of(connection, query.order_by(_LOGS.id).limit(limit))
    done = rows[-1]["id"] if len(rows) == limit else upto
    return [seen_by(where.scope, row) for row in rows], done


def place_of(db: Database, scope: Scope, request_id: str) -> int | None:
    """Where a call stands that the scope may see; ``None`` where it is gone, or never was.

    Raises:
        StorageError: the database cannot be read.
    """
    with reading(db) as connection:
        row = find(connection, scope, request_id)
    return None if row is None else int(row["id"])


def newest_in(db: Database, scope: Scope, upto: int) -> str | None:
    """The request id of the scope's latest call up to the horizon; ``None`` where there is none.

    Raises:
        StorageError: the database cannot be read.
    """
    query = select(REQUEST_LOGS).where(*of_scope(scope), _LOGS.created_at.is_not(None), _LOGS.id <= upto)
    with reading(db) as connection:
        rows = rows_of(connection, query.order_by(_LOGS.created_at.desc()).limit(1))
    return str(seen_by(scope, rows[0])["request_id"]) if rows else None


def _newest(connection: Connection) -> int:
    return connection.execute(select(func.max(_LOGS.id))).scalar() or 0
