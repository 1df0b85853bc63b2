"""Calls that somebody else recorded, as they are handed in: read and checked, one by one.

An item is a JSON object with the columns of ``ai_request_logs``, and ``steps`` (objects with the columns of
``ai_error_recovery``) and ``content`` (``prompt`` and ``answer``). All of it may be left out, but for a word
about what was asked or what failed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from cajanegra.domain.call import CallStatus
from cajanegra.domain.ids import derived_id
from cajanegra.errors import UsageError

MAX_STEPS = 1_000
"""Recovery steps of one call."""
_MILLISECONDS_FROM = 100_000_000_000
"""As seconds it is the year 5138, as milliseconds 1973."""
_NUMBER = re.compile(r"-?\d{1,16}(\.\d{1,9})?")

Time = str | float | None
"""ISO 8601 (UTC where no zone is given), or seconds or milliseconds since the Unix epoch."""


class Content(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What was asked and answered."""

    prompt: str | list[dict[str, Any]] | None = None
    answer: str | None = None


class Step(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One row of ``ai_error_recovery``."""

    strategy_name: str
    id: int | None = None
    request_log_id: int | None = None
    """The row's ids in the database that it comes from mean nothing elsewhere."""
    step_number: int | None = None
    action_taken: str | None = None
    was_successful: bool | None = None
    recovery_time_ms: int | None = None
    recovery_result: dict[str, Any] | None = None
    created_at: Time = None


class Item(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One row of ``ai_request_logs``, with what belongs to it."""

    id: int | None = None
    """The row's id in the database that it comes from; it means nothing elsewhere."""
    request_id: str | None = None
    tenant_id: str | None = None
    module: str | None = None
    user_id: str | None = None
    task: str | None = None
    prompt_length: int | None = None
    prompt_hash: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    model_requested: str | None = None
    provider_used: str | None = None
    provider_model: str | None = None
    status: str | None = None
    response_content_length: int | None = None
    tokens_used: int | None = None
    processing_time_ms: float | None = None
    error_message: str | None = None
    error_code: str | None = None
    retry_count: int | None = None
    fallback_used: str | None = None
    confidence_score: float | None = None
    user_feedback: str | None = None
    correction_applied: str | None = None
    request_metadata: Any = None
    response_metadata: Any = None
    created_at: Time = None
    updated_at: Time = None
    steps: list[Step] = []
    content: Content | None = None

    @property
    def is_answered(self) -> bool:
        """Whether somebody answered; where no status is given, whether no error is."""
        if self.status is not None:
            return self.status in (CallStatus.SUCCESS, CallStatus.FALLBACK)
        return self.error_code is None and self.error_message is None


def read_item(fields: Mapping[str, Any], tenant_id: str | None = None) -> Item:
    """An item, checked.

    Args:
        fields: as decoded from JSON.
        tenant_id: whose it has to be; one that names no tenant becomes that tenant's.

    Raises:
        UsageError: it makes no sense, with what and why.
    """
    try:
        item = msgspec.convert(fields, Item, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(_in_words(str(error))) from None
    if item.status is not None and item.status not in set(CallStatus):
        raise UsageError(f"status: {item.status!r} is none; choose one of {', '.join(CallStatus)}")
    if len(item.steps) > MAX_STEPS:
        raise UsageError(f"steps: there are {len(item.steps)}; at most {MAX_STEPS} are allowed")
    if not (item.provider_used or item.error_message or item.error_code):
        raise UsageError("says neither who was asked (provider_used) nor what failed (error_message)")
    for name, value in (("created_at", item.created_at), ("updated_at", item.updated_at)):
        seconds(value, name)
    for number, step in enumerate(item.steps):
        seconds(step.created_at, f"steps[{number}].created_at")
    if tenant_id is not None:
        if item.tenant_id not in (None, tenant_id):
            raise UsageError(f"tenant_id: it belongs to {item.tenant_id!r}, not to {tenant_id!r}")
        item.tenant_id = tenant_id
    return item


def content_id(fields: Any) -> str:
    """A stable request id for what has none: equal contents have equal ids."""
    return derived_id("content", msgspec.json.encode(fields, order="sorted").decode())


def seconds(value: Time, name: str) -> float | None:
    """A time as seconds since the Unix epoch.

    Raises:
        UsageError: it is none; ``name`` says whose.
    """
    if value is None:
        return None
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value.strip()):
            return _timestamp(value, name)
        value = float(value)
    return value / 1000 if abs(value) >= _MILLISECONDS_FROM else value


def _timestamp(text: str, name: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(f"{name}: {text[:40]!r} is not a time; write 2026-11-24T10:00:00Z") from None


def _in_words(reason: str) -> str:
    what, _, path = reason.partition(" - at `$")
    where = path.strip("`.")
    unknown = re.search(r"unknown field `(.+)`", what)
    if unknown:
        name = f"{where}.{unknown[1]}" if where else unknown[1]
        known = (Content if where == "content" else Step if where else Item).__struct_fields__
        near = difflib.get_close_matches(unknown[1], known, n=1)
        return f"{name} is not a column" + (f"; did you mean {near[0]!r}?" if near else "")
    what = f"{what[:1].lower()}{what[1:]}"
    return f"{where}: {what}" if where else what
