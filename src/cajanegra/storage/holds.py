"""Legal holds: calls, or all calls of a tenant, that nothing of ours deletes until the hold is lifted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.errors import UsageError
from cajanegra.storage import reads
from cajanegra.storage.database import Database, reading, writing
from cajanegra.storage.fitting import fit_identity, fit_text, fit_time
from cajanegra.storage.tables import HOLDS, REQUEST_LOGS

MOST = 10_000
"""Holds that there may be; each deletion looks at all of them."""

_LOGS, _HOLDS = REQUEST_LOGS.c, HOLDS.c


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold.

    Attributes:
        id: by which it is lifted.
        tenant_id: whose calls; ``None`` where the held call has no tenant.
        request_id: the held call; ``None``: all of the tenant's.
        reason: why, such as the number of a case.
        placed_by: who has placed it.
        placed_at: when, UTC.
    """

    id: int
    tenant_id: str | None
    request_id: str | None
    reason: str
    placed_by: str | None
    placed_at: datetime


def place(
    db: Database,
    *,
    reason: str,
    tenant_id: str | None = None,
    request_id: str | None = None,
    by: str | None = None,
    now: datetime,
) -> Hold:
    """Hold a call, or all of a tenant's, those included that are yet to come.

    Args:
        db: the database.
        reason: why.
        tenant_id: the tenant; beside a call, whose call is meant.
        request_id: the call.
        by: who places it.
        now: the time that it is, aware.

    Raises:
        UsageError: neither is named, there is no such call, no reason, or there are too many holds.
        StorageError: the database cannot be reached or refuses.
    """
    if not (tenant_id or request_id):
        raise UsageError("name a request or a tenant to be held")
    if not reason.strip():
        raise UsageError("say why it is held")
    call: reads.Row | None = None
    with writing(db) as connection:
        if len(connection.execute(select(_HOLDS.id).limit(MOST)).all()) >= MOST:
            raise UsageError(
                f"there are {MOST} holds, which is as many as there may be; hold tenants instead"
            )
        if request_id:
            call = reads.find(connection, tenant_id or ALL_TENANTS, request_id)
            if call is None:
                raise UsageError(f"there is no call {request_id!r} to be held")
        values = {
            "tenant_id": call["tenant_id"] if call else fit_identity(tenant_id),
            "request_id": call["request_id"] if call else None,
            "request_log_id": call["id"] if call else None,
            "reason": fit_text(reason.strip(), 500),
            "placed_by": fit_text(by, 100),
            "placed_at": fit_time(now),
        }
        row = connection.execute(insert(HOLDS).values(values).returning(*_SHOWN)).mappings().one()
    return _hold(dict(row))


def lift(db: Database, hold_id: int) -> bool:
    """Lift a hold; whether there was one.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    with writing(db) as connection:
        return connection.execute(delete(HOLDS).where(_HOLDS.id == hold_id)).rowcount > 0


def listed(db: Database) -> list[Hold]:
    """Every hold, the latest first.

    Raises:
        StorageError: the database cannot be read.
    """
    with reading(db) as connection:
        found = connection.execute(select(*_SHOWN).order_by(_HOLDS.id.desc()))
        return [_hold(dict(row)) for row in found.mappings()]


def is_free() -> ColumnElement[bool]:
    """Whether a call is not held.

    With lists that PostgreSQL makes once: joined, they would keep it from walking an index in order.
    """
    calls = select(_HOLDS.request_log_id).where(_HOLDS.request_log_id.is_not(None))
    tenants = select(_HOLDS.tenant_id).where(_HOLDS.request_log_id.is_(None), _HOLDS.tenant_id.is_not(None))
    return and_(_LOGS.id.not_in(calls), or_(_LOGS.tenant_id.is_(None), _LOGS.tenant_id.not_in(tenants)))


_SHOWN = (_HOLDS.id, _HOLDS.tenant_id, _HOLDS.request_id, _HOLDS.reason, _HOLDS.placed_by, _HOLDS.placed_at)


def _hold(row: Mapping[str, Any]) -> Hold:
    return Hold(**{**row, "placed_at": row["placed_at"].replace(tzinfo=UTC)})
