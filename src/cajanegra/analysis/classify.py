"""Makes a failure of whatever an attempt ended with, or of a line that somebody else logged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cajanegra.analysis import exceptions
from cajanegra.analysis.delays import retry_after
from cajanegra.analysis.reading import judge, read
from cajanegra.analysis.reasons import is_vague
from cajanegra.analysis.unwrap import MAX_MESSAGE, core
from cajanegra.domain.failure import Failure, FailureKind, ProviderError


class Classifier:
    """A ``ports.FailureReader`` and ``ports.LogReader`` that goes by the tables in ``rules``.

    Args:
        clock: seconds since the Unix epoch, for a ``Retry-After`` that is a date.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def from_response(
        self, *, provider: str, model: str | None, status: int, headers: Mapping[str, str], body: str
    ) -> Failure:
        """Read a response with an error status; see ``ports.FailureReader``."""
        errors = list(_error_objects(exceptions.decoded(body)))
        message = _message(errors)
        if is_vague(message):  # a router may hide the words of the provider behind it deeper in the body
            message = core(body) or message
        message = (message or f"status {status} without a body")[:MAX_MESSAGE]
        codes = tuple(_codes(errors))
        return Failure(
            kind=_kind(message, status or None, codes),
            message=message,
            provider=provider,
            model=model,
            http_status=status or None,
            code=codes[0] if codes else None,
            retry_after=retry_after(headers, errors, message, self._clock),
        )

    def from_exception(self, error: BaseException, *, provider: str, model: str | None) -> Failure:
        """Read an exception of any client library; see ``ports.FailureReader``."""
        if isinstance(error, ProviderError):
            return error.failure
        chain = list(exceptions.causes(error))
        status = next((found for cause in chain if (found := exceptions.status_of(cause)) is not None), None)
        body = next((found for cause in chain if (found := exceptions.body_of(cause)) is not None), None)
        headers: Mapping[str, str] = next(
            (held for cause in chain if (held := exceptions.headers_of(cause))), {}
        )
        errors = list(_error_objects(body))
        message = (exceptions.text_of(error) or _message(errors) or type(error).__name__)[:MAX_MESSAGE]
        codes = tuple(_codes(errors))
        # The innermost cause says most: a connection error may hide a name that does not resolve.
        types = tuple(name for cause in reversed(chain) for name in exceptions.type_names(cause))
        inner = exceptions.text_of(chain[-1])[:MAX_MESSAGE]
        return Failure(
            kind=_kind(message, status, codes, types, inner),
            message=message,
            provider=provider,
            model=model,
            http_status=status,
            code=codes[0] if codes else None,
            exception_type=f"{type(error).__module__}.{type(error).__qualname__}",
            retry_after=retry_after(headers, errors, message, self._clock),
        )

    def from_log(
        self,
        message: str,
        *,
        provider: str = "unknown",
        http_status: int | None = None,
        exception_type: str | None = None,
        code: str | None = None,
    ) -> Failure:
        """Read what somebody else wrote down of a failure; see ``ports.LogReader``."""
        text = message.strip()[:MAX_MESSAGE] or exception_type or ""
        types = (exception_type.rpartition(".")[2],) if exception_type else ()
        return Failure(
            kind=_kind(text, http_status, (code,) if code else (), types),
            message=text,
            provider=provider,
            http_status=http_status,
            code=code,
            exception_type=exception_type,
            retry_after=retry_after({}, [], text, self._clock),
        )


def _kind(
    message: str,
    status: int | None,
    codes: tuple[str, ...] = (),
    types: tuple[str, ...] = (),
    inner: str = "",
) -> FailureKind:
    """The kind by the message, or by its innermost cause where the message alone does not tell."""
    found = judge(read(message), status, codes, types)
    if found.rule is None and inner and inner != message:
        deeper = judge(read(inner), status, codes, types)
        return deeper.kind if deeper.rule is not None else found.kind
    return found.kind


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


def _message(errors: list[Mapping[str, Any]]) -> str:
    for found in errors:
        for name in ("message", "error", "detail", "error_message", "msg"):
            if isinstance(text := found.get(name), str) and text.strip():
                return text.strip()
    return ""


def _codes(errors: list[Mapping[str, Any]]) -> Iterator[str]:
    for found in errors:
        for name in ("code", "type", "status", "__type"):
            if isinstance(code := found.get(name), str) and code and code != "error":
                yield code.rpartition("#")[2][:100]
