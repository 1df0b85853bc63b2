"""Counts what writers have left to be counted, one process at a time for all of them."""

from __future__ import annotations

import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.ports import GiveWay
from cajanegra.storage.counted import CountedCalls
from cajanegra.storage.database import Database, storage_error
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.rollups import state, table
from cajanegra.storage.rollups.cubes import (
    COARSE,
    MAX_USERS,
    OF_ALL,
    REST,
    Key,
    coarser,
    floor,
    tally,
    text_of,
    with_totals,
)
from cajanegra.storage.rollups.deltas import OfTenant, unpacked
from cajanegra.storage.sums import Sums
from cajanegra.storage.tables import ROLLUP_DELTAS, ROLLUPS

logger = logging.getLogger("cajanegra")

EVERY = 2.0
"""Seconds between two turns of a writer at least."""
SHARE = 0.1
"""Of a writer's time that counting may take; what waits meanwhile is read with the rest."""
MOST_BYTES = 800_000
"""Of what waits, that are counted in one transaction: 30,000 calls, and 200,000 where they are much alike."""
_AT_ONCE = 1000
"""Calls of which rows are made before others have their turn."""
_TAKEN_AT_ONCE = 500
"""Rows of what waits that one statement deletes."""
_MOST_ROWS = 4_000
_LONGEST = 1.0
"""Seconds after which hours that have ended are left to the next turn."""
_USER_CUBES = ("user", f"{OF_ALL}user")

_DELTAS, _ROLLUPS = ROLLUP_DELTAS.c, ROLLUPS.c


class _AtOnce:
    """Nobody waits for a turn."""

    def __call__(self) -> None:
        """Go on."""

    def briefly(self) -> None:
        """Go on."""


class _CountedMeanwhileError(Exception):
    """Somebody else has counted some of it; the transaction is to be rolled back."""


class Folding:
    """Counts now and then, between the transactions of a writer.

    Args:
        db: the database.
        clock: the time, aware.
        timer: seconds of a monotonic clock.
        cpu: seconds that this thread has worked.
    """

    def __init__(
        self,
        db: Database,
        clock: Callable[[], datetime],
        timer: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._db = db
        self._clock = clock
        self._timer = timer
        self._cpu = cpu
        self._next = 0.0
        self._left = False

    def noted(self) -> None:
        """Something was left to be counted."""
        self._left = True

    def run_if_due(self, give_way: GiveWay) -> None:
        """Count it, if it is time to."""
        if self._timer() >= self._next:
            self.run(give_way)

    def run(self, give_way: GiveWay | None = None) -> None:
        """Count what is left; what goes wrong is logged, since it can be counted later."""
        if not self._left:
            return
        begin = self._cpu()
        try:
            fold(self._db, self._clock(), wait=False, give_way=give_way)
            self._left = False
        except SQLAlchemyError as error:
            logger.warning("what was written is not counted yet: %s", storage_error(self._db, error))
        self._next = self._timer() + max(EVERY, (self._cpu() - begin) / SHARE)


def fold(db: Database, now: datetime, *, wait: bool = True, give_way: GiveWay | None = None) -> None:
    """Count everything that is committed, and seal the hours that have ended.

    Args:
        db: the database.
        now: the time that it is, aware.
        wait: for whoever is counting; else it is left to them.
        give_way: called between small pieces of work.

    Raises:
        SQLAlchemyError: what the database says.
    """
    give_way = give_way or _AtOnce()
    while True:
        with db.engine.connect() as connection:
            waiting = _oldest(connection)
        if not waiting:
            break
        # Most of the work is done before anybody has to wait for its end.
        rows = _tallied(waiting, give_way)
        with suppress(_CountedMeanwhileError), db.transaction() as connection:
            found = _turn(db, connection, wait=wait)
            if found is None:
                return
            if not _take(connection, [one.id for one in waiting]):
                raise _CountedMeanwhileError
            _count(connection, found, rows, give_way.briefly)
    begin = time.monotonic()
    more = True
    while more and time.monotonic() - begin < _LONGEST:
        with db.transaction() as connection:
            found = _turn(db, connection, wait=wait)
            until = floor(fit_time(now) or now, "1h")
            more = found is not None and _seal(connection, found, until, give_way.briefly)


def _turn(db: Database, connection: Connection, *, wait: bool) -> state.State | None:
    return state.read(db, connection) if state.take_turn(connection, wait=wait) else None


def count_waiting(connection: Connection, found: state.State) -> bool:
    """Count what waits, at most so much at once; whether there was anything.

    Args:
        connection: of whoever counts alone.
        found: how far is counted.
    """
    waiting = _oldest(connection)
    if waiting:
        _take(connection, [one.id for one in waiting])
        _count(connection, found, _tallied(waiting, _AtOnce()), lambda: None)
    return bool(waiting)


def _oldest(connection: Connection) -> Sequence[Any]:
    """Rows of what waits, at most so much at once."""
    size = func.sum(func.length(_DELTAS.calls)).over(order_by=_DELTAS.id)
    oldest = select(_DELTAS.id, size.label("upto")).order_by(_DELTAS.id).limit(_MOST_ROWS).subquery()
    first = select(func.min(_DELTAS.id)).scalar_subquery()
    some = select(oldest.c.id).where(or_(oldest.c.upto <= MOST_BYTES, oldest.c.id == first))
    return connection.execute(select(ROLLUP_DELTAS).where(_DELTAS.id.in_(some))).all()


def _tallied(waiting: Sequence[Any], give_way: Callable[[], object]) -> dict[str, dict[Key, Sums]]:
    """By hour, what is to be counted."""
    hours: dict[str, dict[Key, Sums]] = defaultdict(dict)
    found = tally(_in_portions(waiting, give_way), give_way)
    for key, sums in with_totals(found, give_way).items():
        hours[key.start][key] = sums
    return hours


def _in_portions(waiting: Sequence[Any], give_way: Callable[[], object]) -> Iterator[OfTenant]:
    """The calls of rows, so many at once that they are counted together without holding others up."""
    # By tenant: the fewer of them there are at once, the fewer rows there are to add up.
    ordered = sorted(waiting, key=lambda row: str(row.tenant_id))
    for tenant, rows in itertools.groupby(ordered, key=lambda row: row.tenant_id):
        parts: list[CountedCalls] = []
        for row in rows:
            if some := unpacked(row.calls):
                parts.append(some)
            else:
                logger.warning(
                    "some calls that were to be counted cannot be read: run 'cajanegra rollups rebuild'"
                )
            give_way()
            if sum(map(len, parts)) >= _AT_ONCE:
                yield tenant, CountedCalls.joined(parts)
                parts = []
        if parts:
            yield tenant, CountedCalls.joined(parts)


def _take(connection: Connection, ids: Sequence[int]) -> bool:
    """Take rows of what waits; whether all of them were there."""
    taken = 0
    for begin in range(0, len(ids), _TAKEN_AT_ONCE):
        some = ids[begin : begin + _TAKEN_AT_ONCE]
        taken += connection.execute(delete(ROLLUP_DELTAS).where(_DELTAS.id.in_(some))).rowcount
    return taken == len(ids)


def _count(
    connection: Connection,
    found: state.State,
    hours: Mapping[str, dict[Key, Sums]],
    give_way: Callable[[], object],
) -> None:
    sealed = text_of(found.sealed_until)
    for hour, rows in sorted(hours.items()):
        if hour >= sealed:
            table.add(connection, rows, give_way)
        else:  # they come late, or from elsewhere
            late = rows | coarse(rows)
            table.add(connection, late, give_way)
            keep_busiest(connection, late)


def coarse(hours: dict[Key, Sums]) -> dict[Key, Sums]:
    """The rows of coarser grains that hours make."""
    found: dict[Key, Sums] = {}
    for key, sums in hours.items():
        for grain in COARSE:
            found.setdefault(coarser(key, grain), Sums()).add(sums)
    return found


def busiest(users: dict[Key, Sums]) -> dict[Key, Sums]:
    """Of the users of one hour, a row each, those with most calls, and a row of the others."""
    if len(users) <= MAX_USERS:
        return users
    ordered = sorted(users.items(), key=lambda item: (item[0].keys[1] == REST, -item[1].calls, item[0].keys))
    kept = dict(ordered[:MAX_USERS])
    key = ordered[0][0]
    rest = Key(key.cube, key.tenant_id, key.grain, key.start, ("", REST, ""))
    kept[rest] = Sums()
    for _key, sums in ordered[MAX_USERS:]:
        kept[rest].add(sums)
    return kept


def _seal(connection: Connection, found: state.State, now: datetime, give_way: Callable[[], object]) -> bool:
    """Count the next hour that has ended in the coarser grains; whether there was one."""
    if found.sealed_until >= now:
        return False
    first = select(func.min(_ROLLUPS.start)).where(
        _ROLLUPS.grain == "1h", _ROLLUPS.start >= found.sealed_until, _ROLLUPS.start < now
    )
    hour = connection.execute(first).scalar()
    if hour is None:
        state.change(connection, sealed_until=now)
        return False
    in_hour = (_ROLLUPS.start == hour) & (_ROLLUPS.grain == "1h")
    users = select(*table.KEY_COLUMNS).where(in_hour, _ROLLUPS.cube.in_(_USER_CUBES))
    keep_busiest(connection, map(table.key_of, connection.execute(users)))
    rows = coarse(dict(table.stored(connection, in_hour)))
    table.add(connection, rows, give_way)
    keep_busiest(connection, rows)
    state.change(connection, sealed_until=hour + timedelta(hours=1))
    return True


def keep_busiest(connection: Connection, touched: Iterable[Key]) -> None:
    """Count users together who are not among the busiest of their hours."""
    groups = {(key.cube, key.tenant_id, key.grain, key.start) for key in touched if key.cube in _USER_CUBES}
    for cube, tenant, grain, start in sorted(groups):
        here = (
            (_ROLLUPS.cube == cube)
            & (_ROLLUPS.tenant_id == tenant)
            & (_ROLLUPS.grain == grain)
            & (_ROLLUPS.start == datetime.fromisoformat(start))
        )
        users = select(func.count()).where(here, _ROLLUPS.key2 != REST)
        if connection.execute(users).scalar_one() > MAX_USERS:
            kept = busiest(dict(table.stored(connection, here)))
            connection.execute(delete(ROLLUPS).where(here))
            table.write(connection, kept)
