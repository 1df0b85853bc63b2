"""Records as rows that fit: column names to values the drivers take as they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table

from cajanegra.domain.ids import derived_id
from cajanegra.domain.record import CallRecord, Occurrence, StepRecord
from cajanegra.storage.fitting import (
    Fitter,
    fit_identity,
    fit_json,
    fit_request_id,
    fit_text,
    fit_time,
    fitter,
)
from cajanegra.storage.tables import ERROR_ANALYSIS, ERROR_RECOVERY, REQUEST_LOGS

Row = dict[str, Any]

MAX_NOTED = 500
"""Characters of an original that are kept in metadata when its column could not hold it."""
MAX_CONTENT = 1_000_000
"""Characters of a captured answer."""
MAX_AHEAD = timedelta(hours=1)
"""How far a caller's clock may be ahead of ours."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing recorded an AI call before; an earlier time is a wrong clock."""

CALL_COLUMNS = tuple(column.name for column in REQUEST_LOGS.columns if column.name != "id")

_IDENTITIES = ("request_id", "tenant_id", "user_id")
_METADATA = ("request_metadata", "response_metadata")
_REQUIRED: Mapping[str, Any] = {
    "task": "unknown",
    "provider_used": "unknown",
    "prompt_length": 0,
    "status": "error",
}


def _fitters(table: Table, *without: str) -> dict[str, Fitter]:
    return {column.name: fitter(column) for column in table.columns if column.name not in ("id", *without)}


_CALL = _fitters(REQUEST_LOGS, *_IDENTITIES, *_METADATA)
_STEP = _fitters(ERROR_RECOVERY, "request_log_id", "was_successful")
_PATTERN = _fitters(ERROR_ANALYSIS)


def call_row(record: CallRecord, now: datetime) -> Row:
    """The row of ``ai_request_logs`` for a record; what had to be changed is noted in its metadata."""
    changed: Row = {}
    row: Row = {}
    for name, fit in _CALL.items():
        value = getattr(record, name)
        fitted = fit(value)
        if fitted is None and name in _REQUIRED:
            fitted = _REQUIRED[name]
        row[name] = fitted
        if value is not None and fitted != value and not isinstance(value, datetime):
            changed[name] = fit_text(value, MAX_NOTED)
    for name in ("created_at", "updated_at"):
        row[name] = _credible(getattr(record, name), now, name, changed)
    row["request_id"] = fit_request_id(record.request_id)
    row["tenant_id"] = fit_identity(record.tenant_id)
    row["user_id"] = fit_identity(record.user_id)
    for name in _IDENTITIES:
        if row[name] != getattr(record, name):
            changed[name] = fit_text(getattr(record, name), MAX_NOTED)
    row["request_metadata"] = _metadata(record.request_metadata)
    row["response_metadata"] = _metadata(record.response_metadata)
    if changed:
        noted = row["request_metadata"].get("changed")  # by the recorder
        row["request_metadata"]["changed"] = changed | (noted if isinstance(noted, dict) else {})
    return row


def with_own_id(row: Row) -> Row:
    """The same row under an id of its own, for when another tenant already has its ``request_id``."""
    original = row["request_id"]
    metadata = {**row["request_metadata"], "request_id": original}
    return {
        **row,
        "request_id": tenant_request_id(row["tenant_id"], original),
        "request_metadata": metadata,
    }


def tenant_request_id(tenant_id: str | None, request_id: str) -> str:
    """The id under which a tenant's call is stored when another tenant has the same request id."""
    return derived_id(tenant_id or "", request_id)


def step_row(step: StepRecord, request_log_id: int) -> Row:
    """The row of ``ai_error_recovery`` for a step."""
    row = {name: fit(getattr(step, name)) for name, fit in _STEP.items()}
    row["strategy_name"] = row["strategy_name"] or "unknown"
    row["was_successful"] = "true" if step.was_successful else "false"
    row["request_log_id"] = request_log_id
    return row


def pattern_row(occurrence: Occurrence, count: int, last_occurred: datetime, now: datetime) -> Row:
    """The row of ``ai_error_analysis`` for a pattern that is met for the first time."""
    values = {
        "error_pattern": occurrence.pattern,
        "error_code": occurrence.error_code,
        "error_message_pattern": occurrence.message_pattern,
        "occurrence_count": count,
        "last_occurred": last_occurred,
        "probable_cause": occurrence.probable_cause,
        "suggested_action": occurrence.suggested_action,
        "resolution_status": "open",
        "created_at": now,
        "updated_at": now,
    }
    return {name: _PATTERN[name](value) for name, value in values.items()}


def pattern_key(occurrence: Occurrence) -> str:
    """The pattern's name as it is stored."""
    return str(_PATTERN["error_pattern"](occurrence.pattern))


def content_row(record: CallRecord, request_log_id: int) -> Row | None:
    """The row of ``cajanegra_contents``, where content was captured."""
    if record.prompt is None and record.answer is None:
        return None
    return {
        "request_log_id": request_log_id,
        "prompt": fit_json(record.prompt),
        "answer": fit_text(record.answer, MAX_CONTENT),
        "created_at": fit_time(record.created_at),
    }


def _metadata(value: Any) -> Row:
    fitted = fit_json(value)
    return fitted if isinstance(fitted, dict) else {"value": fitted}


def _credible(value: Any, now: datetime, name: str, changed: Row) -> datetime | None:
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        if EARLIEST <= aware <= now + MAX_AHEAD:
            return fit_time(aware)
        changed[name] = value.isoformat()
    return fit_time(now)
