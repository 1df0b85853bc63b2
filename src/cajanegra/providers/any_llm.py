"""Providers with wire formats of their own, through any-llm, which is imported when one is configured."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec

from cajanegra.domain.call import Answer, ChatRequest, Chunk, Operation
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.domain.response import answer_from
from cajanegra.errors import SettingsError
from cajanegra.ports import FailureReader
from cajanegra.providers.answers import Outcome
from cajanegra.providers.attempt import Attempt
from cajanegra.providers.chat_chunks import ChatChunks
from cajanegra.providers.sessions import PerLoop

_OK = 200


class AnyLLM:
    """A service that any-llm knows, such as ``anthropic`` or ``gemini``; implements ``ports.Provider``.

    Its SDK's own retries are off: a repetition is a step, and on record.

    Args:
        name: its name in the record.
        service: any-llm's name of it.
        base_url: where it listens, if not where it usually does.
        api_key: the key.
        reader: makes failures of the SDKs' exceptions.

    Raises:
        SettingsError: any-llm or what it needs for the service is not installed, or it knows no such service.
    """

    operations = frozenset({Operation.CHAT})

    def __init__(
        self, name: str, service: str, base_url: str | None, api_key: str | None, reader: FailureReader
    ) -> None:
        try:
            import any_llm
            from any_llm.exceptions import AnyLLMError
        except ImportError:
            raise SettingsError(
                f"provider {name!r} of kind any-llm needs it installed: pip install 'cajanegra[any-llm]'"
            ) from None
        self.name = name
        self._library = any_llm
        self._service = service
        self._base_url = base_url or None
        self._key = api_key
        self._reader = reader
        self._clients = PerLoop(self._kept_client)
        try:
            any_llm.AnyLLM.get_provider_class(service)
        except (AnyLLMError, ImportError) as error:
            raise SettingsError(f"provider {name!r}: any-llm cannot serve {service!r}: {error}") from None

    def __repr__(self) -> str:
        return f"AnyLLM({self.name!r}, {self._service!r})"

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        """Make one attempt; see ``ports.Provider``."""
        attempt = self._attempt(request, model)
        try:
            client = await self._clients.here()
            async with asyncio.timeout(timeout):
                response = await client.acompletion(**_arguments(request, model), stream=False)
        except Exception as error:  # noqa: BLE001 - every SDK has exceptions of its own
            failed = self._failed(error, model, timeout)
        else:
            return _checked(attempt, response.model_dump(warnings=False))
        raise failed  # outside of the block: SDKs' exceptions hold the request's headers and key

    async def stream(self, request: ChatRequest, model: str, *, timeout: float) -> AsyncGenerator[Chunk]:
        """Make one streamed attempt; see ``ports.Provider``."""
        attempt = self._attempt(request, model)
        state = ChatChunks(attempt)
        deadline = asyncio.get_running_loop().time() + timeout
        async with aclosing(self._chunks(request, model, deadline, timeout)) as chunks:
            async for data in chunks:
                if chunk := state.take(data):
                    yield chunk
        if not state.has_ended:
            raise attempt.failed(FailureKind.STREAM_INTERRUPTED, "the stream ended without a finish reason")

    async def aclose(self) -> None:
        """Close every connection."""
        await self._clients.aclose()

    async def _chunks(
        self, request: ChatRequest, model: str, deadline: float, timeout: float
    ) -> AsyncGenerator[Mapping[str, Any]]:
        failed, source = None, None
        try:
            client = await self._clients.here()
            async with asyncio.timeout_at(deadline):
                arguments = _arguments(request, model)
                source = await client.acompletion(
                    **arguments, stream=True, stream_options={"include_usage": True}
                )
            while True:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(source, None)
                if chunk is None:
                    break
                yield chunk.model_dump(warnings=False)
        except Exception as error:  # noqa: BLE001 - every SDK has exceptions of its own
            failed = self._failed(error, model, timeout)
        finally:
            await _close(source)
        if failed is not None:
            raise failed

    def _attempt(self, request: ChatRequest, model: str) -> Attempt:
        return Attempt(self.name, model, request, self._without_key, self._reader, status=_OK)

    async def _kept_client(self) -> AsyncGenerator[Any]:
        """A client that closes when its event loop does."""
        client = self._new_client()
        try:
            yield client
        finally:
            await _close(getattr(client, "client", None))

    def _new_client(self) -> Any:
        from any_llm.exceptions import UnsupportedParameterError

        known: dict[str, Any] = {
            "api_key": self._key,
            "api_base": self._base_url,
            "unified_exceptions": True,
        }
        try:
            return self._library.AnyLLM.create(self._service, **known, max_retries=0)
        except UnsupportedParameterError:  # an SDK that never retries by itself
            return self._library.AnyLLM.create(self._service, **known)

    def _failed(self, error: Exception, model: str, timeout: float) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        if isinstance(error, TimeoutError):
            message = f"no complete answer within {timeout:.3g} s"
            return ProviderError(Failure(FailureKind.TIMEOUT, message, self.name, model))
        error = getattr(error, "original_exception", None) or error  # the SDK's own says more
        failure = self._reader.from_exception(error, provider=self.name, model=model)
        return ProviderError(replace(failure, message=self._without_key(failure.message)))

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _arguments(request: ChatRequest, model: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {"model": model, "messages": [dict(one) for one in request.messages]}
    if request.temperature is not None:
        arguments["temperature"] = request.temperature
    if request.max_tokens is not None:
        arguments["max_tokens"] = request.max_tokens
    return {**arguments, **request.parameters}


def _checked(attempt: Attempt, body: dict[str, Any]) -> Answer:
    answer = answer_from(body)
    message = body["choices"][0].get("message") if body.get("choices") else None
    if not isinstance(message, dict):
        raise attempt.failed(FailureKind.INVALID_RESPONSE, "the answer has no choices with a message")
    refused = bool(message.get("refusal"))
    checked = attempt.require_content(
        Outcome(answer.text, answer.finish_reason, answer.tool_calls, refused, bool(message.get("audio")))
    )
    wire = msgspec.json.encode(body) if attempt.request.raw and not checked.repaired else b""
    return msgspec.structs.replace(answer, text=checked.text, repaired=checked.repaired, wire=wire)


async def _close(source: Any) -> None:
    """Close a stream or a client, however its SDK calls that."""
    close = getattr(source, "aclose", None) or getattr(source, "close", None)
    closing = close() if close is not None else None
    if inspect.isawaitable(closing):
        await closing
