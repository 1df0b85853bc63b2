"""Records as columns that fit: in the order of their tables, as the databases take them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import astuple
from sqlalchemy import Table

from cajanegra.domain.ids import derived_id
from cajanegra.domain.record import (
    EARLIEST,
    MAX_AHEAD,
    CallRecord,
    FeedbackRecord,
    Occurrence,
    StepRecord,
)
from cajanegra.storage.fitting import (
    OURS,
    are_request_ids,
    fit_identity,
    fit_request_id,
    fit_text,
    fitter,
)
from cajanegra.storage.fitting_columns import (
    ColumnFitter,
    Values,
    column_fitter,
    fit_objects,
    fit_seconds,
    fit_texts,
    json_text,
)
from cajanegra.storage.tables import ERROR_ANALYSIS, ERROR_RECOVERY, REQUEST_LOGS

Row = dict[str, Any]

GIVEN_ID = "given_request_id"
"""Metadata key of a call that is stored under another request id than it was given."""
MAX_NOTED = 500
"""Characters of an original that are kept in metadata when its column could not hold it."""
MAX_CONTENT = 1_000_000
"""Characters of a captured answer, or of one text in a captured prompt."""

CALL_COLUMNS = tuple(column.name for column in REQUEST_LOGS.columns if column.name != "id")
STEP_COLUMNS = tuple(column.name for column in ERROR_RECOVERY.columns if column.name != "id")
CONTENT_COLUMNS = ("request_log_id", "prompt", "answer", "created_at")

_IDENTITIES = ("request_id", "tenant_id", "user_id")
_METADATA = ("request_metadata", "response_metadata")
_TIMES = ("created_at", "updated_at")
_REQUIRED: Mapping[str, Any] = {
    "task": "unknown",
    "provider_used": "unknown",
    "prompt_length": 0,
    "status": "error",
}


def _fit_ids(values: Values) -> Values:
    if are_request_ids(values):
        return values
    return [fit_request_id(value) for value in values]


def _fit_identities(values: Values) -> Values:
    return fit_texts(values, 36, lambda value, _size: fit_identity(value))


def _fitters(table: Table, *without: str) -> dict[str, ColumnFitter]:
    return {
        column.name: column_fitter(column) for column in table.columns if column.name not in ("id", *without)
    }


_CALL = _fitters(REQUEST_LOGS, *_METADATA, *_TIMES) | {
    "request_id": _fit_ids,
    "tenant_id": _fit_identities,
    "user_id": _fit_identities,
}
_STEP = _fitters(ERROR_RECOVERY, "request_log_id", "was_successful")
_PATTERN = {column.name: fitter(column) for column in ERROR_ANALYSIS.columns if column.name != "id"}


def call_columns(records: Sequence[CallRecord], now: datetime) -> dict[str, Values]:
    """The columns of ``ai_request_logs`` for the records; what had to be changed is noted in its metadata."""
    # A record has the columns of the table first, in their order; strict, it would complain of what follows.
    given: dict[str, Values] = dict(zip(CALL_COLUMNS, zip(*map(astuple, records), strict=True)))  # noqa: B905
    columns: dict[str, Values] = {}
    changed: dict[int, Row] = {}
    for name, fit in _CALL.items():
        fitted = fit(given[name])
        if fitted is not given[name]:
            _note_changes(changed, name, given[name], fitted)
        if name in _REQUIRED and None in fitted:
            fitted = [_REQUIRED[name] if value is None else value for value in fitted]
        columns[name] = fitted
    for name in _TIMES:
        columns[name] = _times(given[name], now, name, changed)
    metadata = list(given["request_metadata"])
    for place, value in enumerate(metadata):
        if value and isinstance(value, dict) and GIVEN_ID in value:
            metadata[place] = _with_given_id(given["request_id"], columns, place, value, changed)
    for place, changes in changed.items():
        if changes:
            metadata[place] = _with_changes(metadata[place], changes)
    columns["request_metadata"] = _metadata_texts(metadata)
    columns["response_metadata"] = _metadata_texts(given["response_metadata"])
    return {name: columns[name] for name in CALL_COLUMNS}


def column_kind(name: str) -> type:
    """The Python type of a column of ``ai_request_logs``."""
    return REQUEST_LOGS.c[name].type.python_type


def tenant_request_id(tenant_id: str | None, request_id: str) -> str:
    """The id under which a tenant's call is stored when another tenant has the same request id."""
    return OURS + derived_id(tenant_id or "", request_id)


def repeated_request_id(tenant_id: str | None, request_id: str, created_at: str) -> str:
    """The id under which a call is stored when its tenant has given the same request id before."""
    return OURS + derived_id(tenant_id or "", request_id, created_at)


def as_given(row: Row) -> Row:
    """A row as its tenant knows it: under the id that they gave, whoever else has that id too.

    A repeated id keeps the one that we gave it, since two calls cannot be found by one id.
    """
    metadata = row["request_metadata"]
    given = metadata.get(GIVEN_ID) if isinstance(metadata, dict) else None
    names = (given, tenant_request_id(row["tenant_id"], given)) if isinstance(given, str) else ()
    if row["request_id"] not in names:
        return row
    rest = {name: value for name, value in metadata.items() if name != GIVEN_ID}
    return {**row, "request_id": given, "request_metadata": rest}


def step_columns(steps: Sequence[tuple[int, StepRecord]]) -> list[Values]:
    """The columns of ``ai_error_recovery`` for steps and the ids of their calls."""
    columns: dict[str, Values] = {
        name: fit([getattr(step, name) for _id, step in steps]) for name, fit in _STEP.items()
    }
    columns["strategy_name"] = [name or "unknown" for name in columns["strategy_name"]]
    columns["was_successful"] = ["true" if step.was_successful else "false" for _id, step in steps]
    columns["request_log_id"] = [call_id for call_id, _step in steps]
    return [columns[name] for name in STEP_COLUMNS]


def content_columns(contents: Sequence[tuple[int, CallRecord]], now: datetime) -> list[Values]:
    """The columns of ``cajanegra_contents`` for the texts of calls and their ids."""
    times = _times([record.created_at for _id, record in contents], now, "created_at", {})
    return [
        [call_id for call_id, _record in contents],
        [json_text(record.prompt, MAX_CONTENT) for _id, record in contents],
        [fit_text(record.answer, MAX_CONTENT) for _id, record in contents],
        times,
    ]


def feedback_values(record: FeedbackRecord) -> Row:
    """What feedback changes in ``ai_request_logs``; a correction that is not given changes nothing."""
    given = {
        "user_feedback": record.user_feedback,
        "correction_applied": record.correction_applied,
        "updated_at": record.at,
    }
    columns = REQUEST_LOGS.c
    return {name: fitter(columns[name])(value) for name, value in given.items() if value is not None}


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


def pattern_key(pattern: str) -> str:
    """A pattern's name as it is stored."""
    return str(_PATTERN["error_pattern"](pattern))


def _note_changes(changed: dict[int, Row], name: str, given: Values, fitted: Values) -> None:
    for place, (value, stored) in enumerate(zip(given, fitted, strict=True)):
        if value is not None and stored != value:
            changed.setdefault(place, {})[name] = fit_text(value, MAX_NOTED)


def _with_given_id(
    ids: Values, columns: dict[str, Values], place: int, metadata: Row, changed: dict[int, Row]
) -> Row:
    """Metadata with its note of another request id, where that is ours: this, and a call exported elsewhere.

    An application's own would show, by going, that somebody else has the call's id.
    """
    given, tenant = metadata[GIVEN_ID], columns["tenant_id"][place]
    if isinstance(given, str) and ids[place] in (
        tenant_request_id(tenant, given),
        repeated_request_id(tenant, given, columns["created_at"][place]),
    ):
        columns["request_id"] = [
            *columns["request_id"][:place],
            ids[place],
            *columns["request_id"][place + 1 :],
        ]
        changed.get(place, {}).pop("request_id", None)
    elif given != columns["request_id"][place]:
        changed.setdefault(place, {})[GIVEN_ID] = fit_text(given, MAX_NOTED)
        return {name: value for name, value in metadata.items() if name != GIVEN_ID}
    return metadata


def _times(given: Values, now: datetime, name: str, changed: dict[int, Row]) -> list[str]:
    texts, strange = fit_seconds(given, EARLIEST.timestamp(), now.timestamp(), MAX_AHEAD.total_seconds())
    for place in strange:
        changed.setdefault(place, {})[name] = _seconds_noted(given[place])
    return texts


def _seconds_noted(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return "unknown" if math.isnan(seconds) else str(seconds)


def _with_changes(metadata: Any, changes: Row) -> Row:
    kept = dict(metadata) if isinstance(metadata, Mapping) else {"value": metadata}
    noted = kept.get("changed")  # by the recorder
    return kept | {"changed": changes | (noted if isinstance(noted, dict) else {})}


def _metadata_texts(values: Values) -> list[str]:
    """Metadata as text; what is no object becomes the value of one."""
    if {*map(type, values)} != {dict}:
        values = [value if isinstance(value, Mapping) else {"value": value} for value in values]
    return fit_objects(values)
