"""Error patterns: what failed, how often, and what somebody decided about it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.errors import UsageError
from cajanegra.storage.database import Database, storage_error
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.reads import reading
from cajanegra.storage.tables import ERROR_ANALYSIS

Row = dict[str, Any]
Resolution = Literal["open", "resolved", "wontfix"]
RESOLUTIONS: tuple[Resolution, ...] = ("open", "resolved", "wontfix")
MAX_PATTERNS = 1_000

_PATTERNS = ERROR_ANALYSIS.c


def patterns(
    db: Database, *, status: str | None = None, sort: Literal["count", "last"] = "count"
) -> Sequence[Row]:
    """The error patterns, most frequent or latest first.

    Raises:
        UsageError: there is no such status.
        StorageError: the database cannot be read.
    """
    order = _PATTERNS.occurrence_count if sort == "count" else _PATTERNS.last_occurred
    query = select(ERROR_ANALYSIS).order_by(order.desc().nulls_last(), _PATTERNS.id).limit(MAX_PATTERNS)
    if status is not None:
        query = query.where(_PATTERNS.resolution_status == _known(status))
    with reading(db) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def pattern(db: Database, name: str) -> Row:
    """One error pattern.

    Raises:
        UsageError: there is no pattern of this name; the nearest one is suggested.
        StorageError: the database cannot be read.
    """
    with reading(db) as connection:
        query = select(ERROR_ANALYSIS).where(_PATTERNS.error_pattern == name)
        row = connection.execute(query).mappings().first()
        if row is None:
            names = connection.execute(select(_PATTERNS.error_pattern).limit(MAX_PATTERNS)).scalars().all()
            raise UsageError(_no_pattern(name, [known for known in names if known]))
        return dict(row)


def set_status(db: Database, name: str, status: str, now: datetime) -> Row:
    """Resolve a pattern, open it again, or say that it will not be mended; returns it as it is now.

    Raises:
        UsageError: there is no such pattern or status.
        StorageError: the database cannot be written.
    """
    known = _known(status)
    at = fit_time(now)
    values = {"resolution_status": known, "updated_at": at, "resolved_at": None if known == "open" else at}
    try:
        with db.transaction() as connection:
            connection.execute(update(ERROR_ANALYSIS).where(_PATTERNS.error_pattern == name).values(values))
    except SQLAlchemyError as error:
        raise storage_error(db, error) from None
    return pattern(db, name)


def _known(status: str) -> str:
    if status not in RESOLUTIONS:
        raise UsageError(f"{status!r} is not a status of a pattern; choose one of {', '.join(RESOLUTIONS)}")
    return status


def _no_pattern(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "'cajanegra errors list' shows what there is"
    return f"there is no error pattern {name!r}; {hint}"
