"""LiteLLM's Router as its documentation sets it up: three groups, fallbacks of every kind, two retries."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from typing import Any

from benchmarks.recovery.calls import RESPONSE_FORMAT, Call
from benchmarks.recovery.contestant import ATTEMPT_SECONDS, Client, Endpoint, attempt_seconds

REQUIRES = "litellm"


async def connect(endpoints: Sequence[Endpoint]) -> Client:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it asks the network at import
    litellm: Any = import_module("litellm")
    logging.getLogger("LiteLLM Router").setLevel(logging.CRITICAL)
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    litellm.suppress_debug_info = True
    litellm.enable_json_schema_validation = True
    first, *others = [one.name for one in endpoints]
    chain = [{first: others}]
    router = litellm.Router(
        model_list=[
            {
                "model_name": one.name,
                "litellm_params": {
                    "model": f"openai/{one.model}",
                    "api_base": one.base_url,
                    "api_key": one.key,
                },
            }
            for one in endpoints
        ],
        fallbacks=chain,
        context_window_fallbacks=chain,
        content_policy_fallbacks=chain,
        num_retries=2,
        timeout=ATTEMPT_SECONDS,
    )

    class LiteLLM:
        async def ask(self, call: Call) -> str:
            async with asyncio.timeout(call.deadline):
                answer = await router.acompletion(**_arguments(call))
            return answer.choices[0].message.content or ""

        async def stream(self, call: Call) -> AsyncIterator[str]:
            async with asyncio.timeout(call.deadline):
                async for chunk in await router.acompletion(**_arguments(call), stream=True):
                    for choice in chunk.choices:
                        yield choice.delta.content or ""

        async def aclose(self) -> None:
            return

    def _arguments(call: Call) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": first,
            "messages": [dict(message) for message in call.messages],
            "timeout": attempt_seconds(call),
            **call.parameters,
        }
        return {**arguments, "response_format": RESPONSE_FORMAT} if call.as_json else arguments

    return LiteLLM()
