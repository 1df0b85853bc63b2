"""Writes the text of prompts and answers that comes after the row of its call."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from cajanegra.domain.record import ContentRecord
from cajanegra.storage.database import inserting
from cajanegra.storage.fitting import fit_identity, fit_json, fit_request_id, fit_text, fit_time
from cajanegra.storage.fitting_columns import time_text
from cajanegra.storage.rows import MAX_CONTENT, repeated_request_id, tenant_request_id
from cajanegra.storage.tables import CONTENTS, REQUEST_LOGS

_LOGS = REQUEST_LOGS.c


def write_contents(connection: Connection, contents: Sequence[ContentRecord]) -> list[ContentRecord]:
    """Write the texts to their calls; returns those of calls that are not there yet."""
    return [record for record in contents if not write_content(connection, record)]


def write_content(connection: Connection, record: ContentRecord) -> bool:
    """Whether the text's call is there and has it now."""
    call_id = _call_of(connection, record)
    if call_id is None:
        return False
    statement = inserting(CONTENTS, connection.dialect.name).values(
        request_log_id=call_id,
        prompt=fit_json(record.prompt, size=MAX_CONTENT),
        answer=fit_text(record.answer, MAX_CONTENT),
        created_at=fit_time(record.at),
    )
    new, old = statement.excluded, CONTENTS.c
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["request_log_id"],
            set_={
                "prompt": func.coalesce(new.prompt, old.prompt),
                "answer": func.coalesce(new.answer, old.answer),
            },
        )
    )
    return True


def _call_of(connection: Connection, record: ContentRecord) -> int | None:
    """The call of this tenant that began at this time under this id."""
    tenant_id, request_id = fit_identity(record.tenant_id), fit_request_id(record.request_id)
    at = time_text(record.at) or ""
    names = [
        request_id,
        tenant_request_id(tenant_id, request_id),
        repeated_request_id(tenant_id, request_id, at),
    ]
    query = select(_LOGS.id, _LOGS.request_id, _LOGS.tenant_id, _LOGS.created_at)
    rows = [
        row
        for row in connection.execute(query.where(_LOGS.request_id.in_(names)))
        if row.tenant_id == tenant_id
    ]
    exact = [row.id for row in rows if row.created_at == fit_time(record.at)]
    return next(iter(exact or [row.id for row in rows]), None)
