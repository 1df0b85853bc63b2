"""Deletes what is older than anybody wants to keep, in small steps that hold nobody up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.errors import UsageError
from cajanegra.storage.database import Database, storage_error
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.reads import reading
from cajanegra.storage.tables import CONTENTS, ERROR_RECOVERY, REQUEST_LOGS

BATCH = 1_000
"""Calls deleted in one transaction: some tens of milliseconds of locks."""

_LOGS = REQUEST_LOGS.c
_PARTS: Sequence[Table] = (ERROR_RECOVERY, CONTENTS)


@dataclass(frozen=True, slots=True)
class CleanupReport:
    """What was deleted, or would be: rows per table, parts of calls that somebody else deleted included."""

    calls: int = 0
    steps: int = 0
    contents: int = 0

    def __add__(self, other: CleanupReport) -> CleanupReport:
        return CleanupReport(
            self.calls + other.calls, self.steps + other.steps, self.contents + other.contents
        )


def cleanup(
    db: Database,
    *,
    older_than: timedelta,
    now: datetime,
    dry_run: bool = False,
    batch_size: int = BATCH,
    on_progress: Callable[[int, int], None] | None = None,
) -> CleanupReport:
    """Delete the calls begun longer ago than ``older_than``, oldest first, with their steps and contents.

    Error patterns stay, and so do rows without a time. It may run twice at once.

    Args:
        db: the database.
        older_than: age from which a call goes.
        now: the time from which the age is reckoned.
        dry_run: count, and delete nothing.
        batch_size: calls in one transaction.
        on_progress: told how many calls are deleted, and of how many.

    Raises:
        UsageError: the age is negative.
        StorageError: the database cannot be reached or refuses; what was deleted before stays deleted.
    """
    if older_than < timedelta(0):
        raise UsageError(f"days must be 0 or more, not {older_than.days}")
    cutoff = fit_time(now - older_than)
    old = _LOGS.created_at < cutoff
    with reading(db) as connection:
        total = connection.execute(select(func.count()).select_from(REQUEST_LOGS).where(old)).scalar_one()
        if dry_run:
            calls = select(_LOGS.id).where(old)
            counts = [
                connection.execute(
                    select(func.count())
                    .select_from(part)
                    .where(part.c.request_log_id.in_(calls) | _orphaned(part))
                ).scalar_one()
                for part in _PARTS
            ]
            return CleanupReport(total, *counts)
    report = CleanupReport()
    try:
        while True:
            with db.transaction() as connection:
                done = _delete_batch(connection, cutoff, batch_size)
            report += done
            if on_progress is not None:
                on_progress(report.calls, max(total, report.calls))
            if not done.calls:
                break
        return report + _sweep(db, batch_size)
    except SQLAlchemyError as error:
        raise storage_error(db, error) from None


def _delete_batch(connection: Connection, cutoff: datetime | None, size: int) -> CleanupReport:
    # Whoever else cleans up has locked the rows that it deletes: these are left to it.
    oldest = select(_LOGS.id).where(_LOGS.created_at < cutoff).order_by(_LOGS.created_at).limit(size)
    ids = connection.execute(oldest.with_for_update(skip_locked=True)).scalars().all()
    if not ids:
        return CleanupReport()
    counts = [
        connection.execute(delete(part).where(part.c.request_log_id.in_(ids))).rowcount for part in _PARTS
    ]
    calls = connection.execute(delete(REQUEST_LOGS).where(_LOGS.id.in_(ids))).rowcount
    return CleanupReport(calls, *counts)


def _sweep(db: Database, size: int) -> CleanupReport:
    """Delete parts whose call is gone; the guide's own cleanup deletes calls alone."""
    swept = [0, 0]
    for index, part in enumerate(_PARTS):
        while True:
            with db.transaction() as connection:
                orphans = select(part.c.id).where(_orphaned(part)).limit(size)
                ids = connection.execute(orphans.with_for_update(skip_locked=True)).scalars().all()
                count = connection.execute(delete(part).where(part.c.id.in_(ids))).rowcount if ids else 0
            swept[index] += count
            if not ids:
                break
    return CleanupReport(0, *swept)


def _orphaned(part: Table) -> ColumnElement[bool]:
    return ~exists(select(literal(1)).where(_LOGS.id == part.c.request_log_id))
