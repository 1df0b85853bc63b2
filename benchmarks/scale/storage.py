"""What partitions are worth: the same calls in plain and in partitioned storage, on one server in one run."""

from __future__ import annotations

import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
from sqlalchemy import event, text

from benchmarks.scale.rows import BEGIN, DAYS, END, fill
from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.domain.record import Batch
from cajanegra.storage import partitions
from cajanegra.storage.database import Database
from cajanegra.storage.keeping import Policy
from cajanegra.storage.partitioning import partition
from cajanegra.storage.retention import cleanup
from cajanegra.storage.sizes import sizes
from cajanegra.storage.writes import Store
from records import call_record

BATCH = 2_000
"""Calls of one transaction of the writer."""
DAY = timedelta(days=1)
_OLD = BEGIN - 60 * DAY
"""The day that goes; long before the others."""


def measure(plain: Database, parted: Database, rows: int, day: int) -> None:
    """Print what ingest and the end of a day cost in each."""
    partition(parted, now=BEGIN - 3 * DAY)
    partitions.make_days(parted, [(BEGIN + number * DAY).date() for number in range(-2, DAYS + 2)])
    for database in (plain, parted):
        began = time.perf_counter()
        fill(database, rows)
        print(f"  {rows:,} calls made in {time.perf_counter() - began:.0f} s", flush=True)
    _ingest(plain, parted, "ids without order (UUIDv4)", lambda: uuid.uuid4().hex)
    _ingest(plain, parted, "ids in order of time (as UUIDv7)", lambda: f"{time.time_ns():032x}")
    _days_end(plain, parted, day)
    _batched(plain)
    _churn(plain, min(rows // 20, 100_000))


def conversion(database: Database, rows: int) -> None:
    """Print how long a writer waits while a table of so many calls is converted."""
    fill(database, rows)
    began = time.perf_counter()
    with _writer(database) as writer:
        partition(database, now=END)
    took = time.perf_counter() - began
    print(
        f"  conversion of {rows:,} calls: {took:.1f} s; of {len(writer.waits):,} inserts meanwhile "
        f"the longest took {max(writer.waits) * 1000:.0f} ms, half of them less than "
        f"{statistics.median(writer.waits) * 1000:.1f} ms",
        flush=True,
    )


def _ingest(plain: Database, parted: Database, what: str, new_id: Any) -> None:
    stores = [Store(database, lambda: END) for database in (plain, parted)]
    times: list[list[float]] = [[], []]
    number = 0
    for _round in range(30):
        for store, took in zip(stores, times, strict=True):
            calls = []
            for _call in range(BATCH):
                number += 1
                calls.append(
                    call_record(
                        new_id(),
                        tenant_id=f"tenant-{number % 50}",
                        module=f"module-{number % 3}",
                        task=f"task-{number % 6}",
                        provider_used=f"provider-{number % 5}",
                        provider_model=f"model-{number % 12}",
                        processing_time_ms=number % 5_000,
                        created_at=END.timestamp() - 3_000 + number * 0.001,
                        updated_at=END.timestamp() - 3_000 + number * 0.001,
                    )
                )
            part = store.prepare(Batch.of(calls))
            began = time.perf_counter()
            store.write([part])
            took.append(time.perf_counter() - began)
    rates = [BATCH / statistics.median(some) for some in times]
    print(
        f"  ingest, {what}: plain {rates[0]:,.0f}/s, partitioned {rates[1]:,.0f}/s: "
        f"x {rates[1] / rates[0]:.2f}",
        flush=True,
    )


def _days_end(plain: Database, parted: Database, rows: int) -> None:
    for database in (plain, parted):
        _make_old_day(database, rows)
    policy = Policy(END - BEGIN + 30 * DAY)
    with parted.engine.connect() as connection:
        day = next(one for one in partitions.partitions(connection) if one.covers(_OLD.date()))
    with _watched(parted) as dropped:
        partitions.drop(parted, day)
    _make_old_day(parted, rows // 10)
    with _watched(parted) as retained:
        report = cleanup(parted, ALL_TENANTS, policy=policy, now=END)
    if not report.partitions:
        raise SystemExit(f"not all was deleted: {report}")
    begun = _size(plain)
    with _watched(plain) as deleted, psycopg.connect(_dsn(plain), autocommit=True) as connection:
        connection.execute(
            "DELETE FROM ai_request_logs WHERE created_at < %s", [(_OLD + DAY).replace(tzinfo=None)]
        )
        connection.execute("VACUUM ai_request_logs")
    print(
        f"  a day of {rows:,} calls goes:\n"
        f"    DELETE + VACUUM: {deleted}\n"
        f"    drop: {dropped}: {_compared(dropped, deleted)}\n"
        f"    a whole run of retention that drops a tenth of them: {retained}; "
        f"{report.partitions} partitions, {report.freed_bytes / 1e6:,.0f} MB given back\n"
        f"    plain table and indexes before {begun / 1e6:,.0f} MB, after {_size(plain) / 1e6:,.0f} MB",
        flush=True,
    )


def _compared(one: _Watched, other: _Watched) -> str:
    return f"x {other.seconds / one.seconds:,.1f} as fast, {one.wal / other.wal:.3%} of the WAL"


def _batched(plain: Database) -> None:
    """Retention's own batches: how long each transaction has its locks."""
    rows = 100_000
    _make_old_day(plain, rows)
    lengths: list[float] = []
    begun: dict[int, float] = {}

    def begin(connection: Any) -> None:
        begun[id(connection)] = time.perf_counter()

    def end(connection: Any) -> None:
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return  # a VACUUM, which stops nobody
        lengths.append(time.perf_counter() - begun[id(connection)])

    event.listen(plain.engine, "begin", begin)
    event.listen(plain.engine, "commit", end)
    with _watched(plain) as deleted:
        report = cleanup(plain, ALL_TENANTS, policy=Policy(END - BEGIN + 30 * DAY), now=END)
    event.remove(plain.engine, "begin", begin)
    event.remove(plain.engine, "commit", end)
    if report.calls < rows:
        raise SystemExit(f"not all was deleted: {report}")
    print(
        f"  batched DELETE of {rows:,} calls on the plain table: {deleted}; {len(lengths)} transactions, "
        f"the longest {max(lengths) * 1000:.0f} ms, half of them under "
        f"{statistics.median(lengths) * 1000:.0f} ms",
        flush=True,
    )


def _churn(plain: Database, rows: int) -> None:
    """How the plain table grows when as much is deleted as comes."""
    shown = []
    _make_old_day(plain, rows)
    for _round in range(6):
        cleanup(plain, ALL_TENANTS, policy=Policy(END - BEGIN + 30 * DAY), now=END)
        shown.append(_size(plain) / 1e6)
        _make_old_day(plain, rows)
    cleanup(plain, ALL_TENANTS, policy=Policy(END - BEGIN + 30 * DAY), now=END)
    print(
        f"  plain table, {rows:,} calls come and go again and again, MB: "
        f"{', '.join(f'{size:,.0f}' for size in shown)}: x {shown[-1] / shown[0]:.2f}",
        flush=True,
    )


def _make_old_day(database: Database, rows: int) -> None:
    if database_is_partitioned(database):
        with database.engine.connect() as connection:
            first = partitions.partitions(connection)[0]
        if first.since is None:  # it has whatever is earlier
            partitions.drop(database, first)
        partitions.make_days(database, [_OLD.date()])
    statement = """
        INSERT INTO ai_request_logs (request_id, tenant_id, module, task, prompt_length, provider_used,
          provider_model, status, tokens_used, processing_time_ms, request_metadata, response_metadata,
          created_at, updated_at)
        SELECT md5(random()::text || n), 'tenant-' || n % 50, 'module-' || n % 3, 'task-' || n % 6, 400,
          'provider-' || n % 5, 'model-' || n % 12, 'success', n % 900, n % 5000, '{}',
          '{"attempts": 1, "cost": 0.0001, "currency": "USD", "ttft_ms": 400}',
          CAST(:day AS timestamp) + n * CAST(:step AS interval), CAST(:day AS timestamp)
        FROM generate_series(0, CAST(:rows AS integer) - 1) AS n
    """
    with database.transaction() as connection:
        values = {"day": _OLD.replace(tzinfo=None), "step": f"{86_400 / rows} seconds", "rows": rows}
        connection.execute(text(statement), values)
    with psycopg.connect(_dsn(database), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE ai_request_logs")  # as autovacuum has done long before a day ends


def database_is_partitioned(database: Database) -> bool:
    with database.engine.connect() as connection:
        return partitions.is_partitioned(connection)


@dataclass
class _Watched:
    """What a work cost, and a writer beside it."""

    seconds: float = 0.0
    wal: int = 0
    waits: list[float] = field(default_factory=list)
    idle: float = 0.0

    def __str__(self) -> str:
        longest = max(self.waits, default=0.0) * 1000
        cost = f"{self.seconds:.2f} s, {self.wal / 1e6:,.2f} MB of WAL"
        return f"{cost}, a writer's longest insert {longest:.0f} ms ({self.idle * 1000:.0f} ms before)"


@contextmanager
def _watched(database: Database) -> Iterator[_Watched]:
    """Time and WAL, of which the writer's own is measured beforehand and taken off."""
    found = _Watched()
    with psycopg.connect(_dsn(database), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        with _writer(database) as writer:
            time.sleep(2)
            idle, before = len(writer.waits), _wal(connection)
            each = (before - writer.began_at) / max(1, idle)
            found.idle = max(writer.waits, default=0.0)
            began = time.perf_counter()
            yield found
            found.seconds = time.perf_counter() - began
            found.waits = writer.waits[idle:]
            found.wal = max(1, int(_wal(connection) - before - each * len(found.waits)))


@dataclass
class _Writer:
    waits: list[float] = field(default_factory=list)
    began_at: int = 0


@contextmanager
def _writer(database: Database) -> Iterator[_Writer]:
    """Somebody who inserts a call every 20 ms, and how long each has taken."""
    writer, ending = _Writer(), threading.Event()

    def write() -> None:
        with psycopg.connect(_dsn(database), autocommit=True) as connection:
            writer.began_at = _wal(connection)
            ready.set()
            while not ending.wait(0.02):
                began = time.perf_counter()
                connection.execute(
                    "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used, created_at)"
                    " VALUES (%s, 'chat', 0, 'openai', %s)",
                    (uuid.uuid4().hex, END.replace(tzinfo=None)),
                )
                writer.waits.append(time.perf_counter() - began)

    ready = threading.Event()
    thread = threading.Thread(target=write)
    thread.start()
    ready.wait()
    try:
        yield writer
    finally:
        ending.set()
        thread.join()


def _wal(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
    return int(row[0]) if row else 0


def _size(database: Database) -> int:
    return next(size.total_bytes for size in sizes(database) if size.table == "ai_request_logs")


def _dsn(database: Database) -> str:
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)
