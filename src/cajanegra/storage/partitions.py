"""The daily partitions of ``ai_request_logs`` in PostgreSQL: which there are, making them, dropping them.

Nothing here holds writers up. A table is attached under a lock that does not concern them; a drop waits for
its lock for a moment, and otherwise tries again later.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cajanegra.errors import StorageError
from cajanegra.storage.database import Database, reading, storage_error
from cajanegra.storage.tables import REQUEST_LOGS

T = TypeVar("T")

AHEAD = 7
"""Days for which partitions are made before they are needed."""
LOCK_TIMEOUT = 50
"""Milliseconds that a statement waits for a lock behind which writers would have to wait."""
TRIES = 10
"""How often a lock is tried for; the pauses double from 0.02 s and make some 20 s."""

BOUND = "cajanegra_partition_bound"
"""The CHECK that says, before a table is attached, that it has nothing of later days."""

_LOCK = 0x63616A616E66
"""The advisory lock of whoever makes partitions."""
_LOCK_NOT_AVAILABLE, _DEADLOCK = "55P03", "40P01"
_LOGS = REQUEST_LOGS.name
_IS_PARTITIONED = text("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(:table)")
_PARTITIONS = text(
    "SELECT relname, pg_get_expr(relpartbound, c.oid) AS bounds,"
    " pg_total_relation_size(c.oid) AS bytes, reltuples"
    " FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = to_regclass(:table)"
)
_OWNER = text(
    "SELECT quote_ident(pg_get_userbyid(relowner)), pg_get_userbyid(relowner) = current_user"
    " FROM pg_class WHERE oid = to_regclass(:table)"
)
_BOUNDS = re.compile(r"FOR VALUES FROM \((?:MINVALUE|'([^']+)')\) TO \((?:MAXVALUE|'([^']+)')\)")


class MissingDayError(Exception):
    """There is no partition for a call's day; the transaction is to be rolled back."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition.

    Attributes:
        name: of its table.
        since: the first time that is in it; ``None`` where it has whatever is earlier.
        until: the first time that is no more in it; ``None`` where it has whatever is later.
        bytes: of rows and indexes.
        rows: how many the server believes it has; negative where it does not know.
    """

    name: str
    since: datetime | None
    until: datetime | None
    bytes: int
    rows: int

    def covers(self, day: date) -> bool:
        """Whether any time of a day is in it."""
        begin = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - as the column has it
        after_begin = self.until is None or begin < self.until
        return after_begin and (self.since is None or self.since < begin + timedelta(days=1))

    def overlaps(self, other: Partition) -> bool:
        """Whether any time is in both."""
        latest, earliest = datetime.max, datetime.min  # noqa: DTZ901 - as the column has it
        begins = (self.since or earliest) < (other.until or latest)
        return begins and (other.since or earliest) < (self.until or latest)


def is_partitioned(connection: Connection, *, to_insert: bool = False) -> bool:
    """Whether ``ai_request_logs`` is partitioned; never on SQLite.

    Args:
        connection: of the database.
        to_insert: keep it as it is until the transaction ends.
    """
    if connection.dialect.name != "postgresql":
        return False
    if to_insert:
        connection.execute(text(f"LOCK TABLE {_LOGS} IN ROW EXCLUSIVE MODE"))
    return bool(connection.execute(_IS_PARTITIONED, {"table": _LOGS}).scalar())


def partitions(connection: Connection) -> list[Partition]:
    """The partitions, oldest first; none in plain storage."""
    found: list[Partition] = []
    if connection.dialect.name != "postgresql":
        return found
    for row in connection.execute(_PARTITIONS, {"table": _LOGS}):
        one = parse(row.relname, row.bounds or "", row.bytes, int(row.reltuples))
        if one is not None:  # else somebody's own, such as a default partition
            found.append(one)
    return sorted(found, key=lambda one: one.since or datetime.min)  # noqa: DTZ901 - as the column has it


def parse(name: str, bounds: str, size: int = 0, rows: int = -1) -> Partition | None:
    """A partition by its bounds as PostgreSQL shows them."""
    found = _BOUNDS.fullmatch(bounds)
    if found is None:
        return None
    since, until = (None if at is None else datetime.fromisoformat(at) for at in found.groups())
    return Partition(name, since, until, size, rows)


def day_of(name: str) -> date:
    """The day that a partition's name says."""
    return datetime.strptime(name[-8:], "%Y%m%d").date()  # noqa: DTZ007 - as the column has it


def name_of(day: date) -> str:
    """The name of the partition that begins with a day."""
    return f"{_LOGS}_p{day:%Y%m%d}"


def ahead(now: datetime) -> list[date]:
    """Today and the days that should have a partition already."""
    return [now.date() + timedelta(days=distance) for distance in range(AHEAD + 1)]


def make_days(db: Database, days: Iterable[date]) -> list[str]:
    """Make the partitions of days that have none; returns their names.

    Writers do not wait for it. Several processes may do it at once.

    Raises:
        StorageError: the database refuses: it takes the owner of the tables.
    """
    wanted = sorted(set(days))

    def make(connection: Connection) -> list[str]:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        return make_missing(connection, wanted)

    return briefly(db, make, lock_timeout=5_000)


def make_missing(connection: Connection, days: Iterable[date]) -> list[str]:
    """Make the partitions of days that have none, where nobody else does; returns their names.

    Raises:
        StorageError: a table of that name is there already.
    """
    there = partitions(connection)
    made = []
    for day in days:
        if not any(one.covers(day) for one in there):
            make_one(connection, name_of(day), bounds(day, day + timedelta(days=1)))
            made.append(name_of(day))
    return made


def make_ahead(db: Database, now: datetime) -> list[str]:
    """Make the partitions of today and the days to come where some are missing; none in plain storage.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    with reading(db) as connection:
        there = partitions(connection)
    missing = [day for day in ahead(now) if not any(one.covers(day) for one in there)]
    return make_days(db, missing) if there and missing else []


def make_like(db: Database, others: Iterable[Partition]) -> None:
    """Make partitions for the rows of others, in whatever way they fit between those that there are.

    Raises:
        StorageError: the database refuses.
    """
    days: list[date] = []

    def make(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        days.clear()
        for other in others:
            if other.until is None:
                continue
            there = partitions(connection)
            if not any(one.overlaps(other) for one in there):
                make_one(connection, other.name, bounds(other.since, other.until))
            else:
                first = other.since.date() if other.since else day_of(other.name)
                days.extend(first + timedelta(days=n) for n in range((other.until.date() - first).days))

    briefly(db, make, lock_timeout=5_000)
    make_days(db, days)


def drop(db: Database, partition: Partition, *, goes_on: Callable[[], bool] = lambda: True) -> bool:
    """Drop a partition with its rows; whether it could be done in time, which a long transaction may prevent.

    Writers wait for at most ``LOCK_TIMEOUT`` and the moment that it takes.

    Raises:
        StorageError: the database refuses.
    """

    def work(connection: Connection) -> bool:
        # First its own lock, for which no writer of other days waits; then all wait for the whole table's.
        connection.execute(text(f"LOCK TABLE {partition.name} IN ACCESS EXCLUSIVE MODE"))
        connection.execute(text(f"DROP TABLE {partition.name}"))
        return True

    try:
        return briefly(db, work, goes_on=goes_on)
    except LockedError:
        return False


class LockedError(StorageError):
    """Somebody else held a table for too long."""


def briefly(
    db: Database,
    work: Callable[[Connection], T],
    *,
    lock_timeout: int = LOCK_TIMEOUT,
    goes_on: Callable[[], bool] = lambda: True,
    wait: Callable[[float], None] = time.sleep,
) -> T:
    """Do something in one transaction that gives up soon where it has to wait for a lock, and try again.

    Args:
        db: the database.
        work: given the connection; it may be called several times.
        lock_timeout: milliseconds to wait for a lock.
        goes_on: asked before each further try.
        wait: waits for so many seconds between two tries.

    Raises:
        LockedError: it was not to be had.
        StorageError: the database cannot be reached or refuses.
    """
    for attempt in range(TRIES):
        try:
            with db.transaction() as connection:
                connection.execute(text(f"SET LOCAL lock_timeout = {int(lock_timeout)}"))
                return work(connection)
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if state not in (_LOCK_NOT_AVAILABLE, _DEADLOCK):
                raise storage_error(db, error) from None
        except SQLAlchemyError as error:
            raise storage_error(db, error) from None
        if not goes_on():
            break
        wait(0.02 * 2**attempt)
    raise LockedError(
        f"{db.label}: a transaction has held {_LOGS} for too long; try again when it has ended "
        "(pg_stat_activity shows it)"
    )


def unbind(connection: Connection) -> None:
    """Drop the CHECK that a conversion needs; left behind, it would refuse the calls of the days after."""
    connection.execute(text(f"ALTER TABLE {_LOGS} DROP CONSTRAINT IF EXISTS {BOUND}"))


def is_missing_day(error: DBAPIError) -> bool:
    """Whether a row has found no partition."""
    is_check = getattr(error.orig, "sqlstate", None) == "23514"
    return is_check and "no partition of relation" in str(error.orig)


def days_of(times: Iterable[str]) -> set[date]:
    """The days of times as the databases read them."""
    return {date.fromisoformat(day) for day in {at[:10] for at in times}}


def bounds(since: datetime | date | None, until: datetime | date) -> str:
    """Of a partition, as SQL; without ``since`` it has whatever is earlier."""
    begin = "MINVALUE" if since is None else f"'{since}'"
    return f"FOR VALUES FROM ({begin}) TO ('{until}')"


def make_one(connection: Connection, name: str, within: str) -> None:
    """Make a table like the others and attach it, for which nobody has to wait, unlike ``PARTITION OF``.

    Args:
        connection: in a transaction, of the owner of the tables.
        name: of the partition.
        within: its bounds, as SQL.

    Raises:
        StorageError: a table of that name is there already.
    """
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar() is not None:
        raise StorageError(
            f"{name} is there and is no partition, so that its calls have no place; "
            "attach it again, or give it another name"
        )
    connection.execute(
        text(f"CREATE TABLE {name} (LIKE {_LOGS} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)")
    )
    role, is_ours = connection.execute(_OWNER, {"table": _LOGS}).one()
    if not is_ours:
        connection.execute(text(f"ALTER TABLE {name} OWNER TO {role}"))
    connection.exec_driver_sql(f"ALTER TABLE {_LOGS} ATTACH PARTITION {name} {within}")
