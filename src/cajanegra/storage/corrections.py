"""Corrections in ``ai_error_analysis``: read as whoever wrote them left them, written as they are to be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Select, null, select, update

from cajanegra.domain.correction import Correction
from cajanegra.ports import StoredCorrection
from cajanegra.storage.database import Database, reading, writing
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.pattern_changes import note_change
from cajanegra.storage.pattern_names import current_names, no_such_pattern
from cajanegra.storage.tables import ERROR_ANALYSIS, PATTERNS

MOST_CORRECTIONS = 1_000
"""Corrections that are obeyed, those of the newest patterns before others."""

_ANALYSIS = ERROR_ANALYSIS.c
_MERGED = PATTERNS.c


def corrections(db: Database) -> Sequence[StoredCorrection]:
    """The corrections that are enabled.

    Raises:
        StorageError: the database cannot be read.
    """
    query = _stored().order_by(_ANALYSIS.id.desc()).limit(MOST_CORRECTIONS)
    with reading(db) as connection:
        return [StoredCorrection(*row) for row in connection.execute(query)]


def of_merged(db: Database, stored: Sequence[StoredCorrection]) -> Sequence[StoredCorrection]:
    """The same corrections for the patterns that are merged into those they are enabled for.

    Raises:
        SchemaError: the database has the guide's tables alone, in which nothing is merged.
        StorageError: the database cannot be read.
    """
    if not stored:
        return []
    known = {one.pattern: one for one in stored}
    query = select(_MERGED.pattern, _MERGED.merged_into).where(_MERGED.merged_into.in_(known))
    with reading(db) as connection:
        return [
            msgspec.structs.replace(known[row.merged_into], pattern=row.pattern)
            for row in connection.execute(query)
        ]


def enabled_correction(db: Database, name: str) -> StoredCorrection | None:
    """The correction of a pattern; ``None`` where none is enabled.

    Raises:
        StorageError: the database cannot be read.
    """
    with reading(db) as connection:
        row = connection.execute(_stored().where(_ANALYSIS.error_pattern == name)).first()
        return None if row is None else StoredCorrection(*row)


def set_correction(
    db: Database, name: str, correction: Correction | None, now: datetime, *, by: str | None = None
) -> str:
    """Enable a correction for a pattern, or none; returns the pattern's name.

    Args:
        db: the database.
        name: the pattern, or one that is merged into it.
        correction: what is to be done; ``None`` takes back what there is.
        now: the time that it is.
        by: who decides, for the history.

    Raises:
        UsageError: there is no such pattern.
        StorageError: the database cannot be written.
    """
    values = {
        "auto_correction_enabled": str(correction.strategy) if correction else None,
        "correction_config": correction.config if correction else null(),
        "updated_at": fit_time(now),
    }
    with writing(db) as connection:
        here = current_names(connection, [name])[name]
        query = select(_ANALYSIS.auto_correction_enabled, _ANALYSIS.correction_config)
        before = connection.execute(query.where(_ANALYSIS.error_pattern == here).with_for_update()).first()
        if before is None:
            raise no_such_pattern(connection, name)
        connection.execute(update(ERROR_ANALYSIS).where(_ANALYSIS.error_pattern == here).values(values))
        old = _words(*before)
        new = _words(str(correction.strategy), correction.config) if correction else None
        if old != new:
            note_change(connection, here, "correction", old, new, at=now, by=by)
    return here


def _stored() -> Select[Any]:
    enabled = _ANALYSIS.auto_correction_enabled
    return select(_ANALYSIS.error_pattern, _ANALYSIS.error_code, enabled, _ANALYSIS.correction_config).where(
        _ANALYSIS.error_pattern.is_not(None), enabled.is_not(None), enabled != ""
    )


def _words(strategy: str | None, settings: Any) -> str | None:
    """A correction as the history has it: ``fallback {"provider":"openai"}``."""
    if not strategy:
        return None
    return f"{strategy} {msgspec.json.encode(settings).decode()}" if settings else strategy
