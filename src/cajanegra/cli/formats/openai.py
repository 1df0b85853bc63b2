"""Errors as OpenAI's API answers them, in whatever log they stand, and the files of its Batch API.

A line of a log has an ``error`` (an object with ``message``, ``type`` and ``code``, or a text), or the words
of an exception in ``message``; what stands beside it is read under the names that are usual. A line of a
batch has ``custom_id`` and ``response``. Answers in OpenAI's form become calls too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from cajanegra.cli.formats import cells
from cajanegra.domain.response import answer_from
from cajanegra.errors import UsageError

_SAYS_SOMETHING = frozenset({"error", "response", "message", "msg", "exception", "choices", "output"})
_FAILED_FROM = 400
_NO_FAILURE = frozenset({"trace", "debug", "info", "notice"})
"""Levels at which a message alone tells of no failure."""
_TIMES = ("created_at", "timestamp", "@timestamp", "time", "ts", "created", "date")
_IDS = ("request_id", "requestId", "_request_id", "x-request-id", "x_request_id", "id")
_STATUSES = ("http_status", "status_code", "statusCode", "status")
_DURATIONS = ("processing_time_ms", "duration_ms", "latency_ms")
_TYPES = ("exception_type", "exc_type", "error_class", "error_type")
_KEPT = ("custom_id", "level", "logger", "trace_id")
"""Names that ours have no place for; they go to ``request_metadata``."""


def recognises(names: Collection[str]) -> bool:
    """Whether there is an error or an answer in it."""
    return not _SAYS_SOMETHING.isdisjoint(names)


def item(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A line as an item.

    Raises:
        UsageError: it has neither an error nor an answer.
    """
    line = {name: cells.decoded(value) for name, value in fields.items()}
    response = line.get("response")
    is_batch = "custom_id" in line and isinstance(response, dict | None)
    body = cells.first(response, "body") or (response if isinstance(response, dict) else line)
    status = cells.whole(cells.first(response, "status_code") or cells.first(line, *_STATUSES))
    error = _error(line, body, status)
    answer = answer_from(body)
    if error is None and not answer.raw.get("choices") and not answer.raw.get("output"):
        raise UsageError("has neither an error nor an answer")
    metadata = line.get("metadata")
    found = {
        "request_id": cells.text(cells.first(response, "request_id") or cells.first(line, *_IDS)),
        "tenant_id": cells.text(cells.first(line, "tenant_id", "tenant")),
        "module": cells.text(cells.first(line, "module")),
        "user_id": cells.text(cells.first(line, "user_id", "user")),
        "task": "batch" if is_batch else cells.text(cells.first(line, "task", "operation")),
        "provider_used": cells.text(cells.first(line, "provider", "provider_used")),
        "provider_model": cells.text(cells.first(line, "model", "model_name") or answer.model),
        "processing_time_ms": cells.first(line, *_DURATIONS),
        "created_at": cells.first(line, *_TIMES) or cells.first(body, "created", "created_at"),
        "request_metadata": {name: line[name] for name in _KEPT if line.get(name) is not None}
        | (metadata if isinstance(metadata, dict) else {}),
        **(_answered(answer) if error is None else _failed(error, line, status)),
    }
    if is_batch and found["provider_used"] is None:
        found["provider_used"] = "openai"
    return {name: value for name, value in found.items() if value is not None}


def _error(line: Mapping[str, Any], body: Any, status: int | None) -> Any:
    """What went wrong: an object in OpenAI's form or a text; ``None`` where nothing did."""
    found = cells.first(line, "error", "exception") or cells.first(body, "error")
    if found is not None:
        return found
    if status is not None and status >= _FAILED_FROM:
        return cells.first(body, "message", "msg", "detail") or cells.first(line, "message", "msg") or {}
    if status is not None or cells.first(body, "choices", "output") is not None:
        return None
    level = (cells.text(line.get("level")) or "").lower()
    return None if level in _NO_FAILURE else cells.text(cells.first(line, "message", "msg"))


def _failed(error: Any, line: Mapping[str, Any], status: int | None) -> dict[str, Any]:
    message = cells.text(error) or cells.text(cells.first(error, "message", "msg", "detail"))
    if message is None and error:
        message = json.dumps(error, ensure_ascii=False)
    details = {
        "http_status": status or cells.whole(cells.first(error, "status_code", "status", "code")),
        "provider_error_code": _word(cells.first(error, "code")) or _word(cells.first(error, "type")),
        "exception_type": cells.text(cells.first(line, *_TYPES)),
    }
    return {
        "error_message": message or f"status {status} without a body",
        "response_metadata": {name: value for name, value in details.items() if value is not None},
    }


def _answered(answer: Any) -> dict[str, Any]:
    usage = answer.usage
    details = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "finish_reason": answer.finish_reason,
    }
    return {
        "status": "success",
        "tokens_used": usage.total_tokens,
        "confidence_score": answer.confidence,
        "content": {"answer": answer.text} if answer.text else None,
        "response_metadata": {name: value for name, value in details.items() if value is not None},
    }


def _word(value: Any) -> str | None:
    """A code that is a word; a number is a status."""
    return value if isinstance(value, str) and not value.isdigit() else None
