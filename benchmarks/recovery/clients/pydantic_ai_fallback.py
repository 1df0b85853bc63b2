"""pydantic-ai's FallbackModel under its agents, which ask again for valid output; no retries of the SDK's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from typing import Any

from benchmarks.recovery.calls import DEADLINE, Call
from benchmarks.recovery.contestant import ATTEMPT_SECONDS, Client, Endpoint

REQUIRES = "pydantic_ai"


async def connect(endpoints: Sequence[Endpoint]) -> Client:
    pydantic = import_module("pydantic")
    library = import_module("pydantic_ai")
    exceptions = import_module("pydantic_ai.exceptions")
    openai_models = import_module("pydantic_ai.models.openai")
    provider = import_module("pydantic_ai.providers.openai").OpenAIProvider
    models = [
        openai_models.OpenAIChatModel(one.model, provider=provider(base_url=one.base_url, api_key=one.key))
        for one in endpoints
    ]
    fallback = import_module("pydantic_ai.models.fallback").FallbackModel(
        *models,
        fallback_on=(
            exceptions.ModelAPIError,
            exceptions.UnexpectedModelBehavior,
            exceptions.ContentFilterError,
        ),
    )
    schema = pydantic.create_model(
        "Checksum",
        __config__=pydantic.ConfigDict(extra="forbid"),
        checksum=(str, ...),
        words=(list[str], ...),
        count=(int, ...),
    )
    settings = library.ModelSettings(timeout=ATTEMPT_SECONDS, max_retries=0)
    agent = library.Agent(fallback, model_settings=settings)
    json_agent = library.Agent(
        fallback, model_settings=settings, output_type=library.NativeOutput(schema, name="checksum")
    )
    messages = import_module("pydantic_ai.messages")

    class PydanticAI:
        async def ask(self, call: Call) -> str:
            chosen = json_agent if call.as_json else agent
            async with asyncio.timeout(DEADLINE):
                result = await chosen.run(_last(call), message_history=_history(call))
            return str(result.output.model_dump_json() if call.as_json else result.output)

        async def stream(self, call: Call) -> AsyncIterator[str]:
            async with (
                asyncio.timeout(DEADLINE),
                agent.run_stream(_last(call), message_history=_history(call)) as result,
            ):
                async for text in result.stream_text(delta=True, debounce_by=None):
                    yield text

        async def aclose(self) -> None:
            return

    def _last(call: Call) -> str:
        return str(call.messages[-1]["content"])

    def _history(call: Call) -> list[Any]:
        history = []
        for message in call.messages[:-1]:
            text = message["content"]
            if message["role"] == "assistant":
                history.append(messages.ModelResponse(parts=[messages.TextPart(text)]))
            elif message["role"] == "system":
                history.append(messages.ModelRequest(parts=[messages.SystemPromptPart(text)]))
            else:
                history.append(messages.ModelRequest(parts=[messages.UserPromptPart(text)]))
        return history

    return PydanticAI()
