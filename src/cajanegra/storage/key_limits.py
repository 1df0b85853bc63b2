"""The limits of API keys, and what was used of them, by all processes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, tuple_

from cajanegra.domain.keys import KeyLimits
from cajanegra.storage.database import Database, inserting, writing
from cajanegra.storage.tables import KEY_LIMITS, KEY_USAGE

COLUMNS = (
    KEY_LIMITS.c.key_id.label("limited_key"),
    KEY_LIMITS.c.models,
    KEY_LIMITS.c.requests_per_minute,
    KEY_LIMITS.c.tokens_per_minute,
    KEY_LIMITS.c.monthly_budget,
)
"""What ``read`` reads, to be selected beside a key."""
NANOS = 1_000_000_000
"""Parts of a US dollar in which costs are added up."""
_MINUTE_SIZE = len("2026-11-25T20:01")
_USAGE = KEY_USAGE.c


@dataclass(frozen=True, slots=True)
class Used:
    """What a key has used in a period: ``2026-11`` or ``2026-11-25T20:01``, UTC; costs in billionths."""

    key_id: int
    period: str
    requests: int = 0
    tokens: int = 0
    cost: int = 0


def read(row: Mapping[str, Any]) -> KeyLimits | None:
    """The limits in a row with ``COLUMNS``."""
    if row["limited_key"] is None:
        return None
    return KeyLimits(
        tuple(msgspec.json.decode(row["models"])) if row["models"] else (),
        row["requests_per_minute"],
        row["tokens_per_minute"],
        row["monthly_budget"],
    )


def put(connection: Connection, key_id: int, limits: KeyLimits) -> None:
    """Set the limits of a key, instead of those it had."""
    connection.execute(delete(KEY_LIMITS).where(KEY_LIMITS.c.key_id == key_id))
    if limits.are_none:
        return
    values = {
        "key_id": key_id,
        "models": msgspec.json.encode(limits.models).decode() if limits.models else None,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "monthly_budget": limits.monthly_budget,
    }
    connection.execute(insert(KEY_LIMITS).values(values))


def take(db: Database, key_id: int, period: str, wanted: int, most: int) -> int:
    """Take requests of what a key may still make in a period; how many were granted.

    However many processes take at once, they are granted ``most`` together.

    Args:
        db: the database.
        key_id: whose.
        period: a minute.
        wanted: how many at best, at most ``most``; one where so many are not left.
        most: how many there are in the period.

    Raises:
        StorageError: the database cannot be written.
    """
    with writing(db) as connection:
        for number in dict.fromkeys((wanted, 1)):
            values = {"key_id": key_id, "period": period, "requests": number, "tokens": 0, "cost": 0}
            statement = inserting(KEY_USAGE, db.dialect).values(values)
            taken = statement.on_conflict_do_update(
                index_elements=["key_id", "period"],
                set_={"requests": _USAGE.requests + number},
                where=_USAGE.requests + number <= most,
            ).returning(_USAGE.requests)
            if connection.execute(taken).first() is not None:
                return number
    return 0


def add(db: Database, used: Sequence[Used], wanted: Sequence[tuple[int, str]], before: str) -> list[Used]:
    """Add to what was used, and return what all processes have used of the wanted keys and periods.

    Args:
        db: the database.
        used: what is added.
        wanted: key and period, of what is returned.
        before: minutes before this one are forgotten.

    Raises:
        StorageError: the database cannot be written.
    """
    statement = inserting(KEY_USAGE, db.dialect)
    upsert = statement.on_conflict_do_update(
        index_elements=["key_id", "period"],
        set_={
            name: getattr(_USAGE, name) + getattr(statement.excluded, name)
            for name in ("requests", "tokens", "cost")
        },
    )
    rows = [
        {"key_id": u.key_id, "period": u.period, "requests": u.requests, "tokens": u.tokens, "cost": u.cost}
        for u in sorted(used, key=lambda one: (one.key_id, one.period))
    ]
    with writing(db) as connection:
        if rows:
            connection.execute(upsert, rows)
            old = (func.length(_USAGE.period) == _MINUTE_SIZE, _USAGE.period < before)
            connection.execute(delete(KEY_USAGE).where(*old))
        query = select(KEY_USAGE).where(tuple_(_USAGE.key_id, _USAGE.period).in_(wanted))
        return [Used(**row) for row in connection.execute(query).mappings()]
