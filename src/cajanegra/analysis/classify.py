"""Reads what an attempt ended with, and gives it one of the failure kinds."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cajanegra.analysis.rules import CODES, EXCEPTIONS, MESSAGES, STATUSES, VAGUE_CODES
from cajanegra.domain.failure import Failure, FailureKind, ProviderError

MAX_MESSAGE = 4_000
"""Characters of a message that are looked at and kept."""
MAX_BODY = 200_000
"""Characters of an error body that are parsed."""
MAX_RETRY_AFTER = 86_400.0
"""Seconds; who asks for more than a day is taken to mean a day."""

_DELAY = re.compile(
    r"(?:try again|retry|wait|available|reset\w*)(?: \w+){0,3} (?:in|after|for)[: ]{1,2}"
    r"(?:(\d{1,4})h)? ?(?:(\d{1,6})m(?!s|i))? ?"
    r"(?:(\d{1,9}(?:\.\d{1,9})?) ?(ms|milliseconds?|s|seconds?|minutes?|hours?)\b)?",
    re.IGNORECASE,
)
_SECONDS = {"ms": 0.001, "mil": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "hou": 3600.0}
"""Length of a unit of time by the first letters of its name."""
_STATUS = re.compile(
    r"(?:error code|status(?: code)?|http(?: error)?)[: =\"']{1,4}([45]\d\d)\b"
    r"|^\W{0,3}(?:error:? )?([45]\d\d)\b",
    re.IGNORECASE,
)
# What the request alone can be blamed for; a status of 4xx says no more than that.
_VAGUE_STATUSES = frozenset({400, 403, 404, 409, 413, 422, 424, 429, 500, 502, 503})


@dataclass(frozen=True, slots=True)
class _Evidence:
    """All that is known of a failure before it has a kind."""

    message: str
    status: int | None = None
    codes: tuple[str, ...] = ()
    exception_types: tuple[str, ...] = ()


class Classifier:
    """A ``ports.FailureReader`` that goes by the tables in ``rules``.

    Args:
        clock: seconds since the Unix epoch, for a ``Retry-After`` that is a date.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def from_response(
        self, *, provider: str, model: str | None, status: int, headers: Mapping[str, str], body: str
    ) -> Failure:
        """Read a response with an error status; see ``ports.FailureReader``."""
        decoded = _decoded(body)
        message = (_message(decoded) or body.strip() or f"status {status} without a body")[:MAX_MESSAGE]
        codes = tuple(_codes(decoded))
        return Failure(
            kind=_kind(_Evidence(message, status or None, codes)),
            message=message,
            provider=provider,
            model=model,
            http_status=status or None,
            code=codes[0] if codes else None,
            retry_after=self._retry_after(headers, decoded, message),
        )

    def from_exception(self, error: BaseException, *, provider: str, model: str | None) -> Failure:
        """Read an exception of any client library; see ``ports.FailureReader``."""
        if isinstance(error, ProviderError):
            return error.failure
        chain = list(_causes(error))
        status = next((found for cause in chain if (found := _status_of(cause)) is not None), None)
        decoded = next((found for cause in chain if (found := _body_of(cause)) is not None), None)
        message = (_text_of(error) or _message(decoded) or type(error).__name__)[:MAX_MESSAGE]
        codes = tuple(_codes(decoded))
        # The innermost cause says most: a connection error may hide a name that does not resolve.
        types = tuple(name for cause in reversed(chain) for name in _type_names(cause))
        headers: Mapping[str, str] = next((held for cause in chain if (held := _headers_of(cause))), {})
        return Failure(
            kind=_kind(_Evidence(f"{message} {_text_of(chain[-1])[:MAX_MESSAGE]}", status, codes, types)),
            message=message,
            provider=provider,
            model=model,
            http_status=status,
            code=codes[0] if codes else None,
            exception_type=f"{type(error).__module__}.{type(error).__qualname__}",
            retry_after=self._retry_after(headers, decoded, message),
        )

    def _retry_after(self, headers: Mapping[str, str], body: Any, message: str) -> float | None:
        for seconds in (
            _number(headers.get("retry-after-ms"), 0.001),
            _number(headers.get("retry-after")),
            self._until(headers.get("retry-after")),
            _retry_delay(body),
            _delay_in(message),
        ):
            if seconds is not None:
                return min(max(seconds, 0.0), MAX_RETRY_AFTER)
        return None

    def _until(self, date: str | None) -> float | None:
        from email.utils import parsedate_to_datetime  # only dates need it, and it takes 10 ms

        try:
            return parsedate_to_datetime(date).timestamp() - self._clock() if date else None
        except (TypeError, ValueError, OverflowError):
            return None


def _kind(seen: _Evidence) -> FailureKind:
    """The most precise evidence first: codes, then words, then exception types and bare statuses."""
    for code in seen.codes:
        if kind := CODES.get(code.lower()):
            return _sharpened(kind, seen)
    named = next((kind for name in seen.exception_types if (kind := EXCEPTIONS.get(name))), None)
    if named in (FailureKind.CANCELLED, FailureKind.DNS, FailureKind.TLS):
        return named
    status = seen.status or _status_in(seen.message)
    if status is not None and status not in _VAGUE_STATUSES and status in STATUSES:
        return STATUSES[status]
    if (said := _said(seen.message)) is not None:
        if said is FailureKind.SCHEMA_VALIDATION and status is not None:
            return FailureKind.INVALID_REQUEST  # it was the request that the provider validated
        return said
    if status is not None and (kind := STATUSES.get(status) or _of_class(status)):
        return kind
    if named:
        return named
    return next((kind for code in seen.codes if (kind := VAGUE_CODES.get(code.lower()))), FailureKind.UNKNOWN)


def _said(message: str) -> FailureKind | None:
    text = message[:MAX_MESSAGE]
    return next((rule.kind for rule in MESSAGES if rule.pattern.search(text)), None)


def _sharpened(kind: FailureKind, seen: _Evidence) -> FailureKind:
    """A rate limit may turn out to be a quota, or one request that is too large for any window."""
    if kind is FailureKind.RATE_LIMIT:
        said = _said(seen.message)
        if said in (FailureKind.QUOTA_EXHAUSTED, FailureKind.PAYLOAD_TOO_LARGE):
            return said
    return kind


def _of_class(status: int) -> FailureKind | None:
    if 400 <= status < 500:  # noqa: PLR2004 - RFC 9110, section 15
        return FailureKind.INVALID_REQUEST
    return FailureKind.SERVER_ERROR if 500 <= status < 600 else None  # noqa: PLR2004


def _status_in(message: str) -> int | None:
    found = _STATUS.search(message[:300])
    return int(found[1] or found[2]) if found else None


def _decoded(body: str) -> Any:
    if len(body) > MAX_BODY:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error_objects(body: Any) -> Iterator[Mapping[str, Any]]:
    """The objects in which providers say what went wrong, innermost first."""
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, Mapping):
        for name in ("error", "detail", "innererror", "inner_error"):
            inner = body.get(name)
            if isinstance(inner, Mapping):
                yield from _error_objects(inner)
        yield body


def _message(body: Any) -> str:
    for found in _error_objects(body):
        for name in ("message", "error", "detail", "error_message", "msg"):
            if isinstance(text := found.get(name), str) and text.strip():
                return text.strip()
    return ""


def _codes(body: Any) -> Iterator[str]:
    for found in _error_objects(body):
        for name in ("code", "type", "status", "__type"):
            if isinstance(code := found.get(name), str) and code and code != "error":
                yield code.rpartition("#")[2][:100]


def _retry_delay(body: Any) -> float | None:
    """Google's ``RetryInfo``: ``{"error": {"details": [{"retryDelay": "20s"}]}}``."""
    for found in _error_objects(body):
        details = found.get("details")
        for detail in details if isinstance(details, list) else ():
            delay = detail.get("retryDelay") if isinstance(detail, Mapping) else None
            if isinstance(delay, str) and delay.endswith("s"):
                return _number(delay[:-1])
    return None


def _delay_in(message: str) -> float | None:
    found = _DELAY.search(message)
    if not found or not any(found.groups()[:3]):
        return None
    hours, minutes, amount, unit = found.groups()
    seconds = int(hours or 0) * 3600.0 + int(minutes or 0) * 60.0
    if amount:
        seconds += float(amount) * _SECONDS[unit.lower()[:3]]
    return seconds


def _number(text: Any, scale: float = 1.0) -> float | None:
    try:
        number = float(text) * scale
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it came from, at most ten deep."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen and len(seen) < 10:  # noqa: PLR2004
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _type_names(error: BaseException) -> list[str]:
    return [kind.__name__ for kind in type(error).__mro__]


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - somebody else's __str__ may do anything
        return ""


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody else's class may do anything
        return None


def _status_of(error: BaseException) -> int | None:
    for holder in (error, _attribute(error, "response")):
        for name in ("status_code", "status", "http_status", "code"):
            status = _attribute(holder, name)
            if isinstance(status, int) and not isinstance(status, bool) and 400 <= status < 600:  # noqa: PLR2004
                return status
    response = _attribute(error, "response")
    if isinstance(response, Mapping):  # botocore
        metadata = response.get("ResponseMetadata")
        status = metadata.get("HTTPStatusCode") if isinstance(metadata, Mapping) else None
        return status if isinstance(status, int) else None
    return None


def _body_of(error: BaseException) -> Any:
    body = _attribute(error, "body")
    if isinstance(body, Mapping):
        return body
    if isinstance(body, str):
        return _decoded(body)
    response = _attribute(error, "response")
    if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):  # botocore
        return {"code": response["Error"].get("Code"), "message": response["Error"].get("Message")}
    return None


def _headers_of(error: BaseException) -> Mapping[str, str]:
    headers = _attribute(_attribute(error, "response"), "headers") or _attribute(error, "headers")
    try:
        return {str(name).lower(): str(value) for name, value in headers.items()} if headers else {}
    except (AttributeError, TypeError, ValueError):
        return {}
