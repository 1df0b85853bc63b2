"""The openai SDK's own retries: one provider, its documented default, a deadline of the application's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from typing import Any

from benchmarks.recovery.calls import RESPONSE_FORMAT, Call
from benchmarks.recovery.contestant import Client, Endpoint, attempt_seconds

REQUIRES = "openai"


async def connect(endpoints: Sequence[Endpoint]) -> Client:
    openai = import_module("openai")
    endpoint = endpoints[0]
    sdk = openai.AsyncOpenAI(base_url=endpoint.base_url, api_key=endpoint.key, max_retries=2)

    class OpenAI:
        async def ask(self, call: Call) -> str:
            async with asyncio.timeout(call.deadline):
                answer = await sdk.chat.completions.create(**_arguments(call))
            return answer.choices[0].message.content or ""

        async def stream(self, call: Call) -> AsyncIterator[str]:
            async with asyncio.timeout(call.deadline):
                async for chunk in await sdk.chat.completions.create(**_arguments(call), stream=True):
                    for choice in chunk.choices:
                        yield choice.delta.content or ""

        async def aclose(self) -> None:
            await sdk.close()

    def _arguments(call: Call) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": endpoint.model,
            "messages": call.messages,
            "timeout": attempt_seconds(call),
            **call.parameters,
        }
        return {**arguments, "response_format": RESPONSE_FORMAT} if call.as_json else arguments

    return OpenAI()
