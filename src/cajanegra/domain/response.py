"""Reads an answer out of a response in OpenAI's form, whatever library carries it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cajanegra.domain.call import Answer, Usage


def answer_from(response: Any) -> Answer:
    """The answer in a response: an ``Answer``, a dict in OpenAI's form, or an SDK's response object.

    Never raises: what is missing or has another shape is left out.
    """
    if isinstance(response, Answer):
        return response
    body = _mapping(response)
    choices = body.get("choices")
    choice = _mapping(choices[0]) if isinstance(choices, list) and choices else {}
    message = _mapping(choice.get("message"))
    calls = message.get("tool_calls")
    return Answer(
        text=_text(message.get("content")),
        model=_string(body.get("model")),
        usage=usage_from(body.get("usage")),
        finish_reason=_string(choice.get("finish_reason")),
        confidence=confidence_from(choice.get("logprobs")),
        tool_calls=[_mapping(call) for call in calls] if isinstance(calls, list) else (),
        raw=body,
    )


def usage_from(usage: Any) -> Usage:
    """Token counts in OpenAI's form, of chat completions or of responses."""
    counts = _mapping(usage)
    input_tokens = _count(counts, "prompt_tokens", "input_tokens")
    output_tokens = _count(counts, "completion_tokens", "output_tokens")
    total = _count(counts, "total_tokens")
    if total is None and input_tokens is not None and output_tokens is not None:
        total = input_tokens + output_tokens
    return Usage(
        input_tokens,
        output_tokens,
        total,
        _count(_first(counts, "prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
        _count(_first(counts, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens"),
    )


def confidence_from(logprobs: Any) -> float | None:
    """Mean probability of the answer's tokens: ``{"content": [{"logprob": ...}]}`` or that list itself."""
    tokens = logprobs if isinstance(logprobs, list) else _mapping(logprobs).get("content")
    values = [_mapping(token).get("logprob") for token in tokens] if isinstance(tokens, list) else []
    probabilities = [
        math.exp(value)
        for value in values
        if isinstance(value, int | float) and value <= 0  # NaN is not
    ]
    return sum(probabilities) / len(probabilities) if probabilities else None


def _mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    dumped = dump() if callable(dump) else None
    return dumped if isinstance(dumped, Mapping) else {}


def _first(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((found for name in names if (found := _mapping(value.get(name)))), {})


def _count(value: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        count = value.get(name)
        if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
            return count
    return None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [_mapping(part).get("text") for part in content] if isinstance(content, list) else []
    return "".join(part for part in parts if isinstance(part, str))


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
