"""Gives calls and what belongs to them ids of 64 bits, beside the writers: ``db partition --bigint``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from time import sleep

from psycopg import sql
from sqlalchemy import Connection, text

from cajanegra.errors import StorageError
from cajanegra.storage import copying, migrate, obstacles, privileges, recent, secure_state, shapes
from cajanegra.storage.copied_days import OwnDays, SameDays, partitions_of
from cajanegra.storage.copying import COPIES, LOCK_TIMEOUT, REPLACED, Copy
from cajanegra.storage.database import Database, reading, writing
from cajanegra.storage.partitions import LockedError, briefly, unbind
from cajanegra.storage.secure_rules import turn_off, turn_on
from cajanegra.storage.shapes import Key, Shape, TableIndex
from cajanegra.storage.tables import REQUEST_LOGS, Base
from cajanegra.storage.widths import narrow

_LOGS = REQUEST_LOGS.name
_LOCK = 0x63616A616E67
"""The advisory lock of whoever copies."""
_FEW = 1_000
"""Changes that are copied within the moment in which writers wait."""
_TRIES, _PAUSE = 100, 20.0
"""How often the last step is tried, and seconds between two tries at most: half an hour in all."""
_TIME = REQUEST_LOGS.c.created_at.name
_REQUEST_INDEX = TableIndex(
    "idx_ai_logs_request_id", is_unique=True, definition="USING btree (request_id, created_at)"
)

Days = OwnDays | SameDays


def widen(db: Database, now: datetime, tell: Callable[[int, int], None]) -> list[str]:
    """Copy tables into ones with wider ids, that of the calls into daily partitions; returns their names.

    Tables that have them already are left as they are.

    Args:
        db: a PostgreSQL database, as the owner of the tables.
        now: the time that it is, aware.
        tell: told through how many ids it has gone, and of how many.

    Raises:
        SchemaError: something of somebody else's hangs on a table and would be lost.
        StorageError: somebody else does it already, the database cannot be reached or refuses, or somebody
            holds a table all the time. Everything is as it was.
    """
    with _alone(db):
        copying.discard(db)
        with reading(db) as connection:
            columns = narrow(connection)
        if not columns:
            return []
        briefly(db, unbind, lock_timeout=LOCK_TIMEOUT)
        try:
            copies, days = _begin(db, columns, now)
            _fill(db, copies, tell)
            if isinstance(days, OwnDays):
                recent.fill(db, now)
            _exchange_when_possible(db, copies)
        except BaseException:
            copying.discard(db)
            raise
        if isinstance(days, OwnDays):
            recent.fill(db, now)  # what was written meanwhile by those who did not know yet
        copying.discard(db)
    return [*columns]


@contextmanager
def _alone(db: Database) -> Iterator[None]:
    """Nobody else copies; whoever dies does not stand in the way.

    The transaction looks at nothing, so that it keeps nothing from being vacuumed.
    """
    with writing(db) as connection:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SET LOCAL application_name = 'cajanegra db partition --bigint'"))
        if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}).scalar():
            raise StorageError(f"{db.label}: another 'cajanegra db partition --bigint' is running")
        yield


def _begin(
    db: Database, columns: Mapping[str, Sequence[str]], now: datetime
) -> tuple[Sequence[Copy], Days | None]:
    days: Days | None = None
    with migrate.locked(db) as connection:
        _require_schemas(connection, db)
        obstacles.require_tables(connection, db, [Base.metadata.tables[name] for name in columns])
        copies = []
        for name, wide in columns.items():
            shape = shapes.read(connection, name)
            obstacles.refuse(connection, name, is_partitioned=shape.is_partitioned, copied=True)
            if name != _LOGS:
                copies.append(Copy(shape, wide, shape.keys, shape.indexes))
            elif shape.is_partitioned:
                days = SameDays()
                copies.append(Copy(shape, wide, shape.keys, shape.indexes, _TIME, make_room=days.make_room))
            else:
                obstacles.refuse_future(connection, now)
                days = OwnDays(now)
                copies.append(_partitioned(shape, wide, days))
        for schema in (COPIES, REPLACED):
            connection.exec_driver_sql(f"CREATE SCHEMA {schema} AUTHORIZATION {copies[0].shape.owner}")
        for copy in copies:
            copy.make(connection)
        if days is not None:
            days.begin(connection)
    for copy in copies:
        briefly(db, copy.follow, lock_timeout=LOCK_TIMEOUT)
    return copies, days


def _require_schemas(connection: Connection, db: Database) -> None:
    may, name, user = connection.execute(_MAY_CREATE).one()
    if not may:
        raise StorageError(
            f"{db.label}: copies are made in a schema of their own, which {user} may not create: "
            f"GRANT CREATE ON DATABASE {name} TO {user}"
        )


_MAY_CREATE = text(
    "SELECT has_database_privilege(current_database(), 'CREATE'), quote_ident(current_database()),"
    " quote_ident(current_user)"
)


def _partitioned(shape: Shape, wide: Sequence[str], days: OwnDays) -> Copy:
    """Of a plain table of calls, as ``db partition`` without ``--bigint`` would make it."""
    return Copy(
        shape,
        wide,
        keys=[Key(f"{_LOGS}_pkey", "PRIMARY KEY (id, created_at)")],
        indexes=[
            _REQUEST_INDEX,
            *(index for index in shape.indexes if not index.is_unique and index.name != _REQUEST_INDEX.name),
        ],
        partition_by=_TIME,
        expressions={_TIME: days.expression},
        values=days.values,
        make_room=days.make_room,
    )


def _fill(db: Database, copies: Sequence[Copy], tell: Callable[[int, int], None]) -> None:
    with reading(db) as connection:
        total, done = sum(copy.span(connection) for copy in copies), 0

    def count(ids: int) -> None:
        nonlocal done
        done += ids
        tell(done, total)

    tell(0, total)
    for copy in copies:
        copy.fill(db, count)
    for copy in copies:
        copy.finish(db)


def _exchange_when_possible(db: Database, copies: Sequence[Copy]) -> None:
    """Exchange tables and copies as soon as nobody holds one of them for long."""

    def exchange(connection: Connection) -> None:
        _exchange(connection, copies)

    for copy in copies:
        copy.catch_up(db)
        copy.tidy(db)
    for attempt in range(_TRIES):
        while sum([copy.catch_up(db) for copy in copies]) > _FEW:
            pass
        try:
            briefly(db, exchange, lock_timeout=LOCK_TIMEOUT, goes_on=lambda: False)
        except LockedError:
            if attempt == _TRIES - 1:
                raise
            sleep(min(_PAUSE, 0.02 * 2**attempt))
        else:
            return


def _exchange(connection: Connection, copies: Sequence[Copy]) -> None:
    tables = ", ".join(copy.table for copy in copies)
    connection.execute(text(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"))
    for copy in copies:
        shape = copy.shape
        obstacles.refuse(connection, shape.name, is_partitioned=shape.is_partitioned, copied=True)
        copy.require_unchanged(connection)
    security = secure_state.read(connection)
    if security.is_on:
        policies = {(policy.table, policy.name): None for policy in security.policies}
        privileges.run(connection, turn_off(policies, security.tables, security.confined))
    grants = {copy.shape.name: [*privileges.grants(connection, copy.shape.name)] for copy in copies}
    for copy in copies:
        copy.take_over(connection)
    for copy in copies:
        copy.put_in_place(
            connection, partitions_of(connection, copy.table), partitions_of(connection, copy.copy)
        )
        table = sql.Identifier(copy.shape.name)
        privileges.run(connection, [grant.on(table) for grant in grants[copy.shape.name]])
    if security.is_on:
        privileges.run(connection, turn_on(security.tables, security.confined))
