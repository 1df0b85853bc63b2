"""Checks that only a PostgreSQL server needs: privileges, sequences, clock, time zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.storage import partitions
from cajanegra.storage.check import Check
from cajanegra.storage.copying import COPIES, REPLACED
from cajanegra.storage.fitting import INT32_MAX
from cajanegra.storage.health_schema import some
from cajanegra.storage.health_security import row_level_security
from cajanegra.storage.partitions import BOUND
from cajanegra.storage.tables import REQUEST_LOGS, VERSION_TABLE, Base
from cajanegra.storage.verify import Finding
from cajanegra.storage.widths import narrow

_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")
_IDS_WARN_AT = 0.5
_IDS = text(
    "SELECT CASE WHEN has_sequence_privilege(oid, 'SELECT, USAGE') THEN pg_sequence_last_value(oid) END"
    " FROM pg_class WHERE oid = pg_get_serial_sequence(:table, 'id')::regclass"
)
_COPIES = text("SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = ANY (:names))")
_UNFINISHED = text(
    "SELECT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :bound)"
)
_CLOCK_WARNS_AFTER = 5.0
"""Seconds; what the recorder orders and what the database stamps would disagree visibly."""


def postgresql_checks(
    connection: Connection, findings: Sequence[Finding], clock: Callable[[], float]
) -> list[Check]:
    """Privileges, sequences, whether it can be written, clock and time zone."""
    missing = {
        finding.table for finding in findings if finding.kind == "table" and finding.state == "missing"
    }
    present = [name for name in Base.metadata.tables if name not in missing]
    if not present:
        return [_writable(connection), _clock(connection, clock), _time_zone(connection)]
    return [
        _privileges(connection, present),
        _sequences(connection, [name for name in present if name != VERSION_TABLE]),
        _writable(connection),
        _clock(connection, clock),
        _time_zone(connection),
        row_level_security(connection),
        *_storage(connection, clock),
    ]


def _privileges(connection: Connection, tables: list[str]) -> Check:
    lacking: list[str] = []
    grants: list[str] = []
    user = connection.execute(text("SELECT quote_ident(current_user)")).scalar_one()
    table_query = text("SELECT has_table_privilege(:name, :privilege)")
    for name in tables:
        wanted = ("SELECT",) if name == VERSION_TABLE else _PRIVILEGES
        refused = [
            privilege
            for privilege in wanted
            if not connection.execute(table_query, {"name": name, "privilege": privilege}).scalar_one()
        ]
        if refused:
            lacking.append(f"{', '.join(refused)} on {name}")
            grants.append(f"GRANT {', '.join(refused)} ON {name} TO {user}")
        sequence = _sequence_of(connection, name)
        sequence_query = text("SELECT has_sequence_privilege(:name, 'USAGE')")
        if sequence and not connection.execute(sequence_query, {"name": sequence}).scalar_one():
            lacking.append(f"USAGE on {sequence}")
            grants.append(f"GRANT USAGE ON SEQUENCE {sequence} TO {user}")
    if lacking:
        return Check(
            "privileges", "failed", f"{user} lacks {some(lacking)}", f"as the owner: {'; '.join(grants)}"
        )
    return Check("privileges", "ok", f"{user} may read and write every table")


def _sequence_of(connection: Connection, table: str) -> str | None:
    query = text(
        "SELECT pg_get_serial_sequence(:name, 'id') FROM pg_attribute"
        " WHERE attrelid = to_regclass(:name) AND attname = 'id'"
    )
    sequence: str | None = connection.execute(query, {"name": table}).scalar()
    return sequence


def _sequences(connection: Connection, tables: list[str]) -> Check:
    """A restore by hand leaves sequences behind their tables: the next rows are refused as duplicates."""
    behind = []
    for name in tables:
        sequence = _sequence_of(connection, name)
        if sequence is None:
            continue
        try:
            with connection.begin_nested():
                highest = f"(SELECT max(id) FROM {name})"  # noqa: S608 - a name of the models
                query = f"SELECT {highest} > coalesce(pg_sequence_last_value('{sequence}'), 0)"
                if connection.exec_driver_sql(query).scalar():
                    behind.append(f"SELECT setval('{sequence}', {highest})")
        except SQLAlchemyError:
            return Check("sequences", "warning", f"{sequence} cannot be read", "see privileges")
    if behind:
        detail = f"{len(behind)} behind the ids of their tables: new rows are refused as duplicate keys"
        return Check("sequences", "failed", detail, "; ".join(behind))
    return Check("sequences", "ok", "ahead of every id")


def _storage(connection: Connection, clock: Callable[[], float]) -> Iterator[Check]:
    """Whether there is room for the calls to come: numbers, and partitions."""
    used = _ids_used(connection)
    if used and used[0][0] >= _IDS_WARN_AT:
        detail = f"{used[0][0]:.0%} of all ids of {used[0][1]} are used up"
        yield Check("ids", "warning", detail, "as the owner of the tables: cajanegra db partition --bigint")
    if connection.execute(_COPIES, {"names": [COPIES, REPLACED]}).scalar():
        drop = f"DROP SCHEMA IF EXISTS {COPIES}, {REPLACED} CASCADE"
        yield Check(
            "copies",
            "warning",
            "tables are being copied, or that was cut short: what is left takes room, and notes each change",
            f"where none is running: cajanegra db partition --bigint, or {drop}",
        )
    if connection.execute(_UNFINISHED, {"table": REQUEST_LOGS.name, "bound": BOUND}).scalar():
        mend = f"cajanegra db partition, or ALTER TABLE {REQUEST_LOGS.name} DROP CONSTRAINT {BOUND}"
        yield Check(
            "partitions", "failed", "a conversion was cut short: calls of later days are refused", mend
        )
    there = partitions.partitions(connection)
    if not there:
        return
    today = datetime.fromtimestamp(clock(), UTC)
    missing = [str(day) for day in partitions.ahead(today) if not any(one.covers(day) for one in there)]
    mend = "as the owner of the tables: cajanegra db partition"
    if str(today.date()) in missing:
        yield Check("partitions", "failed", "today has none; calls wait until somebody makes it", mend)
    elif missing:
        yield Check("partitions", "warning", f"there are none for {some(missing)}", mend)
    else:
        yield Check("partitions", "ok", f"{len(there)}, up to {there[-1].name}")


def _ids_used(connection: Connection) -> list[tuple[float, str]]:
    """Of each table with ids that end at 2^31 somewhere: the share that is used up, the greatest first."""
    tables = {
        name if column == "id" else REQUEST_LOGS.name
        for name, columns in narrow(connection).items()
        for column in columns
    }
    highest = {name: connection.execute(_IDS, {"table": name}).scalar() or 0 for name in tables}
    return sorted(((last / INT32_MAX, name) for name, last in highest.items()), reverse=True)


def _writable(connection: Connection) -> Check:
    replica, read_only = connection.execute(
        text("SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'")
    ).one()
    if replica:
        return Check("writable", "failed", "the server is a replica", "name the primary in the database URL")
    if read_only:
        mend = "SET default_transaction_read_only = off for this user or database"
        return Check("writable", "failed", "transactions are read-only", mend)
    return Check("writable", "ok", "transactions may write")


def _clock(connection: Connection, clock: Callable[[], float]) -> Check:
    before = clock()
    server = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    ahead = server - (before + clock()) / 2
    where = "ahead of" if ahead > 0 else "behind"
    detail = f"the server's clock is {abs(ahead):.1f} s {where} this machine's"
    if abs(ahead) > _CLOCK_WARNS_AFTER:
        return Check("clock", "warning", detail, "synchronise both clocks (NTP)")
    return Check("clock", "ok", detail)


def _time_zone(connection: Connection) -> Check:
    zone, offset, database = connection.execute(
        text("SELECT current_setting('TimeZone'), extract(timezone FROM now()), quote_ident(current_catalog)")
    ).one()
    if offset:
        detail = f"{zone}: created_at of rows that others insert is local time, and ours is UTC"
        return Check("time zone", "warning", detail, f"ALTER DATABASE {database} SET timezone TO 'UTC'")
    return Check("time zone", "ok", zone)
