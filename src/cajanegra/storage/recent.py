"""Recognises a request id that comes again, in partitioned storage, where no index spans the days.

``cajanegra_recent_calls`` has a hash of each id of the last days. Inserting into it costs a fraction of what
looking into each partition would; where a hash is there already, the writer looks into the partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

from sqlalchemy import Connection, delete, select

from cajanegra.storage import loading
from cajanegra.storage.database import Database, inserting, writing
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.tables import RECENT_CALLS, REQUEST_LOGS

KEPT = timedelta(days=7)
"""How long a request id that comes again with another time is recognised."""
COLUMNS = ("key", "created_at")
_BATCH = 10_000
_SPREAD = 42
"""Bits of the hash: of a hundred million ids that all begin alike, a thousand pairs have the same key."""
_LEADING = 6
_LEAD = (1 << 64 - _SPREAD) - 1
_RECENT, _LOGS = RECENT_CALLS.c, REQUEST_LOGS.c


def key_of(request_id: str) -> int:
    """64 bits that stand for a request id, as it is stored.

    Most of them are of its hash. An id that begins as a hexadecimal number leads with its first 22 bits: then
    ids in the order of their times, such as UUIDv7, are noted in the same few pages of the index.
    """
    spread = int.from_bytes(blake2b(request_id.encode(), digest_size=8).digest(), signed=True)
    try:
        lead = int(request_id[:_LEADING], 16) >> 2 & _LEAD
    except ValueError:
        return spread
    return (lead << _SPREAD | spread & ((1 << _SPREAD) - 1)) - (1 << 63)


def prepare(request_ids: Sequence[str], now: datetime) -> loading.Load:
    """What ``note`` inserts of a batch."""
    at = now.strftime("%Y-%m-%d %H:%M:%S")
    columns: loading.Columns = [sorted(map(key_of, request_ids)), [at] * len(request_ids)]
    return loading.prepare("postgresql", RECENT_CALLS.name, COLUMNS, columns)


def note(connection: Connection, loads: Iterable[loading.Load]) -> None:
    """Note ids that are all taken for new.

    Raises:
        IntegrityError: one of them is known (see ``loading.is_duplicate``), or has another's hash.
    """
    loading.load(connection, RECENT_CALLS.name, COLUMNS, loads)


def claim(connection: Connection, request_ids: Iterable[str], now: datetime) -> None:
    """Note ids that may be known; until the transaction ends nobody else can."""
    keys = sorted({key_of(request_id) for request_id in request_ids})  # as all writers do
    statement = inserting(RECENT_CALLS, connection.dialect.name)
    statement = statement.on_conflict_do_update(
        index_elements=["key"], set_={"created_at": statement.excluded.created_at}
    )
    if keys:
        connection.execute(statement, [{"key": key, "created_at": fit_time(now)} for key in keys])


def fill(db: Database, now: datetime) -> None:
    """Note the ids of the last days that were written before anybody noted them.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    since, last = fit_time(now - KEPT), 0
    statement = inserting(RECENT_CALLS, db.dialect).on_conflict_do_nothing()
    query = select(_LOGS.id, _LOGS.request_id, _LOGS.created_at).where(_LOGS.created_at >= since)
    while True:
        with writing(db) as connection:
            rows = connection.execute(query.where(_LOGS.id > last).order_by(_LOGS.id).limit(_BATCH)).all()
            if not rows:
                return
            last = rows[-1].id
            values = {key_of(row.request_id): row.created_at for row in rows}
            connection.execute(
                statement, [{"key": key, "created_at": at} for key, at in sorted(values.items())]
            )


def forget(db: Database, now: datetime) -> int:
    """Delete what is older than ``KEPT``; how many ids that were.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    old = select(_RECENT.key).where(_RECENT.created_at < fit_time(now - KEPT)).limit(_BATCH)
    deleted, count = 0, 1
    while count:
        with writing(db) as connection:
            count = connection.execute(
                delete(RECENT_CALLS).where(_RECENT.key.in_(old.with_for_update(skip_locked=True)))
            ).rowcount
        deleted += count
    return deleted
