"""Errors in OpenAI's shape: what a refused request and an unanswered call get."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.types import Scope, Send

from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.domain.redaction import redact_text
from cajanegra.errors import CallError
from cajanegra.ports import Patterns
from cajanegra.server.problems import ProblemError

Headers = list[tuple[bytes, bytes]]

GATEWAY = "/v1/"
"""The beginning of the paths whose errors have this shape."""
JSON = (b"content-type", b"application/json")
_CODES = {
    401: "invalid_api_key",
    403: "permission_denied",
    413: "payload_too_large",
    421: "misdirected_request",
    429: "too_many_failed_keys",
}

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
"""By status; every other one is a ``server_error``."""

_STATUSES: Mapping[FailureKind, tuple[int, str]] = {
    FailureKind.RATE_LIMIT: (429, "rate_limit_exceeded"),
    FailureKind.QUOTA_EXHAUSTED: (429, "insufficient_quota"),
    FailureKind.AUTH: (401, "invalid_api_key"),
    FailureKind.PERMISSION: (403, "permission_denied"),
    FailureKind.REGION_BLOCKED: (403, "unsupported_country_region_territory"),
    FailureKind.MODEL_NOT_FOUND: (404, "model_not_found"),
    FailureKind.DEPRECATED: (404, "model_not_found"),
    FailureKind.CONTEXT_LENGTH: (400, "context_length_exceeded"),
    FailureKind.MAX_TOKENS_INVALID: (400, "invalid_max_tokens"),
    FailureKind.CONTENT_FILTER: (400, "content_filter"),
    FailureKind.INVALID_REQUEST: (400, "invalid_request"),
    FailureKind.REFUSAL: (422, "refusal"),
    FailureKind.PAYLOAD_TOO_LARGE: (413, "payload_too_large"),
    FailureKind.TIMEOUT: (504, "timeout"),
    FailureKind.OVERLOADED: (503, "overloaded"),
    FailureKind.MODEL_LOADING: (503, "model_loading"),
    FailureKind.OUT_OF_MEMORY: (503, "out_of_memory"),
    FailureKind.SERVER_ERROR: (502, "server_error"),
    FailureKind.CANCELLED: (499, "cancelled"),
}
"""Status and code by failure kind; those that are missing are 502 with the kind as their code."""
_AS_THE_PROVIDER = frozenset(
    {FailureKind.INVALID_REQUEST, FailureKind.SERVER_ERROR, FailureKind.OVERLOADED, FailureKind.UNKNOWN}
)
"""Kinds whose status is the provider's own, where it has answered with one."""
_WORTH_WAITING = frozenset({FailureKind.RATE_LIMIT, FailureKind.OVERLOADED, FailureKind.MODEL_LOADING})
_ERRORS = range(400, 600)


class RefusalError(Exception):
    """A request that is turned away before anybody is asked.

    Args:
        status: HTTP status.
        message: what was wrong and what to do about it.
        code: in a word, for programs.
        param: the part of the request that is wrong.
        headers: of the response, such as ``retry-after``.
        more: further documented fields of ``error.cajanegra``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Headers | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or []
        self._code = code
        self._param = param
        self._more = more or {}

    def body(self, request_id: str | None) -> bytes:
        """The error in OpenAI's shape."""
        extension = {"kind": self._code, "request_id": request_id, **self._more}
        return _encoded(str(self), self.status, self._code, self._param, extension)


def of_problem(error: ProblemError) -> RefusalError:
    """The same refusal in OpenAI's shape."""
    headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
    code = _CODES.get(error.status_code, "invalid_request")
    return RefusalError(error.status_code, str(error.detail), code=code, headers=headers)


async def refuse(scope: Scope, send: Send, error: RefusalError) -> None:
    """Answer with a refusal."""
    request_id = scope.get("state", {}).get("request_id")
    await send_json(send, error.status, error.body(request_id), error.headers)


async def send_json(send: Send, status: int, body: bytes, headers: Headers | None = None) -> None:
    """Answer with JSON."""
    head = [JSON, *(headers or []), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


class Unanswered:
    """What the caller of a call that nobody answered is told.

    Args:
        error: how the call ended.
        attempts: requests on the wire that it took.
        patterns: knows what the failure has in common with others.
    """

    def __init__(self, error: CallError, attempts: int, patterns: Patterns) -> None:
        self._error = error
        self._attempts = attempts
        self._patterns = patterns
        self._failure: Failure = error.failure
        self.status, self._code = _status_of(self._failure)

    @property
    def headers(self) -> Headers:
        """Of the response: whether and when asking again makes sense, as official clients read it.

        What was worth repeating has been repeated already; only a wait that was asked for is left to them.
        """
        wait = self._failure.retry_after
        if wait is not None and self._failure.kind in _WORTH_WAITING:
            return [(b"retry-after", str(math.ceil(wait)).encode())]
        return [(b"x-should-retry", b"false")]

    def body(self) -> bytes:
        """The error in OpenAI's shape."""
        error, failure = self._error, self._failure
        pattern = self._patterns.explain(
            provider=failure.provider,
            kind=failure.kind,
            message=failure.message,
            http_status=failure.http_status,
            code=failure.code,
            exception_type=failure.exception_type,
        )
        extension = {
            "kind": str(failure.kind),
            "pattern": pattern.name,
            "probable_cause": pattern.probable_cause,
            "suggested_action": pattern.suggested_action,
            "provider": failure.provider,
            "model": failure.model,
            "provider_status": failure.http_status,
            "provider_code": failure.code,
            "retry_after": failure.retry_after,
            "call_status": str(error.status),
            "request_id": error.request_id,
            "attempts": self._attempts,
            "steps": [
                {
                    "strategy": str(step.strategy),
                    "action": step.action,
                    "successful": step.successful,
                    "time_ms": step.time_ms,
                    "provider": step.failure.provider,
                    "kind": str(step.failure.kind),
                }
                for step in error.steps
            ],
        }
        return _encoded(redact_text(str(error)), self.status, self._code, None, extension)


def _status_of(failure: Failure) -> tuple[int, str]:
    status, code = _STATUSES.get(failure.kind, (502, str(failure.kind)))
    if failure.kind in _AS_THE_PROVIDER and failure.http_status in _ERRORS:
        status = failure.http_status or status
    return status, code


def _encoded(message: str, status: int, code: str, param: str | None, extension: Mapping[str, Any]) -> bytes:
    kind = "insufficient_quota" if code == "insufficient_quota" else _TYPES.get(status, "server_error")
    error = {"message": message, "type": kind, "param": param, "code": code, "cajanegra": extension}
    return msgspec.json.encode({"error": error})
