"""Erases what is known of a user or a tenant, and writes a receipt that does not say whom it was about."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.errors import UsageError
from cajanegra.storage.database import Database, reading, storage_error, writing
from cajanegra.storage.filters import of_scope
from cajanegra.storage.fitting import fit_identity, fit_text, fit_time
from cajanegra.storage.holds import is_free
from cajanegra.storage.retention import BATCH
from cajanegra.storage.rollups.cubes import OF_ALL, TENANTS
from cajanegra.storage.rollups.folding import fold
from cajanegra.storage.tables import (
    CONTENTS,
    ERASURES,
    ERROR_RECOVERY,
    OCCURRENCES,
    PATTERN_FACETS,
    PATTERN_HOURS,
    PATTERN_TENANTS,
    REQUEST_LOGS,
    ROLLUPS,
    WAITING,
)

_LOGS, _ERASURES, _ROLLUPS = REQUEST_LOGS.c, ERASURES.c, ROLLUPS.c
_PARTS: Mapping[str, Table] = {"steps": ERROR_RECOVERY, "contents": CONTENTS, "links": OCCURRENCES}
_OF_TENANT: Sequence[Table] = (PATTERN_TENANTS, PATTERN_HOURS, PATTERN_FACETS)
"""Counts of error patterns by tenant; their totals over all tenants tell of nobody, and stay."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased.

    Attributes:
        id: its number.
        subject: ``user`` or ``tenant``.
        tenant_id: the tenant in whose record a user was erased; ``None``: everywhere, or a tenant was erased.
        subject_hash: SHA-256 of the user's or tenant's id, so that the receipt can be found again by whoever
            knows whom it was about.
        requested_by: who asked for it.
        counts: rows that were deleted, by what they are, and ``held``: calls that stay because they are held.
        began_at: when, UTC; what was begun later is not covered.
        ended_at: when it was complete; ``None`` where it was cut short and is to be done again.
    """

    id: int
    subject: Literal["user", "tenant"]
    tenant_id: str | None
    subject_hash: str
    requested_by: str | None
    counts: Mapping[str, int]
    began_at: datetime
    ended_at: datetime | None


def erase(
    db: Database,
    scope: Scope,
    *,
    user_id: str | None = None,
    by: str | None = None,
    now: datetime,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    batch_size: int = BATCH,
    on_progress: Callable[[int, int], None] | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> Receipt:
    """Erase a user's or a tenant's calls, with what is counted for either; totals over all tenants stay.

    Calls that are held stay, and are counted. Done again it erases what has come since, and writes another
    receipt. Events that a recorder has not brought to the database yet come later: run it again then.

    Args:
        db: the database.
        scope: in whose record; a tenant without a ``user_id`` is erased itself.
        user_id: whose calls.
        by: who asked for it.
        now: the time that it is, aware.
        clock: the time when it ends.
        batch_size: calls in one transaction.
        on_progress: told how many calls are erased, and of how many.
        goes_on: asked between two transactions whether to go on.

    Raises:
        UsageError: neither a user nor a tenant is named.
        StorageError: the database cannot be reached or refuses; what was erased before stays erased.
    """
    of_all = isinstance(scope, AllTenants)
    if user_id is None and of_all:
        raise UsageError("name a user or a tenant to be erased")
    meant = of_scope(scope)
    if user_id is not None:
        if not user_id:
            raise UsageError("the user's id is empty")
        meant.append(_LOGS.user_id == fit_identity(user_id))
    counts = dict.fromkeys(("calls", *_PARTS, "waiting", "counts", "held"), 0)
    number = _begin(db, scope, user_id, by, now, counts)
    complete = _erase_calls(db, meant, counts, batch_size, on_progress, goes_on)
    if complete:
        tenant = None if isinstance(scope, AllTenants) else fit_identity(scope)
        try:
            fold(db, now)  # else what waits to be counted would come afterwards
        except SQLAlchemyError as error:
            raise storage_error(db, error) from None
        with writing(db) as connection:
            _erase_counts(connection, tenant, fit_identity(user_id), counts)
    with reading(db) as connection:
        query = select(func.count()).select_from(REQUEST_LOGS).where(*meant, ~is_free())
        counts["held"] = connection.execute(query).scalar_one()
    return _end(db, number, counts, clock() if complete else None)


def receipts(db: Database, scope: Scope, limit: int = 100) -> list[Receipt]:
    """The receipts of a scope, the latest first.

    Raises:
        StorageError: the database cannot be read.
    """
    query = select(*_SHOWN).order_by(_ERASURES.id.desc()).limit(limit)
    if not isinstance(scope, AllTenants):
        own = _hash(str(fit_identity(scope)))
        query = query.where(
            or_(
                _ERASURES.tenant_id == fit_identity(scope),
                (_ERASURES.subject == "tenant") & (_ERASURES.subject_hash == own),
            )
        )
    with reading(db) as connection:
        return [_receipt(dict(row)) for row in connection.execute(query).mappings()]


def _begin(
    db: Database, scope: Scope, user_id: str | None, by: str | None, now: datetime, counts: dict[str, int]
) -> int:
    tenant = None if isinstance(scope, AllTenants) else fit_identity(scope)
    values = {
        "subject": "tenant" if user_id is None else "user",
        "tenant_id": None if user_id is None else tenant,
        "subject_hash": _hash(str(tenant if user_id is None else fit_identity(user_id))),
        "requested_by": fit_text(by, 100),
        "counts": counts,
        "began_at": fit_time(now),
    }
    with writing(db) as connection:
        return int(connection.execute(insert(ERASURES).values(values).returning(_ERASURES.id)).scalar_one())


def _end(db: Database, number: int, counts: dict[str, int], ended: datetime | None) -> Receipt:
    change = update(ERASURES).where(_ERASURES.id == number)
    values = {"counts": counts, "ended_at": None if ended is None else fit_time(ended)}
    with writing(db) as connection:
        return _receipt(dict(connection.execute(change.values(values).returning(*_SHOWN)).mappings().one()))


def _erase_calls(
    db: Database,
    meant: Sequence[ColumnElement[bool]],
    counts: dict[str, int],
    size: int,
    on_progress: Callable[[int, int], None] | None,
    goes_on: Callable[[], bool],
) -> bool:
    """Whether nothing is left to erase."""
    with reading(db) as connection:
        query = select(func.count()).select_from(REQUEST_LOGS).where(*meant, is_free())
        total = connection.execute(query).scalar_one()
    last = 0
    while goes_on():
        with writing(db) as connection:
            if db.dialect == "sqlite":
                connection.execute(text("PRAGMA secure_delete = ON"))  # the pages themselves are overwritten
            last = _erase_batch(connection, [*meant, is_free(), _LOGS.id > last], counts, size)
        if on_progress is not None:
            on_progress(counts["calls"], max(total, counts["calls"]))
        if not last:
            return True
    return False


def _erase_batch(
    connection: Connection, meant: Sequence[ColumnElement[bool]], counts: dict[str, int], size: int
) -> int:
    """Erase some calls in the order of their ids; the last one's, or 0 where there was none."""
    query = select(_LOGS.id, _LOGS.request_id, _LOGS.tenant_id).where(*meant).order_by(_LOGS.id).limit(size)
    rows = connection.execute(query.with_for_update()).all()
    if not rows:
        return 0
    ids = [row.id for row in rows]
    for name, part in _PARTS.items():
        counts[name] += connection.execute(delete(part).where(part.c.request_log_id.in_(ids))).rowcount
    waits = delete(WAITING).where(WAITING.c.request_id.in_([row.request_id for row in rows]))
    of_tenants = WAITING.c.tenant_id.in_([row.tenant_id for row in rows if row.tenant_id])
    counts["waiting"] += connection.execute(waits.where(of_tenants)).rowcount
    counts["calls"] += connection.execute(delete(REQUEST_LOGS).where(_LOGS.id.in_(ids))).rowcount
    return int(ids[-1])


def _erase_counts(
    connection: Connection, tenant: str | None, user: str | None, counts: dict[str, int]
) -> None:
    """Erase what is counted for a user or a tenant, and what waits for calls of a tenant."""
    of_users = _ROLLUPS.cube.in_(("user", f"{OF_ALL}user"))
    if user is not None:
        of_tenant = [] if tenant is None else [_ROLLUPS.tenant_id.in_((tenant, ""))]
        conditions = [and_(of_users, _ROLLUPS.key1 == user, *of_tenant)]
    else:
        users = select(_ROLLUPS.key1).where(
            _ROLLUPS.tenant_id == tenant, _ROLLUPS.cube == "user", _ROLLUPS.key1 != ""
        )
        conditions = [
            and_(_ROLLUPS.cube == f"{OF_ALL}user", _ROLLUPS.key1.in_(users)),
            and_(_ROLLUPS.cube == TENANTS.name, _ROLLUPS.key1 == tenant),
            _ROLLUPS.tenant_id == tenant,
        ]
    for condition in conditions:
        counts["counts"] += connection.execute(delete(ROLLUPS).where(condition)).rowcount
    if user is None:
        for table in _OF_TENANT:
            gone = delete(table).where(table.c.tenant_id == tenant)
            counts["counts"] += connection.execute(gone).rowcount
        waits = delete(WAITING).where(WAITING.c.tenant_id == tenant)
        counts["waiting"] += connection.execute(waits).rowcount


def _hash(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()


_SHOWN = (
    _ERASURES.id, _ERASURES.subject, _ERASURES.tenant_id, _ERASURES.subject_hash, _ERASURES.requested_by,
    _ERASURES.counts, _ERASURES.began_at, _ERASURES.ended_at,
)  # fmt: skip


def _receipt(row: Mapping[str, Any]) -> Receipt:
    began, ended = row["began_at"], row["ended_at"]
    times = {"began_at": began.replace(tzinfo=UTC), "ended_at": ended and ended.replace(tzinfo=UTC)}
    return Receipt(**{**row, **times})
