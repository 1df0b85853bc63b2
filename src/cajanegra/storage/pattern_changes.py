"""What people decide about error patterns: their status, and which of them belong together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec
from sqlalchemy import Column, Connection, DateTime, delete, func, insert, select, text, update

from cajanegra.errors import UsageError
from cajanegra.storage.database import Database, inserting, writing
from cajanegra.storage.fitting import INT32_MAX, fit_text, fit_time
from cajanegra.storage.pattern_names import members, no_such_pattern
from cajanegra.storage.reopening import forget_regressions
from cajanegra.storage.tables import ERROR_ANALYSIS, PATTERN_CHANGES, PATTERNS

Resolution = Literal["open", "resolved", "wontfix"]
RESOLUTIONS: tuple[Resolution, ...] = get_args(Resolution)

_ANALYSIS = ERROR_ANALYSIS.c
_OWN = PATTERNS.c
_KEPT = [column for column in ERROR_ANALYSIS.columns if column.name != "id"]


def set_status(db: Database, name: str, status: str, now: datetime, *, by: str | None = None) -> str:
    """Resolve a pattern, open it again, or say that it will not be mended; returns its name.

    That it was reopened by a failure is forgotten: somebody has seen it.

    Args:
        db: the database.
        name: the pattern, or one that is merged into it.
        status: ``open``, ``resolved`` or ``wontfix``.
        now: the time that it is; calls that begin later and meet a resolved pattern open it again.
        by: who decides, for the history.

    Raises:
        UsageError: there is no such pattern or status.
        StorageError: the database cannot be written.
    """
    known, at = known_status(status), fit_time(now)
    with writing(db) as connection:
        found = _locked(connection, name)[name]
        here = found["merged_into"] or name
        before = connection.execute(
            select(_ANALYSIS.resolution_status).where(_ANALYSIS.error_pattern == here).with_for_update()
        ).first()
        if before is None:
            raise no_such_pattern(connection, name)
        values = {
            "resolution_status": known,
            "updated_at": at,
            "resolved_at": None if known == "open" else at,
        }
        connection.execute(update(ERROR_ANALYSIS).where(_ANALYSIS.error_pattern == here).values(values))
        seen = {"regressed_at": None, "resolved_before": None}
        connection.execute(update(PATTERNS).where(_OWN.pattern == here).values(seen))
        if before.resolution_status != known:
            note_change(connection, here, "status", before.resolution_status, known, at=now, by=by)
    return str(here)


def merge(db: Database, name: str, into: str, now: datetime, *, by: str | None = None) -> str:
    """Count the failures of a pattern under another one, those of the past and those to come.

    It holds for every process that writes, from its next batch on. What was merged into the pattern before
    goes along. The row of the pattern in ``ai_error_analysis`` goes, and comes back with ``split``.

    Returns:
        The name of the pattern under which both count now: ``into``, or what that is merged into itself.

    Raises:
        UsageError: one of the patterns does not exist, both are the same, or the first is merged already.
        StorageError: the database cannot be written.
    """
    with writing(db) as connection:
        found = _locked(connection, name, into)
        target = found[into]["merged_into"] or into
        if found[name]["merged_into"]:
            raise UsageError(
                f"{name!r} is merged into {found[name]['merged_into']!r}; "
                f"split it first: cajanegra errors split {name}"
            )
        if into == name:
            raise UsageError("a pattern cannot be merged into itself")
        if target == name:
            raise UsageError(f"{into!r} counts under {name!r} already")
        row, other = _row(connection, name), _row(connection, target)
        if row is None or other is None:
            raise no_such_pattern(connection, into if row else name)
        count = row["occurrence_count"] or 0
        earlier = max(0, count - _counted(connection, list(members(connection, [name]))))
        kept = {column.name: _plain(row[column.name]) for column in _KEPT} | {"occurrence_count": earlier}
        both = {
            "occurrence_count": min((other["occurrence_count"] or 0) + count, INT32_MAX),
            "last_occurred": max(filter(None, (row["last_occurred"], other["last_occurred"])), default=None),
            "updated_at": fit_time(now),
        }
        forget_regressions(connection, name)
        connection.execute(update(PATTERNS).where(_OWN.merged_into == name).values(merged_into=target))
        connection.execute(
            update(PATTERNS)
            .where(_OWN.pattern == name)
            .values(merged_into=target, kept=kept, regressed_at=None, resolved_before=None)
        )
        connection.execute(update(ERROR_ANALYSIS).where(_ANALYSIS.error_pattern == target).values(both))
        connection.execute(delete(ERROR_ANALYSIS).where(_ANALYSIS.error_pattern == name))
        note_change(connection, name, "merged", None, target, at=now, by=by)
    return str(target)


def split(db: Database, name: str, now: datetime, *, by: str | None = None) -> str:
    """Count the failures of a merged pattern under its own name again, those of the past included.

    Its row comes back as it was, with what was counted meanwhile.

    Returns:
        The name of the pattern that it was merged into.

    Raises:
        UsageError: it is not merged.
        StorageError: the database cannot be written.
    """
    with writing(db) as connection:
        found = _locked(connection, name)[name]
        target = found["merged_into"]
        if target is None:
            raise _not_merged(connection, name)
        kept = msgspec.convert(found["kept"], dict[str, Any])
        count = found["failures"] + kept["occurrence_count"]
        row = {column.name: _from_plain(column, kept.get(column.name)) for column in _KEPT}
        row |= {"occurrence_count": min(count, INT32_MAX), "updated_at": fit_time(now)}
        row["last_occurred"] = found["last_occurred"] or row["last_occurred"]
        connection.execute(insert(ERROR_ANALYSIS).values(row))
        connection.execute(update(PATTERNS).where(_OWN.pattern == name).values(merged_into=None, kept=None))
        _take_away(connection, target, count, now)
        note_change(connection, name, "split", target, None, at=now, by=by)
    return str(target)


def note_change(
    connection: Connection,
    name: str,
    change: str,
    before: str | None,
    after: str | None,
    *,
    at: datetime,
    by: str | None = None,
) -> None:
    """Note a change in the history of a pattern.

    Args:
        connection: in the transaction that changes it.
        name: the pattern.
        change: what is changed: ``status``, ``merged``, ``split``, ``regressed``, ...
        before: how it was.
        after: how it is.
        at: the time that it is.
        by: who changes it; ``None`` where nobody does.
    """
    values = {"before": before, "after": after, "changed_by": fit_text(by, 100), "changed_at": fit_time(at)}
    connection.execute(insert(PATTERN_CHANGES).values(pattern=name, change=change, **values))


def known_status(status: str) -> str:
    """The status of a pattern.

    Raises:
        UsageError: there is none of this name.
    """
    if status not in RESOLUTIONS:
        raise UsageError(f"{status!r} is not a status of a pattern; choose one of {', '.join(RESOLUTIONS)}")
    return status


def _locked(connection: Connection, *names: str) -> dict[str, Mapping[str, Any]]:
    """Our rows of patterns, made where they are missing: no writer counts any until the end.

    Writers go from these to the guide's table and sometimes back. Whoever decides waits before the first of
    them, and so is never one of two that wait for each other.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {PATTERNS.name} IN SHARE ROW EXCLUSIVE MODE"))
    found: dict[str, Mapping[str, Any]] = {}
    for name in names:
        row = {"pattern": name, "failures": 0, "recovered": 0}
        statement = inserting(PATTERNS, connection.dialect.name)
        connection.execute(statement.values(row).on_conflict_do_nothing())
        here = select(PATTERNS).where(_OWN.pattern == name)
        found[name] = dict(connection.execute(here).mappings().one())
    return found


def _row(connection: Connection, name: str) -> Mapping[str, Any] | None:
    query = select(ERROR_ANALYSIS).where(_ANALYSIS.error_pattern == name).with_for_update()
    found = connection.execute(query).mappings().first()
    return dict(found) if found else None


def _counted(connection: Connection, names: list[str]) -> int:
    return int(connection.scalar(select(func.sum(_OWN.failures)).where(_OWN.pattern.in_(names))) or 0)


def _take_away(connection: Connection, name: str, count: int, now: datetime) -> None:
    """What a pattern had of one that is merged no more."""
    row = _row(connection, name)
    if row is None:
        return
    latest = select(func.max(_OWN.last_occurred)).where(_OWN.pattern.in_(list(members(connection, [name]))))
    values = {
        "occurrence_count": max(0, (row["occurrence_count"] or 0) - count),
        "last_occurred": connection.scalar(latest) or row["last_occurred"],
        "updated_at": fit_time(now),
    }
    connection.execute(update(ERROR_ANALYSIS).where(_ANALYSIS.error_pattern == name).values(values))


def _not_merged(connection: Connection, name: str) -> UsageError:
    if _row(connection, name) is None:
        return no_such_pattern(connection, name)
    others = sorted(set(members(connection, [name])) - {name})
    if others:
        return UsageError(
            f"{name!r} is not merged; merged into it, and to be split, are: {', '.join(others)}"
        )
    return UsageError(
        f"nothing is merged with {name!r}; to count some of its failures apart, name them in the settings: "
        "[[knowledge.entries]] with provider, contains and name"
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _from_plain(column: Column[Any], value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(column.type, DateTime) and value else value
