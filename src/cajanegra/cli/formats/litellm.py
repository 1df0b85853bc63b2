"""LiteLLM's spend logs: rows of ``LiteLLM_SpendLogs``, and what its ``/spend/logs`` answers.

The columns are those of ``schema.prisma`` in LiteLLM's repository. A failed request has ``status``
``failure`` (in the column or in ``metadata``) and ``metadata.error_information``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cajanegra.cli.formats import cells
from cajanegra.domain.response import answer_from, usage_from
from cajanegra.errors import UsageError
from cajanegra.recording.items import seconds

_BESIDE = frozenset({"call_type", "spend", "api_key", "custom_llm_provider", "model_group"})
_KEPT = (
    "call_type", "spend", "cache_hit", "api_base", "model_id", "organization_id", "session_id", "agent_id",
    "request_tags", "mcp_namespaced_tool_name",
)  # fmt: skip
"""Columns that ours have no place for; they go to ``request_metadata``, under ``litellm``."""
_KEPT_OF_METADATA = ("user_api_key_alias", "user_api_key_team_alias", "attempted_fallbacks")


def recognises(names: Collection[str]) -> bool:
    """Whether it has LiteLLM's times, in its spelling, and something else of its own."""
    return "startTime" in names and not _BESIDE.isdisjoint(names)


def item(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A request as an item; a team is a tenant.

    Raises:
        UsageError: a time is none.
    """
    row = {name: cells.decoded(value) for name, value in fields.items()}
    metadata = row.get("metadata") if isinstance(row.get("metadata"), dict) else {}
    asked = row.get("proxy_server_request")
    error = cells.first(metadata, "error_information")
    failed = "failure" in (row.get("status"), cells.first(metadata, "status"))
    provider = cells.first(row, "custom_llm_provider") or cells.first(error, "llm_provider")
    model = cells.text(row.get("model"))
    begun, ended = _at(row, "startTime"), _at(row, "endTime")
    found = {
        "request_id": cells.text(row.get("request_id")),
        "tenant_id": cells.text(row.get("team_id")),
        "user_id": cells.text(cells.first(row, "user", "end_user")),
        "task": _task(row.get("call_type")),
        "temperature": cells.first(asked, "temperature"),
        "max_tokens": cells.whole(cells.first(asked, "max_tokens", "max_completion_tokens")),
        "model_requested": cells.text(row.get("model_group")) or model,
        "provider_used": cells.text(provider) or _provider_in(model) or "unknown",
        "provider_model": model,
        "tokens_used": cells.whole(row.get("total_tokens")) if not failed else None,
        "processing_time_ms": (ended - begun) * 1000 if begun is not None and ended is not None else None,
        "retry_count": cells.whole(cells.first(metadata, "attempted_retries")),
        "created_at": begun,
        "updated_at": ended,
        "request_metadata": {"litellm": _kept(row, metadata)},
        "content": _content(row),
        **(_failure(error) if failed else _answer(row, metadata, begun)),
    }
    return {name: value for name, value in found.items() if value is not None}


def _failure(error: Any) -> dict[str, Any]:
    code = cells.text(cells.first(error, "error_code"))
    status = cells.whole(code)
    details = {
        "http_status": status,
        "provider_error_code": None if status else code,
        "exception_type": cells.text(cells.first(error, "error_class")),
    }
    message = cells.text(cells.first(error, "error_message", "error_class"))
    return {
        "error_message": message or "LiteLLM says that it failed, and not why",
        "response_metadata": {name: value for name, value in details.items() if value is not None},
    }


def _answer(row: Mapping[str, Any], metadata: Any, begun: float | None) -> dict[str, Any]:
    usage = usage_from(cells.first(metadata, "usage_object"))
    first_token, ended = _at(row, "completionStartTime"), _at(row, "endTime")
    streamed = None not in (begun, first_token) and first_token != ended
    details = {
        "input_tokens": cells.whole(row.get("prompt_tokens")),
        "output_tokens": cells.whole(row.get("completion_tokens")),
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "finish_reason": answer_from(row.get("response") or {}).finish_reason,
        "ttft_ms": round(((first_token or 0) - (begun or 0)) * 1000) if streamed else None,
    }
    return {
        "status": "success",
        "response_metadata": {name: value for name, value in details.items() if value is not None},
    }


def _content(row: Mapping[str, Any]) -> dict[str, Any] | None:
    messages, response = row.get("messages"), row.get("response")
    prompt = messages if isinstance(messages, str | list) and messages else None
    if isinstance(prompt, list) and not all(isinstance(message, dict) for message in prompt):
        prompt = None
    answer = answer_from(response).text if response else ""
    return {"prompt": prompt, "answer": answer or None} if prompt or answer else None


def _kept(row: Mapping[str, Any], metadata: Any) -> dict[str, Any]:
    kept = {name: cells.first(row, name) for name in _KEPT}
    kept |= {name: cells.first(metadata, name) for name in _KEPT_OF_METADATA}
    return {name: value for name, value in kept.items() if value is not None}


def _task(call_type: Any) -> str | None:
    """``completion`` for ``acompletion``: whether somebody waited for it is no task."""
    word = cells.text(call_type)
    return word[1:] if word and word.startswith(("acompletion", "aembedding", "aresponses")) else word


def _provider_in(model: str | None) -> str | None:
    return model.partition("/")[0] if model and "/" in model else None


def _at(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str | int | float):
        raise UsageError(f"{name}: is not a time")
    return seconds(value or None, name)
