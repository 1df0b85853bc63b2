"""Counts calls anew from their rows, those included that others have written; and compares both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from cajanegra.errors import SchemaError
from cajanegra.storage.database import Database, reading, snapshot, writing
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.reads import steps_of
from cajanegra.storage.rollups import state, table
from cajanegra.storage.rollups.cubes import (
    CUBES,
    OF_ALL,
    STEP_CUBES,
    TENANTS,
    Key,
    ceil,
    floor,
    gather,
    tally,
    text_of,
    with_totals,
)
from cajanegra.storage.rollups.deltas import READ, counted_rows, of_tenants, waiting
from cajanegra.storage.rollups.folding import busiest, coarse, count_waiting
from cajanegra.storage.sums import Sums, details_of
from cajanegra.storage.tables import REQUEST_LOGS, ROLLUPS

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_LOGS, _ROLLUPS = REQUEST_LOGS.c, ROLLUPS.c
_AT_ONCE = 2_000
"""Calls in memory at once."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was counted anew.

    Attributes:
        since: from which hour on, UTC without a zone; ``None`` where there are no calls.
        calls: how many calls there are since then.
    """

    since: datetime | None
    calls: int


@dataclass(frozen=True, slots=True)
class Difference:
    """An hour of a tenant of which the rollups say something else than the rows.

    Attributes:
        hour: its begin, UTC without a zone.
        tenant_id: whose; empty for calls without a tenant.
        cube: what calls are counted by.
        counted: calls, as the rollups have it.
        rows: calls, as the rows have it; where both are the same, other figures differ.
    """

    hour: datetime
    tenant_id: str
    cube: str
    counted: int
    rows: int


def rebuild(
    db: Database,
    now: datetime,
    *,
    since: datetime | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Rebuilt:
    """Count all calls anew, day by day; writers go on meanwhile, and nothing is counted twice.

    What calls were counted as that have been deleted stays.

    Args:
        db: the database.
        now: the time that it is, aware.
        since: from this time on; default is from the first call on, or since none was deleted.
        on_progress: told how many days are done, and of how many.

    Raises:
        SchemaError: there are no tables for it.
        StorageError: the database cannot be reached or refuses; days that are done stay done.
    """
    with writing(db) as connection:
        for wanted in state.TABLES:
            if not db.has_table(connection, wanted.name):
                raise SchemaError(f"{db.label} has no {wanted.name}; 'cajanegra db upgrade' creates it")
        if not db.has_column(connection, _ROLLUPS.detailed):
            raise SchemaError(f"{db.label} is of an earlier version; 'cajanegra db upgrade' completes it")
        state.begin(connection, now)
        found = state.read(db, connection)
        first, last = connection.execute(select(func.min(_LOGS.created_at), func.max(_LOGS.created_at))).one()
    if found is None or first is None:
        return Rebuilt(None, 0)
    begin = floor(max(first, fit_time(since) or first), "1h")
    if found.rows_since is not None:
        begin = max(begin, ceil(found.rows_since, "1h"))
    days = [*_days(begin, last)]
    calls = 0
    for number, (start, end) in enumerate(days):
        with _alone(db) as connection:
            calls += _rebuild_day(db, connection, start, end)
        if on_progress is not None:
            on_progress(number + 1, len(days))
    with writing(db) as connection:
        state.take_turn(connection, wait=True)
        found = state.read(db, connection)
        if found is not None and found.complete_since is not None and begin < found.complete_since:
            state.change(connection, complete_since=None if begin <= first else begin)
    return Rebuilt(begin, calls)


def differences(db: Database, *, since: datetime | None = None, most: int = 100) -> list[Difference]:
    """Where the rollups say something else than the rows, at most so many hours; deleted calls do not count.

    Args:
        db: the database.
        since: from this time on; default is since calls are counted.
        most: at most so many.

    Raises:
        StorageError: the database cannot be read.
    """
    found: list[Difference] = []
    with snapshot(db) as connection:
        known = state.read(db, connection)
        first, last = connection.execute(select(func.min(_LOGS.created_at), func.max(_LOGS.created_at))).one()
        newest = connection.execute(select(func.max(_ROLLUPS.start)).where(_ROLLUPS.grain == "1h")).scalar()
        times = [time for time in (first, fit_time(since)) if time is not None]
        if known is None or not times:
            return []
        begin = floor(max(times), "1h")
        for least in (known.complete_since, known.rows_since):
            begin = max(begin, begin if least is None else ceil(least, "1h"))
        late = with_totals(tally(waiting(connection)))
        for hour in _hours(begin, max(filter(None, (last, newest)), default=begin) + _HOUR):
            found += _differences(connection, hour, late)
            if len(found) >= most:
                break
    return found[:most]


@contextmanager
def _alone(db: Database) -> Iterator[Connection]:
    """A transaction that sees one moment, begun when nobody else counts any more and until it ends."""
    if db.dialect == "sqlite":
        with writing(db) as connection:
            yield connection
        return
    with reading(db) as turn, turn.begin():
        state.take_turn(turn, wait=True)
        with writing(db, repeatable=True) as connection:
            yield connection


def _rebuild_day(db: Database, connection: Connection, start: datetime, end: datetime) -> int:
    """Count the calls from one time to another, both of one day, anew; how many there are."""
    found = state.read(db, connection)
    assert found is not None  # noqa: S101 - it was there, and nobody deletes it
    while count_waiting(connection, found):
        pass
    day = floor(start, "1d")
    connection.execute(
        delete(ROLLUPS).where(_ROLLUPS.grain == "1h", _ROLLUPS.start >= start, _ROLLUPS.start < end)
    )
    connection.execute(
        delete(ROLLUPS).where(_ROLLUPS.grain != "1h", _ROLLUPS.start >= day, _ROLLUPS.start < day + _DAY)
    )
    calls = 0
    long: dict[Key, Sums] = {}
    for hour in _hours(day, end):
        if hour < start:
            here = (_ROLLUPS.grain == "1h") & (_ROLLUPS.start == hour)
            rows = dict(table.stored(connection, here))
        else:
            rows = _kept(_of_hour(connection, hour))
            calls += sum(sums.calls for key, sums in rows.items() if key.cube == f"{OF_ALL}total")
            table.insert(connection, rows)
        if hour < found.sealed_until:
            gather(long, coarse(rows).items())
    table.insert(connection, _kept(long))
    return calls


def _of_hour(connection: Connection, hour: datetime) -> dict[Key, Sums]:
    """The rows of an hour, as the calls have it."""
    query = select(*(_LOGS[name] for name in READ))
    query = query.where(_LOGS.created_at >= hour, _LOGS.created_at < hour + _HOUR)
    found: dict[Key, Sums] = {}
    for calls in connection.execute(query.execution_options(yield_per=_AT_ONCE)).partitions():
        columns = dict(zip(READ, zip(*calls, strict=True), strict=True))
        counted = counted_rows(columns, steps_of(connection, columns["id"]))
        gather(found, tally(of_tenants([counted])).items())
    return with_totals(found)


def _kept(rows: dict[Key, Sums]) -> dict[Key, Sums]:
    """The rows, of very many users the busiest alone."""
    users: dict[tuple[str, str, str, str], dict[Key, Sums]] = {}
    kept: dict[Key, Sums] = {}
    for key, sums in rows.items():
        if key.cube in ("user", f"{OF_ALL}user"):
            users.setdefault((key.cube, key.tenant_id, key.grain, key.start), {})[key] = sums
        else:
            kept[key] = sums
    for some in users.values():
        kept |= busiest(some)
    return kept


def _differences(connection: Connection, hour: datetime, late: dict[Key, Sums]) -> Iterator[Difference]:
    here = (_ROLLUPS.grain == "1h") & (_ROLLUPS.start == hour) & _ROLLUPS.cube.in_([*CUBES, *STEP_CUBES])
    counted: dict[tuple[str, str], Sums] = {}
    single: dict[Key, Sums] = {}
    for key, sums in (*table.stored(connection, here), *late.items()):
        if key.start == text_of(hour) and not (key.cube.startswith(OF_ALL) or key.cube == TENANTS.name):
            counted.setdefault((key.tenant_id, key.cube), Sums()).add(sums)
            single.setdefault(key, Sums()).add(sums)
    rows: dict[tuple[str, str], Sums] = {}
    wrong: set[tuple[str, str]] = set()
    in_detail = {tenant for (tenant, cube), sums in counted.items() if cube == "total" and _is_detailed(sums)}
    for key, sums in _of_hour(connection, hour).items():
        if key.cube in CUBES or key.cube in STEP_CUBES:
            rows.setdefault((key.tenant_id, key.cube), Sums()).add(sums)
            same = _same(single.get(key, Sums()), sums, in_detail=key.tenant_id in in_detail)
            if key.cube != "user" and not same:
                wrong.add((key.tenant_id, key.cube))
    for tenant, cube in sorted({*counted, *rows}):
        mine, theirs = counted.get((tenant, cube), Sums()), rows.get((tenant, cube), Sums())
        if cube in STEP_CUBES and tenant not in in_detail:
            continue  # whoever counted these calls did not count steps; answers look at the rows
        if (tenant, cube) in wrong or not _same(mine, theirs, in_detail=tenant in in_detail):
            yield Difference(hour, tenant, cube, mine.calls, theirs.calls)


def _is_detailed(sums: Sums) -> bool:
    return sums.calls == sums.detailed


def _same(one: Sums, other: Sums, *, in_detail: bool) -> bool:
    """Whether two sums say the same of calls."""

    def told(sums: Sums) -> tuple[object, ...]:
        counts = (sums.calls, sums.answered, sums.recovered, sums.tokens, sums.latency, sums.first_token)
        statuses = {name: calls for name, calls in sums.statuses.items() if calls}
        details = details_of(sums) if in_detail else ()
        return *counts, *details, statuses, {name: cost for name, cost in sums.costs.items() if cost}

    return told(one) == told(other)


def _hours(begin: datetime, end: datetime) -> Iterator[datetime]:
    while begin < end:
        yield begin
        begin += _HOUR


def _days(begin: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The times from a begin to the hour of the last call, cut at midnight."""
    end = floor(last, "1h") + _HOUR
    while begin < end:
        midnight = floor(begin, "1d") + _DAY
        yield begin, midnight
        begin = midnight
