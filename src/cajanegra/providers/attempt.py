"""What every wire format does alike: naming an attempt's failures, finding those that hide in an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from cajanegra.domain.call import ChatRequest
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.ports import FailureReader
from cajanegra.providers.transport import Transport

_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_ERRORS = range(400, 600)
_JSON_FORMATS = frozenset({"json_object", "json_schema"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answer comes to, whether it came in one piece or streamed."""

    text: str
    finish_reason: str | None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    refused: bool = False
    other_content: bool = False
    """Whether there is content that is neither text nor a tool call, such as audio."""


@dataclass(slots=True)
class Attempt:
    """One request to one provider, as far as its failures need to know it."""

    provider: str
    model: str
    request: ChatRequest
    transport: Transport
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
        value = _decode(data)
        if not isinstance(value, dict):
            problem = "is empty" if not data.strip() else "is not a JSON object"
            raise self.failed(FailureKind.INVALID_RESPONSE, f"{what} {problem}")
        return value

    def require_content(self, outcome: Outcome) -> None:
        """Let an answer pass that says something in the form that was asked for.

        Raises:
            ProviderError: it does not.
        """
        found = _silent_failure(outcome, self.request)
        if found is not None:
            raise self.failed(*found)

    def _read(self, status: int, headers: Mapping[str, str], body: str) -> Failure:
        return self.reader.from_response(
            provider=self.provider,
            model=self.model,
            status=status,
            headers=headers,
            body=self.transport.without_key(body),
        )


def wants_json(request: ChatRequest) -> bool:
    """Whether the application asked for an answer in JSON."""
    wanted = request.parameters.get("response_format")
    return isinstance(wanted, Mapping) and wanted.get("type") in _JSON_FORMATS


def _silent_failure(outcome: Outcome, request: ChatRequest) -> tuple[FailureKind, str] | None:
    if outcome.refused:
        return FailureKind.REFUSAL, "the model refused to answer"
    if outcome.tool_calls:
        return _tool_failure(outcome.tool_calls, request)
    if outcome.text.strip():
        return _json_failure(outcome) if wants_json(request) else None
    if outcome.other_content:
        return None
    if outcome.finish_reason == "content_filter":
        return FailureKind.CONTENT_FILTER, "the provider's content filter removed the whole answer"
    cut = outcome.finish_reason == "length"
    return FailureKind.INVALID_RESPONSE, (
        "the answer was cut at max_tokens before it had any text" if cut else "the answer is empty"
    )


def _json_failure(outcome: Outcome) -> tuple[FailureKind, str] | None:
    if outcome.finish_reason == "length":
        return FailureKind.INVALID_RESPONSE, "the JSON answer was cut at max_tokens"
    if _decode(outcome.text.encode(errors="surrogatepass")) is _NOT_JSON:
        return FailureKind.INVALID_RESPONSE, "the answer is not JSON, which response_format asks for"
    return None


def _tool_failure(calls: Sequence[Any], request: ChatRequest) -> tuple[FailureKind, str] | None:
    offered = _offered_tools(request)
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            continue  # a custom tool, whose input is free text
        if offered and function.get("name") not in offered:
            return FailureKind.TOOL_CALL, "the model called a tool that was not offered"
        arguments = function.get("arguments")
        if isinstance(arguments, str) and arguments.strip():
            decoded = _decode(arguments.encode(errors="surrogatepass"))
            if not isinstance(decoded, dict):
                return FailureKind.TOOL_CALL, "the arguments of a tool call are not a JSON object"
    return None


def _offered_tools(request: ChatRequest) -> set[Any]:
    tools = request.parameters.get("tools")
    if not isinstance(tools, Sequence):
        return set()
    functions = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    return {function.get("name") for function in functions if isinstance(function, Mapping)}


_NOT_JSON = object()


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(data)  # takes what strict parsers do not: lone surrogates, NaN
    except (ValueError, RecursionError):
        return _NOT_JSON
