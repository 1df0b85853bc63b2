"""The chat completions wire format of OpenAI, which most providers and servers speak."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec

from cajanegra.cohort import next_stage
from cajanegra.domain.call import Answer, ChatRequest, Chunk, Operation
from cajanegra.domain.failure import FailureKind, ProviderError
from cajanegra.domain.response import answer_from
from cajanegra.ports import FailureReader
from cajanegra.providers import passing_on
from cajanegra.providers.answers import Outcome
from cajanegra.providers.attempt import Attempt
from cajanegra.providers.chat_chunks import ChatChunks, first_choice, texts_of
from cajanegra.providers.lines import ServerEvent, ServerEvents
from cajanegra.providers.transport import StreamedResponse, Transport
from cajanegra.providers.wire import joined

_PATH = "/chat/completions"
_DONE, _CONTENT = b"[DONE]", b'"content"'
_MESSAGE = "message"
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

    operations = frozenset(Operation)

    def __init__(self, name: str, base_url: str, api_key: str | None, reader: FailureReader) -> None:
        self.name = name
        self._reader = reader
        self._transport = Transport(name, base_url, api_key, reader)
        self._tells_usage = True
        """Whether it may be asked for the usage of a stream."""

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.name!r})"

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        """Make one attempt; see ``ports.Provider``."""
        attempt = self._attempt(request, model)
        if request.operation is not Operation.CHAT:
            return await passing_on.ask(self._transport, attempt, timeout=timeout)
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
        if checked.repaired:
            return msgspec.structs.replace(answer, text=checked.text, repaired=True)
        return msgspec.structs.replace(answer, wire=response.body) if request.raw else answer

    def stream(self, request: ChatRequest, model: str, *, timeout: float) -> AsyncGenerator[Chunk]:
        """Make one streamed attempt; see ``ports.Provider``."""
        attempt = self._attempt(request, model)
        if request.operation is not Operation.CHAT:
            return passing_on.stream(self._transport, attempt, timeout=timeout)
        return self._chat_chunks(attempt, timeout)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def _chat_chunks(self, attempt: Attempt, timeout: float) -> AsyncGenerator[Chunk]:
        request, model = attempt.request, attempt.model
        payload = {**_payload(request, model), "stream": True}
        if self._tells_usage:
            asked = request.parameters.get("stream_options")
            payload["stream_options"] = {
                **(asked if isinstance(asked, Mapping) else {}),
                "include_usage": True,
            }
        state = ChatChunks(attempt)
        done = False
        try:
            with closing(
                await self._transport.stream_json(_PATH, payload, timeout=timeout, model=model)
            ) as response:
                await self._require_stream(attempt, response)
                decoder = ServerEvents()
                while not done:
                    await next_stage()
                    piece = await response.piece()
                    events = decoder.feed(piece) if piece else decoder.close()
                    data = [event.data for event in events]
                    done = _DONE in data
                    if done:
                        events = events[: data.index(_DONE)]
                    for chunk in _chunks(state, events, response.headers):
                        is_last = done and state.has_ended and response.is_whole and bool(chunk.wire)
                        yield msgspec.structs.replace(chunk, is_last=True) if is_last else chunk
                    if not piece:
                        break
                    if state.is_whole:
                        response.hurry(_AFTER_FINISH_SECONDS)
                await response.drain()
            if not state.has_ended:
                raise attempt.failed(
                    FailureKind.STREAM_INTERRUPTED, "the stream ended without a finish reason"
                )
        except ProviderError as error:
            if not state.has_ended:
                error.partial_text = state.delivery.text
                raise

    def _attempt(self, request: ChatRequest, model: str) -> Attempt:
        return Attempt(self.name, model, request, self._transport.without_key, self._reader)

    async def _require_stream(self, attempt: Attempt, response: StreamedResponse) -> None:
        is_stream = not response.headers.get("content-type", "").lower().startswith(_NOT_A_STREAM)
        if response.status == 200 and is_stream:  # noqa: PLR2004 - OK
            attempt.status = response.status
            return
        body = await response.read()
        if b"stream_options" in body:
            self._tells_usage = False  # it knows no such thing: the next attempt does not ask for it
        attempt.require_success(response.status, response.headers, body)
        answer = attempt.decoded(body, "the stream")
        if answer.get("error"):
            raise attempt.reported(answer, response.headers)
        raise attempt.failed(FailureKind.INVALID_RESPONSE, "the answer is not a stream, which was asked for")


def _chunks(state: ChatChunks, events: Sequence[ServerEvent], headers: Mapping[str, str]) -> Iterator[Chunk]:
    """The chunks for the consumer; those that are passed on as they came in one.

    Raises:
        ProviderError: as ``_take``, after what came before.
    """
    taken = (chunk for chunk in _taken(state, events, headers) if chunk is not None)
    if not state.attempt.request.raw:
        yield from taken
        return
    together: list[Chunk] = []
    failed = None
    try:
        together.extend(taken)  # what came before a failure is in it
    except ProviderError as error:
        failed = error
    if together:
        yield joined(together)
    if failed is not None:
        raise failed


def _taken(
    state: ChatChunks, events: Sequence[ServerEvent], headers: Mapping[str, str]
) -> Iterator[Chunk | None]:
    """What is taken of events; texts that are passed on are taken together, where nothing else is among them.

    Raises:
        ProviderError: as ``_take``.
    """
    if state.attempt.request.raw:
        count = len(events)
        while count and not _may_be_text(events[count - 1]):
            count -= 1
        data = [event.data for event in events[:count] if event.name == _MESSAGE]
        if len(data) == count > 0 and (texts := texts_of(data)) is not None:
            yield state.take_texts(texts, data)
            events = events[count:]
    for event in events:
        yield _take(state, event, headers)


def _may_be_text(event: ServerEvent) -> bool:
    return _CONTENT in event.data and event.name == _MESSAGE


def _take(state: ChatChunks, event: ServerEvent, headers: Mapping[str, str]) -> Chunk | None:
    """The chunk for the consumer, if the event has something for it.

    Raises:
        ProviderError: the event reports an error, is malformed, or ends an answer that is none.
    """
    if _may_be_text(event) and (texts := texts_of([event.data])) is not None:
        return state.take_texts(texts, [event.data])
    data = state.attempt.decoded(event.data, "a chunk of the stream")
    if event.name == "error" or data.get("error") or data.get("object") == "error":
        raise state.attempt.reported(data, headers)
    return state.take(data, event.data)


def _payload(request: ChatRequest, model: str) -> dict[str, Any]:
    payload: dict[str, Any] = {"model": model, "messages": list(request.messages)}
    if request.temperature is not None:
        payload["temperature"] = request.temperature
    if request.max_tokens is not None:
        payload["max_tokens"] = request.max_tokens
    return {**payload, **request.parameters}


def _message(body: dict[str, Any]) -> dict[str, Any] | None:
    message = first_choice(body).get("message")
    return message if isinstance(message, dict) else None
