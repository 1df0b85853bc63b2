"""What every wire format does alike: naming an attempt's failures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from cajanegra.domain.call import ChatRequest
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.ports import FailureReader
from cajanegra.providers.answers import Checked, Outcome, check
from cajanegra.providers.json_answers import decode

_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_ERRORS = range(400, 600)
_SOON = 120.0
"""Seconds."""
_DATE = re.compile(r"[A-Z][a-z]{2}[a-z]*,? ")
"""A date in HTTP begins with the day of the week."""


class Attempt(msgspec.Struct, gc=False):
    """One request to one provider, as far as its failures need to know it."""

    provider: str
    model: str
    request: ChatRequest
    without_key: Callable[[str], str]
    """Masks the provider's key in a text, should the provider have repeated it."""
    reader: FailureReader
    status: int | None = None
    """Status of the response, once there is one."""

    def failed(self, kind: FailureKind, message: str, *, partial_text: str = "") -> ProviderError:
        """The error for a failure that this side found."""
        failure = Failure(kind, message, self.provider, self.model, http_status=self.status)
        return ProviderError(failure, partial_text)

    def require_success(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Let a response with a success status pass.

        Raises:
            ProviderError: it has another status.
        """
        self.status = status
        if status in _SUCCESS:
            return
        if status in _REDIRECT:
            raise self.failed(
                FailureKind.INVALID_RESPONSE, f"a redirect ({status}), which is not followed; check base_url"
            )
        raise ProviderError(self._read(status, headers, body.decode(errors="replace")))

    def require_type(self, headers: Mapping[str, str], wrong: tuple[str, ...]) -> None:
        """Let a response pass that does not say it is something else; many say nothing, or nothing exact.

        Raises:
            ProviderError: its content type is one of those that are wrong.
        """
        given = headers.get("content-type", "").lower()
        if given.startswith(wrong):
            raise self.failed(
                FailureKind.INVALID_RESPONSE, f"the answer is {given[:60]}, not JSON; check base_url"
            )

    def reported(self, error: Any, headers: Mapping[str, str], *, partial_text: str = "") -> ProviderError:
        """The error for one that the provider reports in the body of a success."""
        body = error if isinstance(error, Mapping) and "error" in error else {"error": error}
        inner = body["error"]
        code = inner.get("code") if isinstance(inner, Mapping) else None
        status = code if isinstance(code, int) and code in _ERRORS else self.status or 0
        failure = self._read(status, headers, json.dumps(body))
        if failure.kind is FailureKind.UNKNOWN:  # it says that it failed, and not why
            failure = replace(failure, kind=FailureKind.SERVER_ERROR)
        return ProviderError(failure, partial_text)

    def decoded(self, data: bytes, what: str) -> dict[str, Any]:
        """The JSON object in ``data``.

        Raises:
            ProviderError: there is none.
        """
        value = decode(data)
        if not isinstance(value, dict):
            problem = "is empty" if not data.strip() else "is not a JSON object"
            raise self.failed(FailureKind.INVALID_RESPONSE, f"{what} {problem}")
        return value

    def require_content(self, outcome: Outcome) -> Checked:
        """Let an answer pass that says something in the form that was asked for, mended where it can be.

        Raises:
            ProviderError: it does not.
        """
        found = check(outcome, self.request)
        if isinstance(found, Checked):
            return found
        raise self.failed(*found)

    def _read(self, status: int, headers: Mapping[str, str], body: str) -> Failure:
        failure = self.reader.from_response(
            provider=self.provider,
            model=self.model,
            status=status,
            headers=headers,
            body=self.without_key(body),
        )
        if failure.retry_after is not None and _DATE.match(headers.get("retry-after", "")):
            # A date has no fractions of a second: the moment that it means may be up to one later.
            failure = replace(failure, retry_after=failure.retry_after + 1.0)
        if failure.kind is FailureKind.QUOTA_EXHAUSTED and 0 < (failure.retry_after or 0) <= _SOON:
            # Google calls the limits of a minute a quota too: one that says when it is back is not exhausted.
            failure = replace(failure, kind=FailureKind.RATE_LIMIT)
        return failure
