"""From when on the rollups can be relied on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select, text, update

from cajanegra.storage.database import Database, inserting
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.rollups.cubes import GRAINS, floor
from cajanegra.storage.tables import REQUEST_LOGS, ROLLUP_DELTAS, ROLLUP_STATE, ROLLUPS

TABLES = (ROLLUPS, ROLLUP_DELTAS, ROLLUP_STATE)

_LOGS, _STATE = REQUEST_LOGS.c, ROLLUP_STATE.c
_LOCK = 0x63616A61
"""Of PostgreSQL's advisory locks: who has it may change the rollups. ("caja")"""


@dataclass(frozen=True, slots=True)
class State:
    """The row of ``cajanegra_rollup_state``; times are UTC without a zone.

    Attributes:
        complete_since: calls begun before this hour were not all counted; ``None``: all are.
        sealed_until: the hours before this one are counted in coarser grains, too.
        rows_since: calls begun before this may have been deleted; ``None``: none.
    """

    complete_since: datetime | None
    sealed_until: datetime
    rows_since: datetime | None


def read(db: Database, connection: Connection) -> State | None:
    """The state; ``None`` where nobody has counted yet, or there are no rollups, or an earlier version's."""
    there = all(db.has_table(connection, table.name) for table in TABLES)
    if not there or not db.has_column(connection, ROLLUPS.c.detailed):
        return None
    columns = _STATE.complete_since, _STATE.sealed_until, _STATE.rows_since
    row = connection.execute(select(*columns).where(_STATE.id == 1)).first()
    return None if row is None else State(*row)


def begin(connection: Connection, now: datetime) -> None:
    """Say from when on calls are counted, if nobody has: from the next hour where there are calls already."""
    hour = floor(_fitted(now), "1h")
    newest = select(_LOGS.created_at).where(_LOGS.created_at.is_not(None)).order_by(_LOGS.created_at.desc())
    last = connection.execute(newest.limit(1)).scalar()
    since = None if last is None else floor(max(last, _fitted(now)), "1h") + GRAINS["1h"]
    first = inserting(ROLLUP_STATE, connection.dialect.name).values(
        id=1, complete_since=since, sealed_until=hour
    )
    connection.execute(first.on_conflict_do_nothing())


def change(connection: Connection, **values: Any) -> None:
    """Give columns of the row other values."""
    connection.execute(update(ROLLUP_STATE).where(_STATE.id == 1).values(values))


def note_deleted(db: Database, connection: Connection, before: datetime) -> None:
    """Calls begun before a time (UTC without a zone) are about to be deleted; they stay counted."""
    if db.has_table(connection, ROLLUP_STATE.name):
        later = or_(_STATE.rows_since.is_(None), _STATE.rows_since < before)
        connection.execute(update(ROLLUP_STATE).where(_STATE.id == 1, later).values(rows_since=before))


def take_turn(connection: Connection, *, wait: bool) -> bool:
    """Be the only one that changes the rollups until the transaction ends; whether nobody else is.

    On SQLite, who writes is the only one.
    """
    if connection.dialect.name == "sqlite":
        return True
    if wait:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        return True
    taken = connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK})
    return bool(taken.scalar())


def _fitted(time: datetime) -> datetime:
    fitted = fit_time(time)
    assert fitted is not None  # noqa: S101 - it is a time
    return fitted
