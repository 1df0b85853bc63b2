"""What an exception of any client library carries: its causes, its text, a status, a body, headers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MAX_BODY = 200_000
"""Characters of an error body that are parsed."""
_MAX_CAUSES = 10


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it came from, at most ten deep."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen and len(seen) < _MAX_CAUSES:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def type_names(error: BaseException) -> list[str]:
    """The names of its class and base classes."""
    return [kind.__name__ for kind in type(error).__mro__]


def text_of(error: BaseException) -> str:
    """What it prints; nothing when printing fails."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - somebody else's __str__ may do anything
        return ""


def status_of(error: BaseException) -> int | None:
    """The HTTP status that it carries."""
    response = _attribute(error, "response")
    for holder in (error, response):
        for name in ("status_code", "status", "http_status", "code"):
            status = _attribute(holder, name)
            if isinstance(status, int) and not isinstance(status, bool) and 400 <= status < 600:  # noqa: PLR2004
                return status
    if isinstance(response, Mapping):  # botocore
        metadata = response.get("ResponseMetadata")
        status = metadata.get("HTTPStatusCode") if isinstance(metadata, Mapping) else None
        return status if isinstance(status, int) else None
    return None


def body_of(error: BaseException) -> Any:
    """The body of the response that it carries, decoded."""
    body = _attribute(error, "body")
    if isinstance(body, Mapping):
        return body
    if isinstance(body, str):
        return decoded(body)
    response = _attribute(error, "response")
    if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):  # botocore
        return {"code": response["Error"].get("Code"), "message": response["Error"].get("Message")}
    return None


def headers_of(error: BaseException) -> Mapping[str, str]:
    """The headers of the response that it carries, names in lower case."""
    headers = _attribute(_attribute(error, "response"), "headers") or _attribute(error, "headers")
    try:
        return {str(name).lower(): str(value) for name, value in headers.items()} if headers else {}
    except (AttributeError, TypeError, ValueError):
        return {}


def decoded(body: str) -> Any:
    """JSON that is not too long, or ``None``."""
    if len(body) > MAX_BODY:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody else's class may do anything
        return None
