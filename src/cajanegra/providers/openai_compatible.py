"""The chat completions wire format of OpenAI, which most providers and servers speak."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cajanegra.domain.call import Answer, ChatRequest, Chunk, Usage
from cajanegra.domain.failure import FailureKind, ProviderError
from cajanegra.domain.response import answer_from, usage_from
from cajanegra.ports import FailureReader
from cajanegra.providers.answers import Outcome
from cajanegra.providers.attempt import Attempt
from cajanegra.providers.delivery import Delivery
from cajanegra.providers.lines import ServerEvent, ServerEvents
from cajanegra.providers.transport import StreamedResponse, Transport

_PATH = "/chat/completions"
_DONE = b"[DONE]"
_NOT_A_STREAM = ("application/json", "text/html")
_NOT_JSON = ("text/html", "text/event-stream", "image/", "audio/", "video/")
_AFTER_FINISH_SECONDS = 2.0
"""What may still come after the finish reason, the usage, is not worth a longer wait."""


class OpenAICompatible:
    """A provider at ``{base_url}/chat/completions``; implements ``ports.Provider``.

    Args:
        name: its name in the record.
        base_url: up to and without ``/chat/completions``.
        api_key: sent as a bearer token.
        reader: makes failures of error responses.

    Raises:
        SettingsError: the URL or the key cannot be used.
    """

    def __init__(self, name: str, base_url: str, api_key: str | None, reader: FailureReader) -> None:
        self.name = name
        self._reader = reader
        self._transport = Transport(name, base_url, api_key, reader)
        self._stream_options: dict[str, Any] = {"stream_options": {"include_usage": True}}

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.name!r})"

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        """Make one attempt; see ``ports.Provider``."""
        attempt = self._attempt(request, model)
        response = await self._transport.post_json(
            _PATH, _payload(request, model), timeout=timeout, model=model
        )
        attempt.require_success(response.status, response.headers, response.body)
        attempt.require_type(response.headers, _NOT_JSON)
        body = attempt.decoded(response.body, "the answer")
        if body.get("error"):
            raise attempt.reported(body, response.headers)
        message = _message(body)
        if message is None:
            raise attempt.failed(FailureKind.INVALID_RESPONSE, "the answer has no choices with a message")
        answer = answer_from(body)
        checked = attempt.require_content(
            Outcome(
                answer.text,
                answer.finish_reason,
                answer.tool_calls,
                refused=bool(message.get("refusal")),
                other_content=bool(message.get("audio") or message.get("function_call")),
            )
        )
        return replace(answer, text=checked.text, repaired=True) if checked.repaired else answer

    async def stream(self, request: ChatRequest, model: str, *, timeout: float) -> AsyncGenerator[Chunk]:
        """Make one streamed attempt; see ``ports.Provider``."""
        attempt = self._attempt(request, model)
        payload = {**self._stream_options, **_payload(request, model), "stream": True}
        state = _Stream(attempt, Delivery(request))
        try:
            async with self._transport.stream_json(_PATH, payload, timeout=timeout, model=model) as response:
                await self._require_stream(attempt, response)
                decoder = ServerEvents()
                while not state.done:
                    piece = await response.piece()
                    for event in decoder.feed(piece) if piece else decoder.close():
                        if chunk := state.take(event, response.headers):
                            yield chunk
                    if not piece:
                        break
                    if state.finish_reason:
                        response.hurry(_AFTER_FINISH_SECONDS)
                await response.drain()
            if not state.finish_reason:
                raise attempt.failed(
                    FailureKind.STREAM_INTERRUPTED, "the stream ended without a finish reason"
                )
        except ProviderError as error:
            if not state.finish_reason:
                error.partial_text = state.delivery.text
                raise

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _attempt(self, request: ChatRequest, model: str) -> Attempt:
        return Attempt(self.name, model, request, self._transport, self._reader)

    async def _require_stream(self, attempt: Attempt, response: StreamedResponse) -> None:
        is_stream = not response.headers.get("content-type", "").lower().startswith(_NOT_A_STREAM)
        if response.status == 200 and is_stream:  # noqa: PLR2004 - OK
            attempt.status = response.status
            return
        body = await response.read()
        if b"stream_options" in body:
            self._stream_options = {}  # it knows no such thing: the next attempt does not ask for it
        attempt.require_success(response.status, response.headers, body)
        answer = attempt.decoded(body, "the stream")
        if answer.get("error"):
            raise attempt.reported(answer, response.headers)
        raise attempt.failed(FailureKind.INVALID_RESPONSE, "the answer is not a stream, which was asked for")


@dataclass(slots=True)
class _Stream:
    """What a stream has brought so far."""

    attempt: Attempt
    delivery: Delivery
    finish_reason: str | None = None
    done: bool = False
    _refused: bool = False
    _other_content: bool = False
    _model_told: bool = False
    _calls: dict[Any, dict[str, str]] = field(default_factory=dict)

    def take(self, event: ServerEvent, headers: Mapping[str, str]) -> Chunk | None:
        """The chunk for the consumer, if the event has something for it.

        Raises:
            ProviderError: the event reports an error, is malformed, or ends an answer that is none.
        """
        self.done = self.done or event.data == _DONE
        if self.done:
            return None
        data = self.attempt.decoded(event.data, "a chunk of the stream")
        if event.name == "error" or data.get("error") or data.get("object") == "error":
            raise self.attempt.reported(data, headers)
        choice = _first_choice(data)
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        text = _text(delta.get("content"))
        calls = [call for call in _list(delta.get("tool_calls")) if isinstance(call, dict)]
        finish_reason = _string(choice.get("finish_reason"))
        usage = usage_from(data["usage"]) if isinstance(data.get("usage"), dict) else None
        self._collect(delta, calls)
        said = self.delivery.take(text)
        repaired = False
        if finish_reason and not self.finish_reason:
            checked = self.attempt.require_content(self._outcome(finish_reason))
            said += self.delivery.finish(checked)
            repaired = checked.repaired
            self.finish_reason = finish_reason
        if text and not said and not (finish_reason or usage or calls):
            return Chunk()  # a sign of life
        return self._chunk(said, finish_reason, _string(data.get("model")), usage, calls, repaired=repaired)

    def _collect(self, delta: dict[str, Any], calls: list[dict[str, Any]]) -> None:
        self._refused = self._refused or bool(delta.get("refusal"))
        self._other_content = self._other_content or bool(delta.get("audio") or delta.get("function_call"))
        for position, call in enumerate(calls):
            function = call.get("function")
            if not isinstance(function, dict):
                continue
            whole = self._calls.setdefault(str(call.get("index", position)), {"name": "", "arguments": ""})
            for part in whole:
                whole[part] += _string(function.get(part)) or ""

    def _outcome(self, finish_reason: str) -> Outcome:
        calls = [{"function": function} for function in self._calls.values()]
        text = self.delivery.text
        return Outcome(text, finish_reason, calls, self._refused, self._other_content)

    def _chunk(
        self,
        text: str,
        finish_reason: str | None,
        model: str | None,
        usage: Usage | None,
        calls: list[dict[str, Any]],
        *,
        repaired: bool,
    ) -> Chunk | None:
        if not (text or finish_reason or usage or calls):
            return None
        told, self._model_told = self._model_told, True
        return Chunk(text, finish_reason, None if told else model, usage, calls, repaired=repaired)


def _payload(request: ChatRequest, model: str) -> dict[str, Any]:
    payload: dict[str, Any] = {"model": model, "messages": list(request.messages)}
    if request.temperature is not None:
        payload["temperature"] = request.temperature
    if request.max_tokens is not None:
        payload["max_tokens"] = request.max_tokens
    return {**payload, **request.parameters}


def _message(body: dict[str, Any]) -> dict[str, Any] | None:
    message = _first_choice(body).get("message")
    return message if isinstance(message, dict) else None


def _first_choice(body: dict[str, Any]) -> dict[str, Any]:
    """The choice with index 0, or nothing: further choices (``n``) are in the raw answer."""
    for choice in _list(body.get("choices")):
        if isinstance(choice, dict) and choice.get("index", 0) == 0:
            return choice
    return {}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [part.get("text") for part in _list(content) if isinstance(part, dict)]
    return "".join(part for part in parts if isinstance(part, str))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
