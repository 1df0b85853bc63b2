"""Reads an answer out of a response in OpenAI's form, whatever library carries it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from cajanegra.domain.call import Answer, Usage


def answer_from(response: Any) -> Answer:
    """The answer in a response: an ``Answer``, a text, a dict in OpenAI's form, or an SDK's response object.

    Chat completions, text completions and responses are understood. Never raises: what is missing or has
    another shape is left out. ``raw`` is filled where the response is a mapping or makes one of itself.
    """
    if isinstance(response, Answer):
        return response
    if isinstance(response, str):
        return Answer(text=response)
    body = _mapping(response) or response  # a model's own dump is faster than reading its attributes
    if choices := _list(_get(body, "choices")):
        return _from_choice(body, choices[0])
    if output := _list(_get(body, "output")):
        return _from_output(body, output)
    return _from_choice(body, None)


def usage_from(usage: Any) -> Usage:
    """Token counts in OpenAI's form, of chat completions or of responses."""
    if usage is None:
        return Usage()
    get = _getter(usage)
    input_tokens = _count(_either(get, "prompt_tokens", "input_tokens"))
    output_tokens = _count(_either(get, "completion_tokens", "output_tokens"))
    total = _count(get("total_tokens"))
    if total is None and input_tokens is not None and output_tokens is not None:
        total = input_tokens + output_tokens
    read = _either(get, "prompt_tokens_details", "input_tokens_details")
    written = _either(get, "completion_tokens_details", "output_tokens_details")
    return Usage(
        input_tokens,
        output_tokens,
        total,
        None if read is None else _count(_get(read, "cached_tokens")),
        None if written is None else _count(_get(written, "reasoning_tokens")),
    )


def confidence_from(logprobs: Any) -> float | None:
    """Mean probability of the answer's tokens: ``{"content": [{"logprob": ...}]}`` or that list itself."""
    if logprobs is None:
        return None
    values = [_get(token, "logprob") for token in _list(logprobs) or _list(_get(logprobs, "content"))]
    values = values or _list(_get(logprobs, "token_logprobs"))
    probabilities = [
        math.exp(value)
        for value in values
        if isinstance(value, int | float) and value <= 0  # NaN is not
    ]
    return sum(probabilities) / len(probabilities) if probabilities else None


def _from_choice(body: Any, choice: Any) -> Answer:
    of_body, of_choice = _getter(body), _getter(choice)
    message = of_choice("message")
    of_message = _getter(message)
    return Answer(
        text=_text(of_message("content") if message is not None else of_choice("text")),
        model=_string(of_body("model")),
        usage=usage_from(of_body("usage")),
        finish_reason=_string(of_choice("finish_reason")),
        confidence=confidence_from(of_choice("logprobs")),
        tool_calls=[_mapping(call) for call in _list(of_message("tool_calls"))],
        raw=body if isinstance(body, Mapping) else {},
    )


def _from_output(body: Any, output: list[Any]) -> Answer:
    parts = [part for item in output for part in _list(_get(item, "content"))]
    calls = [item for item in output if _get(item, "type") == "function_call"]
    return Answer(
        text=_text(parts),
        model=_string(_get(body, "model")),
        usage=usage_from(_get(body, "usage")),
        finish_reason=_finish_reason(body, calls),
        confidence=confidence_from([token for part in parts for token in _list(_get(part, "logprobs"))]),
        tool_calls=[
            {
                "id": _get(call, "call_id"),
                "type": "function",
                "function": {"name": _get(call, "name"), "arguments": _get(call, "arguments")},
            }
            for call in calls
        ],
        raw=body if isinstance(body, Mapping) else {},
    )


def _finish_reason(body: Any, calls: list[Any]) -> str | None:
    """The status of a response in the words of chat completions."""
    status = _string(_get(body, "status"))
    if status == "completed":
        return "tool_calls" if calls else "stop"
    reason = _string(_get(_get(body, "incomplete_details"), "reason"))
    return "length" if reason == "max_output_tokens" else reason or status


def _get(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name)
    if value is None:
        return None
    try:
        return getattr(value, name)
    except AttributeError:  # asked last: this question is slow, and SDKs' objects are no mappings
        return value.get(name) if isinstance(value, Mapping) else None
    except Exception:  # noqa: BLE001 - a property of somebody else's object may raise anything
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    dump = _get(value, "model_dump")
    if not callable(dump):
        return value if isinstance(value, Mapping) else {}
    try:
        dumped = dump(
            warnings=False
        )  # what pydantic thinks of the provider's types is not for the host's log
    except TypeError:
        dumped = _called(dump)
    except Exception:  # noqa: BLE001 - somebody else's code
        return {}
    return dumped if isinstance(dumped, Mapping) else {}


def _called(dump: Callable[[], Any]) -> Any:
    try:
        return dump()
    except Exception:  # noqa: BLE001 - somebody else's code
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else list(value) if isinstance(value, tuple) else []


def _getter(value: Any) -> Callable[[str], Any]:
    """``_get`` of one value, which for a dict is its own ``get``."""
    return value.get if type(value) is dict else functools.partial(_get, value)


def _either(get: Callable[[str], Any], name: str, other: str) -> Any:
    found = get(name)
    return found if found is not None else get(other)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 and not isinstance(value, bool) else None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [_get(part, "text") for part in _list(content)]
    return "".join(part for part in parts if isinstance(part, str))


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
