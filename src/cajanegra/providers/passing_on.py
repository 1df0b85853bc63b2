"""What is passed to a provider as it is, and back: embeddings, text completions, responses.

Nothing in them is simplified or mended. What an answer says of tokens, text and its end is read for the
record.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from typing import Any

import msgspec

from cajanegra.domain.call import Answer, Chunk, Operation
from cajanegra.domain.failure import FailureKind, ProviderError
from cajanegra.domain.response import answer_from, usage_from
from cajanegra.providers.attempt import Attempt
from cajanegra.providers.lines import ServerEvent, ServerEvents
from cajanegra.providers.transport import Transport
from cajanegra.providers.wire import event_of, joined

_PATHS = {
    Operation.COMPLETIONS: "/completions",
    Operation.EMBEDDINGS: "/embeddings",
    Operation.RESPONSES: "/responses",
}
_ANSWER_FIELDS = {
    Operation.COMPLETIONS: "choices",
    Operation.EMBEDDINGS: "data",
    Operation.RESPONSES: "output",
}
"""Where each has what was asked for."""
_LAST_EVENTS = frozenset({"response.completed", "response.incomplete"})
_ERROR_EVENTS = frozenset({"error", "response.failed"})
_OK = 200


async def ask(transport: Transport, attempt: Attempt, *, timeout: float, prefix: str = "") -> Answer:
    """Make one attempt; see ``ports.Provider.chat``.

    Args:
        transport: to the provider.
        attempt: what is asked of it.
        timeout: seconds for the whole attempt.
        prefix: what stands before the paths, where the base URL does not end with the version.
    """
    request = attempt.request
    path = prefix + _PATHS[request.operation]
    response = await transport.post_json(path, _payload(attempt), timeout=timeout, model=attempt.model)
    attempt.require_success(response.status, response.headers, response.body)
    body = attempt.decoded(response.body, "the answer")
    if body.get("error"):
        raise attempt.reported(body, response.headers)
    if not isinstance(body.get(_ANSWER_FIELDS[request.operation]), list):
        what = _ANSWER_FIELDS[request.operation]
        raise attempt.failed(FailureKind.INVALID_RESPONSE, f"the answer has no {what}")
    return msgspec.structs.replace(answer_from(body), wire=response.body if request.raw else b"")


async def stream(
    transport: Transport, attempt: Attempt, *, timeout: float, prefix: str = ""
) -> AsyncGenerator[Chunk]:
    """Make one streamed attempt; see ``ports.Provider.stream`` and ``ask``."""
    path = prefix + _PATHS[attempt.request.operation]
    payload = {**_payload(attempt), "stream": True}
    state = _Streamed(attempt)
    with closing(
        await transport.stream_json(path, payload, timeout=timeout, model=attempt.model)
    ) as response:
        is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        attempt.status = response.status
        if response.status != _OK or not is_stream:
            body = await response.read()
            attempt.require_success(response.status, response.headers, body)
            raise attempt.failed(
                FailureKind.INVALID_RESPONSE, "the answer is not a stream, which was asked for"
            )
        decoder = ServerEvents()
        while not state.done:
            piece = await response.piece()
            failed, chunks = None, list[Chunk]()
            for event in decoder.feed(piece) if piece else decoder.close():
                try:
                    chunks.append(state.take(event, response.headers))
                except ProviderError as error:
                    failed = error
                    break
            if chunks:
                yield joined(chunks)
            if failed is not None:
                raise failed
            if not piece:
                break
        await response.drain()
    if not state.has_ended:
        raise attempt.failed(FailureKind.STREAM_INTERRUPTED, "the stream ended without its last event")


class _Streamed:
    """What a stream has brought so far."""

    def __init__(self, attempt: Attempt) -> None:
        self.done = False
        """Whether nothing more is to come."""
        self.has_ended = False
        self._attempt = attempt
        self._is_response = attempt.request.operation is Operation.RESPONSES

    def take(self, event: ServerEvent, headers: Mapping[str, str]) -> Chunk:
        """The piece for the consumer.

        Raises:
            ProviderError: the event reports an error, or is malformed.
        """
        if event.data == b"[DONE]":
            self.done = True
            return Chunk()
        data = self._attempt.decoded(event.data, "a chunk of the stream")
        kind = str(data.get("type", event.name)) if self._is_response else event.name
        if kind in _ERROR_EVENTS or data.get("error"):
            inner = data.get("response")
            raise self._attempt.reported(
                inner if isinstance(inner, dict) and inner.get("error") else data, headers
            )
        wire = event_of(event.data, event.name) if self._attempt.request.raw else b""
        return self._of_response(kind, data, wire) if self._is_response else self._of_completion(data, wire)

    def _of_response(self, kind: str, data: Mapping[str, Any], wire: bytes) -> Chunk:
        if kind in _LAST_EVENTS:
            self.has_ended = self.done = True
            answer = answer_from(data.get("response"))
            return Chunk("", answer.finish_reason, answer.model, answer.usage, answer.tool_calls, wire=wire)
        delta = data.get("delta")
        said = kind == "response.output_text.delta" and isinstance(delta, str)
        return Chunk(str(delta) if said else "", wire=wire)

    def _of_completion(self, data: Mapping[str, Any], wire: bytes) -> Chunk:
        answer = answer_from(data)
        self.has_ended = self.has_ended or answer.finish_reason is not None
        usage = usage_from(data["usage"]) if isinstance(data.get("usage"), dict) else None
        return Chunk(answer.text, answer.finish_reason, answer.model, usage, wire=wire)


def _payload(attempt: Attempt) -> dict[str, Any]:
    return {"model": attempt.model, **attempt.request.parameters}
