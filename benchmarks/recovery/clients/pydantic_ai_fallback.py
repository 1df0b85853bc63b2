"""pydantic-ai's FallbackModel under its agents, which ask again for valid output; no retries of the SDK's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from typing import Any

from benchmarks.recovery.calls import Call
from benchmarks.recovery.contestant import Client, Endpoint, attempt_seconds

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
    agent = library.Agent(fallback)
    json_agent = library.Agent(fallback, output_type=library.NativeOutput(schema, name="checksum"))

    class PydanticAI:
        async def ask(self, call: Call) -> str:
            chosen = json_agent if call.as_json else agent
            async with asyncio.timeout(call.deadline):
                result = await chosen.run(**_arguments(library, call))
            return str(result.output.model_dump_json() if call.as_json else result.output)

        async def stream(self, call: Call) -> AsyncIterator[str]:
            async with (
                asyncio.timeout(call.deadline),
                agent.run_stream(**_arguments(library, call)) as result,
            ):
                async for text in result.stream_text(delta=True, debounce_by=None):
                    yield text

        async def aclose(self) -> None:
            return

    return PydanticAI()


def _arguments(library: Any, call: Call) -> dict[str, Any]:
    """The conversation and the settings in the library's own types."""
    messages = import_module("pydantic_ai.messages")
    history = []
    for message in call.messages[:-1]:
        text = message["content"]
        if message["role"] == "assistant":
            history.append(messages.ModelResponse(parts=[messages.TextPart(text)]))
        elif message["role"] == "system":
            history.append(messages.ModelRequest(parts=[messages.SystemPromptPart(text)]))
        else:
            history.append(messages.ModelRequest(parts=[messages.UserPromptPart(text)]))
    settings = library.ModelSettings(timeout=attempt_seconds(call), max_retries=0, **call.parameters)
    return {
        "user_prompt": call.messages[-1]["content"],
        "message_history": history,
        "model_settings": settings,
    }
