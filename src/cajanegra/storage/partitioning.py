"""Turns ``ai_request_logs`` of a live PostgreSQL database into daily partitions, without copying a row.

What takes long (indexes, the check of all rows) is done beside the writers, and may be cut short and done
again. Then one short transaction puts a partitioned table in the old one's place and attaches the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from psycopg import sql
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.errors import UsageError
from cajanegra.storage import migrate, obstacles, partitions, privileges, recent, secure_state
from cajanegra.storage.database import Database, reading, storage_error, writing
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.partitions import BOUND, Partition, briefly, name_of, unbind
from cajanegra.storage.privileges import run
from cajanegra.storage.secure_rules import turn_off, turn_on
from cajanegra.storage.tables import REQUEST_LOGS
from cajanegra.storage.widening import widen

SWAP_TIMEOUT = 200
"""Milliseconds that the last step waits for the table, and writers behind it; then they have their turn."""
_KEY, _REQUEST = "cajanegra_partition_key", "cajanegra_partition_request"
"""Indexes of the old table that are built beforehand."""
_BATCH = 5_000
_STEPS = 6
_LOGS = REQUEST_LOGS.name
_REQUEST_INDEX = "idx_ai_logs_request_id"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Partitioned:
    """What was done.

    Attributes:
        state: ``converted``, or ``current`` where it was partitioned already.
        widened: tables that have 64-bit ids now, and had not before.
        attached: the partition that the old table has become; ``None`` where there was none.
        made: partitions that were made for days to come.
        partitions: all that there are, oldest first.
    """

    state: Literal["converted", "current"]
    widened: Sequence[str]
    attached: str | None
    made: Sequence[str]
    partitions: Sequence[Partition]


def partition(
    db: Database,
    *,
    bigint: bool = False,
    now: datetime | None = None,
    on_progress: Progress | None = None,
) -> Partitioned:
    """Convert to daily partitions, or make those for the days to come where that was done before.

    Args:
        db: a PostgreSQL database, as the owner of the tables.
        bigint: copy the tables that have ids of 32 bits into ones that have ids of 64.
        now: the time that it is, aware.
        on_progress: told how many steps are done, and of how many.

    Raises:
        UsageError: it is not PostgreSQL.
        SchemaError: something of somebody else's hangs on the table and would be lost.
        StorageError: the database cannot be reached or refuses, or somebody holds the table all the time.
    """
    if db.dialect != "postgresql":
        raise UsageError("only PostgreSQL has partitions; a SQLite file is one table")
    now = now or datetime.now(UTC)
    tell = on_progress or (lambda _done, _total: None)
    with reading(db) as connection:
        before = partitions.is_partitioned(connection)
    widened = widen(db, now, tell) if bigint else []
    attached = None if before or _LOGS in widened else _convert(db, now, tell)
    made = partitions.make_days(db, partitions.ahead(now))
    with reading(db) as connection:
        there = partitions.partitions(connection)
    if not bigint:
        tell(_STEPS, _STEPS)
    return Partitioned("current" if before else "converted", widened, attached, made, there)


def _convert(db: Database, now: datetime, tell: Progress) -> str:
    with migrate.locked(db) as connection:
        obstacles.require_tables(connection, db, [REQUEST_LOGS])
        obstacles.refuse(connection, _LOGS)
        obstacles.refuse_future(connection, now)
    tell(0, _STEPS)
    _fill_times(db, now)
    tell(1, _STEPS)
    _build_indexes(db)
    tell(2, _STEPS)
    recent.fill(db, now)
    until = now.date() + timedelta(days=2)
    briefly(db, lambda connection: _bound(connection, until), lock_timeout=SWAP_TIMEOUT)
    try:
        _fill_times(db, now)
        tell(3, _STEPS)
        with writing(db) as connection:
            connection.execute(text(f"ALTER TABLE {_LOGS} VALIDATE CONSTRAINT {BOUND}"))
        tell(4, _STEPS)
        name = briefly(db, lambda connection: _swap(connection, now, until), lock_timeout=SWAP_TIMEOUT)
    except BaseException:
        briefly(db, unbind, lock_timeout=SWAP_TIMEOUT)
        raise
    tell(5, _STEPS)
    recent.fill(db, now)  # what was written meanwhile by those who did not know yet
    with writing(db) as connection:
        connection.execute(text(f"ANALYZE {_LOGS}"))
    return name


def _fill_times(db: Database, now: datetime) -> None:
    """Give every call a time: partitions have no place for those without."""
    query = text(
        f"UPDATE {_LOGS} SET created_at = coalesce(updated_at, :now) WHERE id IN"  # noqa: S608 - a constant
        f" (SELECT id FROM {_LOGS} WHERE created_at IS NULL LIMIT {_BATCH} FOR UPDATE SKIP LOCKED)"
    )
    while True:
        with writing(db) as connection:
            if not connection.execute(query, {"now": fit_time(now)}).rowcount:
                return


def _build_indexes(db: Database) -> None:
    """The keys of a partition; one that an earlier try has not finished is built anew."""
    invalid = text("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    try:
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for name, column in ((_KEY, "id"), (_REQUEST, "request_id")):
                found = connection.execute(invalid, {"name": name}).scalar()
                if found:
                    connection.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
                if found is not False:
                    connection.execute(
                        text(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {_LOGS} ({column}, created_at)")
                    )
    except SQLAlchemyError as error:
        raise storage_error(db, error) from None


def _bound(connection: Connection, until: date) -> None:
    unbind(connection)
    condition = f"created_at IS NOT NULL AND created_at < '{until}'"
    connection.execute(text(f"ALTER TABLE {_LOGS} ADD CONSTRAINT {BOUND} CHECK ({condition}) NOT VALID"))


def _swap(connection: Connection, now: datetime, until: date) -> str:
    """Put a partitioned table in the place of the old one; returns the old one's new name."""
    connection.execute(text(f"LOCK TABLE {_LOGS} IN ACCESS EXCLUSIVE MODE"))
    first = connection.execute(text(f"SELECT min(created_at) FROM {_LOGS}")).scalar()  # noqa: S608 - a constant
    old = name_of((first or now).date())
    security = secure_state.read(connection)
    if security.is_on:
        policies = {(policy.table, policy.name): None for policy in security.policies}
        run(connection, turn_off(policies, security.tables, security.confined))
    owner, grants = privileges.owner(connection, _LOGS), [*privileges.grants(connection, _LOGS)]
    indexes = connection.execute(_INDEXES, {"table": _LOGS}).all()
    sequence = connection.execute(
        text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": _LOGS}
    ).scalar()
    for statement in (
        *_rename(connection, old, [index.name for index in indexes if index.name not in (_KEY, _REQUEST)]),
        (
            f"CREATE TABLE {_LOGS} (LIKE {old} INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMMENTS)"
            " PARTITION BY RANGE (created_at)"
        ),
        f"ALTER TABLE {_LOGS} ADD PRIMARY KEY (id, created_at)",
        f"CREATE UNIQUE INDEX {_REQUEST_INDEX} ON {_LOGS} (request_id, created_at)",
        *(index.statement for index in indexes if index.is_kept and index.name != _REQUEST_INDEX),
        f"ALTER TABLE {_LOGS} ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO ('{until}')",
        f"ALTER TABLE {old} DROP CONSTRAINT {BOUND}",
        *([f"ALTER SEQUENCE {sequence} OWNED BY {_LOGS}.id"] if sequence else ()),
    ):
        connection.exec_driver_sql(statement.replace("%", "%%"))
    table, partition = sql.Identifier(_LOGS), sql.Identifier(old)
    run(connection, [sql.SQL("ALTER TABLE {} OWNER TO {}").format(table, owner)])
    for grant in grants:
        run(connection, [grant.on(table), grant.off(partition)])
    if security.is_on:
        run(connection, turn_on(security.tables, security.confined))
        connection.execute(text(f"ALTER TABLE {old} DISABLE ROW LEVEL SECURITY"))
    return old


_INDEXES = text(
    "SELECT relname AS name, pg_get_indexdef(indexrelid) AS statement,"
    " indisvalid AND NOT indisunique AND NOT indisprimary AS is_kept"
    " FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = to_regclass(:table) ORDER BY 1"
)


def _rename(connection: Connection, old: str, indexes: Sequence[str]) -> Iterator[str]:
    """Make the table a partition to be: names out of the way, keys of its own."""
    keys = connection.execute(
        text("SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:t) AND contype IN ('p', 'u')"),
        {"t": _LOGS},
    ).scalars()
    drops = [sql.SQL("DROP CONSTRAINT {}").format(sql.Identifier(key)).as_string() for key in keys]
    yield f"ALTER TABLE {_LOGS} ALTER created_at SET NOT NULL, {', '.join(drops)}"
    yield f"ALTER TABLE {_LOGS} RENAME TO {old}"
    dropped = {drop.split()[-1].strip('"') for drop in drops}
    for name in indexes:
        if name in dropped:
            continue
        index = sql.Identifier(name).as_string()
        if name == _REQUEST_INDEX:  # the key begins with the same column
            yield f"DROP INDEX {index}"
        else:
            renamed = sql.Identifier(f"{old[len(_LOGS) - 4 :]}_{name}"[:63]).as_string()
            yield f"ALTER INDEX {index} RENAME TO {renamed}"
    yield f"ALTER INDEX {_REQUEST} RENAME TO {old}_request_id_created_at_idx"
    yield f"ALTER TABLE {old} ADD CONSTRAINT {old}_pkey PRIMARY KEY USING INDEX {_KEY}"
