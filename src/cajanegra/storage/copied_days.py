"""The daily partitions of a copy of ``ai_request_logs``: made as rows need them, or as the table has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from cajanegra.storage.copying import COPIES, noted_of
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.partitions import ahead, bounds, make_missing, make_one, name_of
from cajanegra.storage.tables import REQUEST_LOGS

MOST_DAYS = 90
"""Days of the past that get a partition each; all that is older shares one. Each look-up by id asks each."""
_LOGS = REQUEST_LOGS.name
_COPIED = f"{COPIES}.copied_partitions"
_PARTITIONS = text(
    "SELECT c.oid, quote_ident(relname) AS name, pg_get_expr(relpartbound, c.oid) AS bounds"
    " FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = to_regclass(:table)"
)


class OwnDays:
    """The partitions of a copy of a table that has none.

    Args:
        now: the time that it is, aware.
    """

    expression = "coalesce(created_at, updated_at, :untimed)"
    """When a call began, as SQL with ``values``: partitions have no place for those that do not say it."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.values = {"untimed": fit_time(now)}

    def begin(self, connection: Connection) -> None:
        """Make those for what is old and for the days to come."""
        first = connection.execute(text(f"SELECT min(created_at) FROM {_LOGS}")).scalar()  # noqa: S608 - a constant
        until = self._now.date() - timedelta(days=MOST_DAYS)
        with _among_copies(connection):
            if first is not None and first.date() < until:
                make_one(connection, name_of(first.date()), bounds(None, until))
            make_missing(connection, ahead(self._now))

    def make_room(self, connection: Connection, condition: str, values: Mapping[str, Any]) -> None:
        """See ``copying.MakeRoom``."""
        query = text(
            f"SELECT DISTINCT CAST({self.expression} AS date) FROM {_LOGS} WHERE {condition}"  # noqa: S608 - our own SQL
        )
        days = connection.scalars(query, {**values, **self.values}).all()
        with _among_copies(connection):
            make_missing(connection, sorted(days))


class SameDays:
    """The partitions of a copy of a partitioned table: one for each that the table has, and no others."""

    def begin(self, connection: Connection) -> None:
        """Make them."""
        connection.execute(text(f"CREATE TABLE {_COPIED} (oid oid PRIMARY KEY, name text NOT NULL)"))
        self.make_room(connection, "", {})

    def make_room(self, connection: Connection, _condition: str, _values: Mapping[str, Any]) -> None:
        """See ``copying.MakeRoom``; what retention has dropped is dropped, too."""
        there = {row.oid: row for row in connection.execute(_PARTITIONS, {"table": _LOGS})}
        copied = {row.oid: row.name for row in connection.execute(text(f"SELECT oid, name FROM {_COPIED}"))}  # noqa: S608 - a constant
        for oid in copied.keys() - there.keys():
            connection.execute(text(f"DROP TABLE {COPIES}.{copied[oid]}"))
            connection.execute(text(f"DELETE FROM {_COPIED} WHERE oid = :oid"), {"oid": oid})  # noqa: S608 - a constant
        note = text(f"INSERT INTO {_COPIED} (oid, name) VALUES (:oid, :name)")  # noqa: S608 - a constant
        with _among_copies(connection):
            for oid in there.keys() - copied.keys():
                make_one(connection, there[oid].name, there[oid].bounds)
                connection.execute(note, {"oid": oid, "name": there[oid].name})
        for oid in there.keys() - copied.keys() if copied else ():
            # Somebody may have attached it with rows, for which no trigger was called.
            rows = f"SELECT id, false FROM {there[oid].name}"  # noqa: S608 - a name of the catalogue
            connection.execute(text(f"INSERT INTO {noted_of(_LOGS)} (id, is_new) {rows}"))


def partitions_of(connection: Connection, table: str) -> Sequence[str]:
    """The names of a table's partitions, quoted where they have to be."""
    return [row.name for row in connection.execute(_PARTITIONS, {"table": table})]


@contextmanager
def _among_copies(connection: Connection) -> Iterator[None]:
    """Names mean copies; in a transaction that fails it does not matter what they mean."""
    setting = text("SELECT set_config('search_path', :path, true)")
    path = connection.execute(text("SELECT current_setting('search_path')")).scalar()
    connection.execute(setting, {"path": COPIES})
    yield
    connection.execute(setting, {"path": path})
