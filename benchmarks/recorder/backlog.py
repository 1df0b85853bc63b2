"""From the spool to rows that can be queried: rates beside what the database can do at best."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from benchmarks.recorder.places import KINDS, Place, Places
from benchmarks.recorder.producer import memory
from cajanegra.models import AIRequestLog
from cajanegra.storage.database import Database

PER_CALL = 2_000
"""Calls that are written one by one with ``session.add`` and ``commit``."""
_TABLE = AIRequestLog.__table__
_NAMES = [column.name for column in _TABLE.columns if column.name != "id"]
_COLUMNS = ", ".join(_NAMES)
_STAGE = (
    f"CREATE TEMPORARY TABLE staging ON COMMIT DROP AS SELECT {_COLUMNS} FROM ai_request_logs WITH NO DATA"  # noqa: S608
)
_COPY = f"COPY staging ({_COLUMNS}) FROM STDIN"
_INSERT = (
    f"INSERT INTO ai_request_logs ({_COLUMNS}) SELECT {_COLUMNS} FROM staging "  # noqa: S608
    "ON CONFLICT (request_id) DO NOTHING"
)


def measure(places: Places, rounds: int, calls: int, batch: int) -> None:
    """Print the rates: the product and its floors in turn, and the median of the rounds counts."""
    print(f"\nSpool to rows, {calls:,} calls in batches of {batch}, all indexes of the guide: rows a second")
    for kind in KINDS:
        rates: dict[str, list[float]] = {}
        for _ in range(rounds):
            with places.fresh(kind) as place:
                fill(place, 1)
                start = _drain(place)  # imports, the first connection: what a living writer has behind it
                fill(place, calls)
                rates.setdefault("cajanegra spool drain", []).append(calls / (_drain(place) - start))
                floors = _postgresql_floors if kind == "postgresql" else _sqlite_floors
                for name, rate in floors(places, place, batch):
                    rates.setdefault(name, []).append(rate)
        ours = statistics.median(rates["cajanegra spool drain"])
        for name, found in rates.items():
            rate = statistics.median(found)
            print(f"{kind:12}{name:44}{rate:10,.0f}{ours / rate:8.2f} of it")


def measure_rate(places: Places, calls: int) -> None:
    """Print the rate and the memory of a drain at the start and at the end of a big backlog."""
    print(f"\nDrain of a backlog of {calls:,} calls: first and last fifth")
    for kind in KINDS:
        with places.fresh(kind) as place:
            fill(place, calls)
            samples = list(_watched(place))
            fifth = calls / 5
            first = next(sample for sample in samples if sample[1] >= fifth)
            last = next(sample for sample in samples if sample[1] >= 4 * fifth)
            end = samples[-1]
            start_rate = (first[1] - samples[0][1]) / (first[0] - samples[0][0])
            end_rate = (end[1] - last[1]) / (end[0] - last[0])
            print(
                f"{kind:12}{start_rate:10,.0f} rows/s, then {end_rate:,.0f} "
                f"({end_rate / start_rate:.2f} of it); memory {first[2]:.0f} MB, then {last[2]:.0f} MB; "
                f"{place.count():,} rows"
            )


def fill(place: Place, calls: int) -> None:
    """Leave that many calls in the spool, none of them in the database."""
    before = place.count()
    with _locked(place.url):
        output = place.run("benchmarks.recorder.producer", str(calls))
    if place.count() > before or said(output)[-1]["dropped"]:
        raise RuntimeError(f"{place.count()} calls are in the database already; {said(output)[-1]}")


def said(output: str) -> list[dict[str, Any]]:
    """What the producer printed."""
    return [json.loads(line) for line in output.splitlines()]


def _drain(place: Place) -> float:
    begin = time.perf_counter()
    place.run("cajanegra", "spool", "drain", "--json")
    return time.perf_counter() - begin


def _watched(place: Place) -> Iterator[tuple[float, int, float]]:
    """Time, rows and megabytes of the process, again and again until it ends."""
    process = place.start("cajanegra", "spool", "drain", "--json", stdout=subprocess.DEVNULL)
    while process.poll() is None:
        rows = place.newest()
        with contextlib.suppress(OSError, KeyError):  # it has just ended
            if rows:
                yield time.perf_counter(), rows, memory(process.pid)["own"]
        time.sleep(0.2)


@contextlib.contextmanager
def _locked(url: str) -> Iterator[None]:
    """A database that nobody can write to for as long."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(make_url(url).database or "", isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            yield
        return
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE ai_request_logs IN ACCESS EXCLUSIVE MODE")
        yield
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


Floors = Iterator[tuple[str, float]]


def _postgresql_floors(places: Places, filled: Place, batch: int) -> Floors:
    query = f"COPY (SELECT {_COLUMNS} FROM ai_request_logs ORDER BY id) TO STDOUT"  # noqa: S608
    with psycopg.connect(filled.url) as connection, connection.cursor().copy(query) as copy:
        lines = [bytes(line) for line in copy]
    texts = [b"".join(part) for part in _parts(lines, batch)]
    with places.fresh("postgresql") as place, psycopg.connect(place.url) as connection:
        rate = len(lines) / _seconds(_copied(connection, lambda copy, text: copy.write(text)), texts)
        yield "COPY of text made before + INSERT ON CONFLICT", rate
    rows = [tuple(line.decode().rstrip("\n").split("\t")) for line in lines]
    values = [tuple(None if value == "\\N" else value for value in row) for row in rows]
    with places.fresh("postgresql") as place, psycopg.connect(place.url) as connection:
        rate = len(lines) / _seconds(_copied(connection, _write_rows), _parts(values, batch))
        yield "COPY of rows made before + INSERT ON CONFLICT", rate
    yield "session.add + commit per call", _per_call(places, filled, "postgresql")


def _copied(
    connection: psycopg.Connection[Any], write_all: Callable[[psycopg.Copy, Any], None]
) -> Callable[[Any], None]:
    def write(part: Any) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(_STAGE)
            with cursor.copy(_COPY) as copy:
                write_all(copy, part)
            cursor.execute(_INSERT)

    return write


def _write_rows(copy: psycopg.Copy, rows: Sequence[tuple[str | None, ...]]) -> None:
    for row in rows:
        copy.write_row(row)


def _sqlite_floors(places: Places, filled: Place, batch: int) -> Floors:
    path = make_url(filled.url).database or ""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM ai_request_logs ORDER BY id").fetchall()  # noqa: S608
    marks = ", ".join("?" * len(_NAMES))
    insert = f"INSERT INTO ai_request_logs ({_COLUMNS}) VALUES ({marks})"  # noqa: S608
    with places.fresh("sqlite") as place:
        path = make_url(place.url).database or ""
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            begin = time.perf_counter()
            for part in _parts(rows, batch):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(insert, part)
                connection.execute("COMMIT")
            yield "executemany", len(rows) / (time.perf_counter() - begin)
    yield "session.add + commit per call", _per_call(places, filled, "sqlite")


def _seconds(write: Callable[[Any], None], parts: Sequence[Any]) -> float:
    begin = time.perf_counter()
    for part in parts:
        write(part)
    return time.perf_counter() - begin


def _parts(rows: list[Any], size: int) -> list[list[Any]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _per_call(places: Places, filled: Place, kind: str) -> float:
    with Database(filled.url) as database, database.engine.connect() as connection:
        query = select(*(_TABLE.c[name] for name in _NAMES)).order_by(_TABLE.c.id).limit(PER_CALL)
        rows = [dict(row) for row in connection.execute(query).mappings()]
    with places.fresh(kind) as place, Database(place.url) as database, Session(database.engine) as session:
        begin = time.perf_counter()
        for row in rows:
            session.add(AIRequestLog(**row))
            session.commit()
        return len(rows) / (time.perf_counter() - begin)
