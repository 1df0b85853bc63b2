"""Keeps feedback and contents that come before the row of their call, which another process may have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, literal, select

from cajanegra.domain.record import CallRecord, ContentRecord, FeedbackRecord
from cajanegra.storage import calls
from cajanegra.storage.contents import write_content
from cajanegra.storage.fitting import (
    fit_identity,
    fit_json,
    fit_request_id,
    fit_text,
    fit_time,
    stored_request_id,
)
from cajanegra.storage.rows import MAX_CONTENT
from cajanegra.storage.tables import REQUEST_LOGS, WAITING

SWEEP_EVERY = timedelta(seconds=30)
"""How often all that waits is looked at: two transactions at once do not see each other."""
KEPT_FOR = timedelta(days=7)
"""How long something waits for a call that never comes."""
_MAX = 500
"""Rows looked at in one transaction."""


class WaitingRoom:
    """What has come too early, in ``cajanegra_waiting``.

    Args:
        clock: the time, aware.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._next_sweep: datetime | None = None

    def let_in(self, connection: Connection, early: Sequence[FeedbackRecord | ContentRecord]) -> None:
        """Keep what has come before its call."""
        if early:
            now = fit_time(self._clock())
            connection.execute(insert(WAITING), [_row(record) | {"created_at": now} for record in early])

    def let_out(self, connection: Connection, written: Iterable[CallRecord]) -> None:
        """Give what waits to the calls that have just come; now and then to all."""
        now = self._clock()
        if connection.execute(select(WAITING.c.id).limit(1)).first() is None:
            return
        if self._next_sweep is None or now >= self._next_sweep:
            self._next_sweep = now + SWEEP_EVERY
            connection.execute(delete(WAITING).where(WAITING.c.created_at < fit_time(now - KEPT_FOR)))
            logs, waits = REQUEST_LOGS.c, WAITING.c
            of_tenant = (logs.tenant_id == waits.tenant_id) | waits.tenant_id.is_(None)
            come = exists(select(literal(1)).where(logs.request_id == waits.request_id, of_tenant))
            self._give(connection, select(WAITING).where(come))
        names = list({fit_request_id(record.request_id) for record in written})
        for start in range(0, len(names), _MAX):
            some = names[start : start + _MAX]
            self._give(connection, select(WAITING).where(WAITING.c.request_id.in_(some)))

    def _give(self, connection: Connection, query: Any) -> None:
        rows = connection.execute(query.order_by(WAITING.c.id).limit(_MAX)).all()
        done = [row.id for row in rows if _is_given(connection, row)]
        if done:
            connection.execute(delete(WAITING).where(WAITING.c.id.in_(done)))


def _row(record: FeedbackRecord | ContentRecord) -> dict[str, Any]:
    if isinstance(record, FeedbackRecord):
        kind = "feedback"
        payload: dict[str, Any] = {"feedback": record.user_feedback, "correction": record.correction_applied}
    else:
        kind = "content"
        payload = {"prompt": record.prompt, "answer": fit_text(record.answer, MAX_CONTENT)}
    payload["at"] = record.at.timestamp()
    return {
        "kind": kind,
        "request_id": stored_request_id(record.request_id),
        "tenant_id": fit_identity(record.tenant_id),
        "payload": fit_json(payload, size=MAX_CONTENT),
    }


def _is_given(connection: Connection, row: Row[Any]) -> bool:
    told = row.payload
    at = datetime.fromtimestamp(told["at"], UTC)
    if row.kind == "feedback":
        feedback = FeedbackRecord(row.request_id, row.tenant_id, told["feedback"], told["correction"], at)
        return calls.give(connection, feedback)
    content = ContentRecord(row.request_id, row.tenant_id, told["prompt"], told["answer"], at)
    return write_content(connection, content)
