"""Recovery steps in a list, those of the newest calls first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from cajanegra.storage import places
from cajanegra.storage.database import Database, reading
from cajanegra.storage.filters import CallFilter, id_in
from cajanegra.storage.places import Place
from cajanegra.storage.reads import Row, beyond, check_limit, rows_of, seen_by
from cajanegra.storage.tables import ERROR_RECOVERY, REQUEST_LOGS

_LOGS = REQUEST_LOGS.c
_STEPS = ERROR_RECOVERY.c
_KEY = "cursor_key"


@dataclass(frozen=True, slots=True)
class StepFilter:
    """Conditions that a recovery step has to meet; ``None`` is any.

    Attributes:
        strategy: ``retry``, ``fallback`` or ``simplify``.
        pattern: the error pattern that made the step necessary.
        successful: whether it got an answer.
    """

    strategy: str | None = None
    pattern: str | None = None
    successful: bool | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL conditions on ``ai_error_recovery``."""
        found: list[ColumnElement[bool]] = []
        if self.strategy is not None:
            found.append(_STEPS.strategy_name == self.strategy)
        if self.pattern is not None:
            found.append(_STEPS.recovery_result["trigger"]["pattern"].as_string() == self.pattern)
        if self.successful is not None:
            found.append(_STEPS.was_successful == ("true" if self.successful else "false"))
        return found


@dataclass(frozen=True, slots=True)
class StepPage:
    """Some steps: those of the newest calls first, those of one call in their order.

    Attributes:
        items: columns of the steps, and ``request_id`` of their calls.
        next_cursor: leads to the steps after these; ``None`` on the last page.
    """

    items: Sequence[Row]
    next_cursor: str | None


def steps(
    db: Database,
    where: CallFilter,
    which: StepFilter,
    *,
    limit: int = 50,
    cursor: str | None = None,
    scan: int | None = None,
) -> StepPage:
    """A page of the steps of the calls that the filter means; see ``reads.calls``.

    Raises:
        UsageError: the limit is not between 1 and 500, or the cursor or a filter makes no sense.
        StorageError: the database cannot be read.
    """
    check_limit(limit)
    kind = f"steps {which!r}"
    place = None if cursor is None else places.decode(cursor, where, kind)
    key = id_in(where.scope)
    number = func.coalesce(_STEPS.step_number, 0)
    within = [*where.within(), _LOGS.created_at.is_not(None)]
    of_step = [_STEPS.request_log_id == _LOGS.id, *which.conditions()]
    if place is not None and place.at is not None:
        within.insert(0, beyond(place))
        of_step.append(_passed(place, key, number))
    with reading(db) as connection:
        bound = None
        if scan is not None:
            newest = select(_LOGS.created_at).where(*within).order_by(_LOGS.created_at.desc())
            bound = connection.execute(newest.offset(scan - 1).limit(1)).scalar()
        if bound is not None:
            within.insert(0, _LOGS.created_at >= bound)
        # First the calls, newest first, as far as a page needs them: joined at once, a planner may begin
        # with all steps that there are.
        ids = (
            select(_LOGS.id)
            .where(*within, *where.among(db.dialect).values(), exists().where(*of_step))
            .order_by(_LOGS.created_at.desc(), key.desc())
            .limit(limit + 1)
        )
        query = (
            select(ERROR_RECOVERY, key.label(_KEY), *(_LOGS[name].label(f"call_{name}") for name in _OF_CALL))
            .select_from(ERROR_RECOVERY.join(REQUEST_LOGS, of_step[0]))
            .where(*within, *of_step[1:], _LOGS.id.in_(connection.execute(ids).scalars().all()))
            .order_by(_LOGS.created_at.desc(), key.desc(), number, _STEPS.id)
        )
        rows = rows_of(connection, query.limit(limit + 1))
    more, rows = len(rows) > limit, rows[:limit]
    if more:
        last = rows[-1]
        end: Place | None = Place("older", last["call_created_at"], last[_KEY], last["step_number"] or 0)
    else:
        end = Place("older", bound, "") if bound is not None else None
    items = [_seen(where, row) for row in rows]
    return StepPage(items, places.encode(end, where, kind) if end else None)


_OF_CALL = ("request_id", "tenant_id", "request_metadata", "created_at")


def _passed(place: Place, key: ColumnElement[str], number: ColumnElement[Any]) -> ColumnElement[bool]:
    at = _LOGS.created_at
    later_step = and_(key == place.request_id, number > place.step)
    return or_(at < place.at, and_(at == place.at, or_(key < place.request_id, later_step)))


def _seen(where: CallFilter, row: Row) -> Row:
    call = seen_by(where.scope, {name: row[f"call_{name}"] for name in _OF_CALL})
    own = {name: row[name] for name in ERROR_RECOVERY.columns.keys()}  # noqa: SIM118 - a collection of its own
    return {"request_id": call["request_id"], "tenant_id": call["tenant_id"], **own}
