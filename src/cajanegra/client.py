"""The public client: asks AI providers, recovers what can be recovered, records all of it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from cajanegra import bootstrap
from cajanegra.domain.call import CallInfo, ChatCall, ChatRequest, Chunk, Message, Usage
from cajanegra.domain.ids import uuid7
from cajanegra.errors import UsageError
from cajanegra.loop_thread import LoopThread
from cajanegra.recorder import Recorder
from cajanegra.settings import Settings

if TYPE_CHECKING:
    from cajanegra.recovery.engine import Outcome
    from cajanegra.recovery.minutes import StepTaken

MOST_MODELS = 1_024
"""Names of models for which it is remembered whom they mean."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answered call.

    Attributes:
        text: the answer's text.
        request_id: finds the call in the record.
        provider: who answered.
        model: the exact model that answered.
        status: ``success`` (the first provider answered) or ``fallback``.
        attempts: requests on the wire that it took.
        usage: tokens of the answer.
        finish_reason: why the model stopped, in OpenAI's words.
        tool_calls: tool calls in OpenAI's form.
        steps: the recovery steps that were taken.
        raw: the provider's response as decoded JSON.
    """

    text: str
    request_id: str
    provider: str
    model: str
    status: str
    attempts: int
    usage: Usage
    finish_reason: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    steps: Sequence[StepTaken] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


class ChatStream:
    """A streamed answer: iterate over it for its chunks.

    Leaving the loop early, or ``aclose``, closes the connection; the call is then recorded as cancelled.

    Attributes:
        request_id: finds the call in the record.
        usage: tokens of the answer, once it is complete and when the provider reports them.
        continued_by: the providers that went on with the answer after the one before was cut off, in order;
            only those do that are configured with ``continues``.
    """

    def __init__(self, request_id: str, chunks: AsyncGenerator[Chunk]) -> None:
        self.request_id = request_id
        self.usage: Usage | None = None
        self.continued_by: list[str] = []
        self._chunks = chunks

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        """The next chunk.

        Raises:
            CallError: nobody answered, or the stream was interrupted (``partial_text`` has what came).
        """
        chunk = await anext(self._chunks)
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.continued_by is not None:
            self.continued_by.append(chunk.continued_by)
        return chunk

    async def aclose(self) -> None:
        """Stop, and close the connection."""
        await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AIClient:
    """Asks AI providers, recovers what can be recovered, and records every attempt.

    One client serves a whole process: all threads, all event loops.

    Args:
        settings: default is ``Settings()``.

    Raises:
        SettingsError: the settings are wrong, or a provider's key is not in the environment.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.recorder = Recorder(self.settings)
        self._routes = bootstrap.new_routes(self.settings)
        self._engine, self._sharing = bootstrap.new_engine(self.settings, self.recorder, self._routes)
        self._loop = LoopThread()
        bootstrap.import_storage(self.settings)
        from cajanegra.recovery.routing import resolve

        self._targets = functools.lru_cache(MOST_MODELS)(
            lambda model: tuple(resolve(self._routes, self.settings.models, model))
        )

    async def chat(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Message] | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        task: str = "chat",
        tenant_id: str | None = None,
        module: str | None = None,
        user_id: str | None = None,
        **parameters: Any,
    ) -> Reply:
        """Ask, and get the answer.

        Args:
            prompt: the question; or else ``messages``.
            messages: a conversation in OpenAI's form, oldest first.
            model: an alias, ``provider/model`` or a model's name; default is each provider's first.
            temperature: sampling temperature.
            max_tokens: longest answer in tokens.
            timeout: this call's deadline in seconds, waits and recovery included.
            request_id: the application's own id of the call.
            metadata: anything worth keeping with the call, as JSON.
            task: what the call is for: ``classification``, ``analysis``, ``chat``.
            tenant_id: on whose behalf.
            module: the part of the application that asks.
            user_id: the person who asked.
            parameters: everything else goes to the provider as it is (``response_format``, ``tools``).

        Raises:
            CallError: no provider answered in time.
            UsageError: an argument cannot mean anything.
        """
        request = _request(_asked(prompt, messages), temperature, max_tokens, parameters)
        info = CallInfo(task, request_id, tenant_id, module, user_id, metadata)
        call = ChatCall(prompt or request.messages, request, info, model, _timeout(timeout))
        return _reply(await self._engine.chat(call, self._targets(model)))

    def chat_sync(self, prompt: str | None = None, **arguments: Any) -> Reply:
        """The same as ``chat``, for code without an event loop; usable from any thread."""
        return self._loop.run(self.chat(prompt, **arguments))

    def stream(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Message] | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        task: str = "chat",
        tenant_id: str | None = None,
        module: str | None = None,
        user_id: str | None = None,
        **parameters: Any,
    ) -> ChatStream:
        """Ask, and get the answer piece by piece; arguments as for ``chat``.

        The call begins with the first iteration. A failure before the first content is recovered unseen.
        """
        request = _request(_asked(prompt, messages), temperature, max_tokens, parameters)
        known_id = request_id or uuid7()
        info = CallInfo(task, known_id, tenant_id, module, user_id, metadata)
        call = ChatCall(prompt or request.messages, request, info, model, _timeout(timeout))
        return ChatStream(known_id, self._engine.stream(call, self._targets(model)))

    async def feedback(
        self,
        request_id: str,
        feedback: str,
        *,
        correction: str | None = None,
        tenant_id: str | None = None,
    ) -> None:
        """Write down what a person thought of an answer.

        Args:
            request_id: as the reply has it.
            feedback: ``thumbs_up``, ``thumbs_down`` or a word of your own.
            correction: what the answer should have been.
            tenant_id: needed where the application gives its own request ids that tenants may share.
        """
        self.recorder.feedback(request_id, feedback, tenant_id=tenant_id, correction=correction)

    async def aclose(self) -> None:
        """Close every connection and write down what is waiting."""
        for route in self._routes:
            await route.provider.aclose()
        await asyncio.to_thread(self._close_rest)

    def close(self) -> None:
        """The same as ``aclose``, for code without an event loop."""
        self._loop.run(self._close_providers())
        self._close_rest()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _close_providers(self) -> None:
        for route in self._routes:
            await route.provider.aclose()

    def _close_rest(self) -> None:
        self._loop.close()
        self._sharing.close()
        self.recorder.close()


def _asked(prompt: str | None, messages: Sequence[Message] | None) -> str | Sequence[Message]:
    if (prompt is None) == (messages is None):
        raise UsageError("give either a prompt or messages")
    asked: str | Sequence[Message] = prompt if prompt is not None else messages or ()
    if not asked or (isinstance(asked, str) and not asked.strip()):
        raise UsageError("the prompt is empty")
    if not isinstance(asked, str) and not all(map(_is_message, asked)):
        raise UsageError("messages are a list of objects with role and content")
    return asked


def _is_message(value: Any) -> bool:
    return type(value) is dict or isinstance(value, Mapping)


def _request(
    asked: str | Sequence[Message],
    temperature: float | None,
    max_tokens: int | None,
    parameters: Mapping[str, Any],
) -> ChatRequest:
    if max_tokens is not None and max_tokens < 1:
        raise UsageError(f"max_tokens must be at least 1, not {max_tokens}")
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked)
    return ChatRequest(messages, temperature, max_tokens, parameters)


def _timeout(seconds: float | None) -> float | None:
    if seconds is not None and not seconds > 0:
        raise UsageError(f"timeout must be more than 0 seconds, not {seconds}")
    return seconds


def _reply(outcome: Outcome) -> Reply:
    answer, target = outcome.answer, outcome.target
    return Reply(
        text=answer.text,
        request_id=outcome.request_id,
        provider=target.provider.name,
        model=answer.model or target.model,
        status=outcome.status,
        attempts=outcome.attempts,
        usage=answer.usage,
        finish_reason=answer.finish_reason,
        tool_calls=answer.tool_calls,
        steps=tuple(outcome.steps),
        raw=answer.raw,
    )
