"""What a provider writes on the connection, in the forms that providers are known to use."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from benchmarks.recovery.world import Fault, Kind, Shape

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
_PIECES = 8
_HTML = b"<!doctype html><html><body><h1>We will be right back</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model has to say.

    Attributes:
        model: who says it.
        text: what.
        finish_reason: why it stopped; ``None`` where it does not say.
        refusal: said instead of the text.
        prompt_tokens: as the provider counted them.
    """

    model: str
    text: str
    finish_reason: str | None
    refusal: str | None
    prompt_tokens: int

    @property
    def usage(self) -> dict[str, int]:
        answered = len(self.text) // 4
        total = self.prompt_tokens + answered
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": answered,
            "total_tokens": total,
        }


def response(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, content_type: str = "application/json"
) -> bytes:
    """A whole response."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}", f"content-type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += [f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def html(status: int) -> bytes:
    """A page where JSON was expected."""
    return response(status, _HTML, content_type="text/html; charset=utf-8")


def completion(answer: Answer) -> bytes:
    """The body of an answer in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": None if answer.refusal else answer.text}
    message["refusal"] = answer.refusal
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": answer.model,
            "choices": [
                {"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
            ],
            "usage": answer.usage,
        }
    ).encode()


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
STREAM_END = b"0\r\n\r\n"
DONE = b"[DONE]"


def event(data: bytes) -> bytes:
    """One server-sent event in one HTTP chunk."""
    line = b"data: " + data + b"\n\n"
    return f"{len(line):x}\r\n".encode() + line + b"\r\n"


def _chunk(answer: Answer, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": answer.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }
    ).encode()


def role_event(answer: Answer) -> bytes:
    """The event before the first content."""
    return _chunk(answer, {"role": "assistant", "content": ""})


def content_events(answer: Answer) -> list[bytes]:
    """The events that carry content, or a refusal."""
    text = answer.refusal or answer.text
    size = max(math.ceil(len(text) / _PIECES), 1)
    name = "refusal" if answer.refusal else "content"
    return [_chunk(answer, {name: text[at : at + size]}) for at in range(0, len(text), size)]


def final_events(answer: Answer, *, with_usage: bool) -> list[bytes]:
    """The events after the last content."""
    if answer.finish_reason is None:
        return []
    events = [_chunk(answer, {}, answer.finish_reason)]
    if with_usage:
        usage = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000}
        events.append(
            json.dumps({**usage, "model": answer.model, "choices": [], "usage": answer.usage}).encode()
        )
    return [*events, DONE]


def broken(data: bytes) -> bytes:
    """The beginning of something."""
    return data[: max(len(data) * 6 // 10, 1)]


_INVALID = "invalid_request_error"
_ERRORS: Mapping[tuple[Kind, str], tuple[int, str, str | None, str]] = {
    (Kind.QUOTA, ""): (
        *(429, "insufficient_quota", "insufficient_quota"),
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    (Kind.QUOTA, "balance"): (402, "unknown_error", _INVALID, "Insufficient Balance"),
    (Kind.DEAD_KEY, ""): (401, _INVALID, "invalid_api_key", "Incorrect API key provided."),
    (Kind.FORBIDDEN, ""): (
        *(403, _INVALID, "permission_denied"),
        "Your project does not have access to this model.",
    ),
    (Kind.UNKNOWN_MODEL, ""): (
        *(404, _INVALID, "model_not_found"),
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    (Kind.SERVER_ERROR, ""): (
        *(500, "server_error", "internal_error"),
        "The server had an error while processing your request.",
    ),
    (Kind.UNAVAILABLE, ""): (503, "server_error", None, "The service is temporarily unavailable."),
    (Kind.CONTENT_FILTER, ""): (
        *(400, _INVALID, "content_filter"),
        "The response was filtered due to the prompt triggering the content management policy.",
    ),
    (Kind.WINDOW, ""): (
        *(400, _INVALID, "context_length_exceeded"),
        "This model's maximum context length is {limit} tokens, however your messages have {tokens} tokens.",
    ),
    (Kind.TEMPERATURE, ""): (
        *(400, _INVALID, "unsupported_value"),
        "Unsupported value: 'temperature' does not support this value. Only the default (1) is supported.",
    ),
    (Kind.MAX_TOKENS, ""): (
        *(400, _INVALID, "invalid_value"),
        "max_tokens is too large: {max_tokens}. This model supports at most {limit} completion tokens.",
    ),
    (Kind.NO_SCHEMA, ""): (
        *(400, _INVALID, None),
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    ),
}
"""By kind and form: status, type, code, message."""
_PARAMETERS = {
    Kind.WINDOW: "messages",
    Kind.TEMPERATURE: "temperature",
    Kind.MAX_TOKENS: "max_tokens",
    Kind.NO_SCHEMA: "response_format",
}


def _error(kind: str, code: str | None, message: str, parameter: str | None = None) -> bytes:
    return json.dumps(
        {"error": {"message": message, "type": kind, "param": parameter, "code": code}}
    ).encode()


def error_in_success() -> bytes:
    """An error that comes where the answer should be."""
    return _error("server_error", "service_unavailable", "The upstream provider is temporarily unavailable.")


def refusal_to_serve(fault: Fault, model: str, shape: Shape) -> bytes | None:
    """The whole response where a fault is an error with a status of its own; else ``None``."""
    if fault.kind is Kind.BAD_GATEWAY:
        return html(502)
    if fault.kind is Kind.UNKNOWN_MODEL and fault.form == "ollama":
        return response(404, json.dumps({"error": f"model '{model}' not found"}).encode())
    found = _ERRORS.get((fault.kind, fault.form))
    if found is None:
        return None
    status, kind, code, message = found
    text = message.format(
        model=model, limit=int(fault.amount), tokens=shape.tokens, max_tokens=shape.max_tokens
    )
    return response(status, _error(kind, code, text, _PARAMETERS.get(fault.kind)))


def limited(kind: Kind, seconds: float, form: str, now: float) -> tuple[bytes, float | None]:
    """A response that says when to come back, and in how many seconds a client may, as it reads it.

    Args:
        kind: a rate limit or an overload.
        seconds: what the provider means.
        form: how it says so; without one it does not.
        now: the time of day, seconds since 1970.
    """
    status, code = (429, "rate_limit_exceeded") if kind is Kind.RATE_LIMIT else (503, "overloaded")
    text = "Rate limit reached for requests" if kind is Kind.RATE_LIMIT else "The model is overloaded"
    headers: dict[str, str] = {}
    error: dict[str, Any] = {"message": f"{text}.", "type": "requests", "param": None, "code": code}
    told = math.ceil(seconds * 1000) / 1000
    if form == "seconds":
        told = math.ceil(seconds)
        headers["retry-after"] = str(told)
    elif form == "date":
        until = math.ceil(now + seconds)
        told = until - now
        headers["retry-after"] = formatdate(until, usegmt=True)
    elif form == "milliseconds":
        headers["retry-after-ms"] = str(round(told * 1000))
    elif form == "body":
        error["message"] = f"{text} per min (RPM): Limit 500, Used 500. Please try again in {told:.3f}s."
    elif form == "gemini":
        # Gemini speaks of a quota where it means a rate limit, and says how long.
        error |= {
            "message": "You exceeded your current quota, please check your plan and billing details. "
            f"Please retry in {told:.3f}s.",
            "status": "RESOURCE_EXHAUSTED",
            "code": status,
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{told:.3f}s"}],
        }
    body = json.dumps({"error": error}).encode()
    return response(status, body, headers), told if form else None
