"""Ollama's native wire format, ``/api/chat``, which says more than its OpenAI-compatible one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any

from cajanegra.domain.call import Answer, ChatRequest, Chunk, Operation, Usage
from cajanegra.domain.failure import FailureKind, ProviderError
from cajanegra.domain.response import confidence_from
from cajanegra.ports import FailureReader
from cajanegra.providers import passing_on
from cajanegra.providers.answers import Outcome
from cajanegra.providers.attempt import Attempt
from cajanegra.providers.delivery import Delivery
from cajanegra.providers.lines import Lines
from cajanegra.providers.ollama_request import UnsupportedContentError, payload_of, tool_calls_of
from cajanegra.providers.transport import StreamedResponse, Transport
from cajanegra.providers.windows import looks_truncated

_PATH = "/api/chat"
_OPENAI = "/v1"
"""Below it are embeddings, completions and responses in OpenAI's form."""


class Ollama:
    """An Ollama server; implements ``ports.Provider``.

    Args:
        name: its name in the record.
        base_url: of the server, such as ``http://127.0.0.1:11434``.
        context_window: most tokens that a model may be given, as far as memory allows: of all, or by name.
        reader: makes failures of error responses.
        api_key: sent as a bearer token, for servers behind something that asks for one.

    Raises:
        SettingsError: the URL or the key cannot be used.
    """

    operations = frozenset(Operation)

    def __init__(
        self,
        name: str,
        base_url: str,
        context_window: int | Mapping[str, int] | None,
        reader: FailureReader,
        api_key: str | None = None,
    ) -> None:
        self.name = name
        self._context_window = context_window
        self._reader = reader
        self._transport = Transport(name, base_url, api_key, reader)

    def __repr__(self) -> str:
        return f"Ollama({self.name!r})"

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        """Make one attempt; see ``ports.Provider``."""
        if request.operation is not Operation.CHAT:
            attempt = self._attempt(request, model)
            return await passing_on.ask(self._transport, attempt, timeout=timeout, prefix=_OPENAI)
        attempt, payload = self._prepared(request, model, stream=False)
        response = await self._transport.post_json(_PATH, payload, timeout=timeout, model=model)
        attempt.require_success(response.status, response.headers, response.body)
        body = attempt.decoded(response.body, "the answer")
        if body.get("error"):
            raise attempt.reported(body, response.headers)
        state = _Reply(attempt, payload, Delivery(request))
        state.take(body, response.headers)
        if not state.finish_reason:
            raise attempt.failed(FailureKind.INVALID_RESPONSE, "the answer does not say that it is done")
        return Answer(
            text=state.text,
            model=_string(body.get("model")),
            usage=_usage(body),
            finish_reason=state.finish_reason,
            confidence=confidence_from(body.get("logprobs")),
            tool_calls=state.tool_calls,
            raw=body,
            repaired=state.repaired,
        )

    async def stream(self, request: ChatRequest, model: str, *, timeout: float) -> AsyncGenerator[Chunk]:
        """Make one streamed attempt; see ``ports.Provider``."""
        if request.operation is not Operation.CHAT:
            attempt = self._attempt(request, model)
            passed = passing_on.stream(self._transport, attempt, timeout=timeout, prefix=_OPENAI)
            async with aclosing(passed):
                async for piece_of_it in passed:
                    yield piece_of_it
            return
        attempt, payload = self._prepared(request, model, stream=True)
        state = _Reply(attempt, payload, Delivery(request))
        try:
            with closing(
                await self._transport.stream_json(_PATH, payload, timeout=timeout, model=model)
            ) as response:
                await _require_success(attempt, response)
                lines = Lines()
                while not state.finish_reason:
                    piece = await response.piece()
                    for line in lines.feed(piece) if piece else lines.close():
                        if line.strip() and (chunk := state.take_line(line, response.headers)):
                            yield chunk
                    if not piece:
                        break
                await response.drain()
            if not state.finish_reason:
                raise attempt.failed(FailureKind.STREAM_INTERRUPTED, "the stream ended before it was done")
        except ProviderError as error:
            error.partial_text = state.delivery.text
            raise

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _attempt(self, request: ChatRequest, model: str) -> Attempt:
        return Attempt(self.name, model, request, self._transport.without_key, self._reader)

    def _prepared(self, request: ChatRequest, model: str, *, stream: bool) -> tuple[Attempt, dict[str, Any]]:
        attempt = self._attempt(request, model)
        try:
            window = self._context_window
            most = window.get(model) if isinstance(window, Mapping) else window
            return attempt, payload_of(request, model, most, stream=stream)
        except UnsupportedContentError as error:
            raise attempt.failed(FailureKind.INVALID_REQUEST, str(error)) from None


@dataclass(slots=True)
class _Reply:
    """What has been answered so far."""

    attempt: Attempt
    payload: Mapping[str, Any]
    delivery: Delivery
    text: str = ""
    """The whole text, once the answer is complete."""
    repaired: bool = False
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str | None = None

    def take_line(self, line: bytes, headers: Mapping[str, str]) -> Chunk | None:
        """The chunk for the consumer, if a line of the stream has something for it.

        Raises:
            ProviderError: as ``take``, and where the line is malformed.
        """
        return self.take(self.attempt.decoded(line, "a chunk of the stream"), headers)

    def take(self, body: dict[str, Any], headers: Mapping[str, str]) -> Chunk | None:
        """The chunk for the consumer, if a body has something for it.

        Raises:
            ProviderError: it reports an error, or ends an answer that is none.
        """
        if body.get("error"):
            raise self.attempt.reported(body, headers)
        if self.finish_reason:
            return None
        message = body.get("message")
        message = message if isinstance(message, dict) else {}
        text = _string(message.get("content")) or ""
        calls = tool_calls_of(message, len(self.tool_calls))
        said = self.delivery.take(text)
        self.tool_calls += calls
        done = body.get("done") is True
        if not (done or text or calls):
            return None
        if not done:
            return Chunk(said, tool_calls=calls)
        said += self._finish(body)
        model, usage = _string(body.get("model")), _usage(body)
        return Chunk(said, self.finish_reason, model, usage, calls, repaired=self.repaired)

    def _finish(self, body: dict[str, Any]) -> str:
        """Check the answer now that it is complete; the text that was kept back."""
        count = _count(body.get("prompt_eval_count"))
        if count is not None and looks_truncated(
            self.attempt.request.messages, count, self.payload["options"].get("num_ctx")
        ):
            raise self.attempt.failed(
                FailureKind.CONTEXT_LENGTH,
                f"the prompt was cut to {count} tokens without a word; shorten it or raise context_window",
            )
        reason = "tool_calls" if self.tool_calls else _string(body.get("done_reason")) or "stop"
        checked = self.attempt.require_content(Outcome(self.delivery.text, reason, self.tool_calls))
        self.finish_reason = reason
        self.text, self.repaired = checked.text, checked.repaired
        return self.delivery.finish(checked)


async def _require_success(attempt: Attempt, response: StreamedResponse) -> None:
    attempt.status = response.status
    if response.status != 200:  # noqa: PLR2004 - OK
        attempt.require_success(response.status, response.headers, await response.read())


def _usage(body: Mapping[str, Any]) -> Usage:
    input_tokens, output_tokens = _count(body.get("prompt_eval_count")), _count(body.get("eval_count"))
    known = [tokens for tokens in (input_tokens, output_tokens) if tokens is not None]
    return Usage(
        input_tokens,
        output_tokens,
        sum(known) if known else None,
        cached_tokens=_count(body.get("prompt_eval_cached_count")),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
