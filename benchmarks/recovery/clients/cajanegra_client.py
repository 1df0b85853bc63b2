"""cajanegra as its README shows it: three providers, a deadline, a SQLite record."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.recovery.calls import DEADLINE, RESPONSE_FORMAT, Call
from benchmarks.recovery.contestant import ATTEMPT_SECONDS, Client, Endpoint

REQUIRES = "cajanegra"


async def connect(endpoints: Sequence[Endpoint]) -> Client:
    from cajanegra import AIClient, Settings

    directory = tempfile.TemporaryDirectory(prefix="cajanegra-bench-")
    providers = []
    for endpoint in endpoints:
        variable = f"BENCH_KEY_{endpoint.name.upper()}"
        os.environ[variable] = endpoint.key
        providers.append(
            {
                "name": endpoint.name,
                "base_url": endpoint.base_url,
                "api_key_env": variable,
                "models": [endpoint.model],
                "timeout": ATTEMPT_SECONDS,
            }
        )
    settings = Settings(
        database={"url": f"sqlite:///{Path(directory.name) / 'calls.db'}"},
        providers=providers,
        recovery={"timeout": DEADLINE},
    )
    ai = AIClient(settings)

    class Cajanegra:
        async def ask(self, call: Call) -> str:
            arguments: dict[str, Any] = {"timeout": call.deadline, **call.parameters}
            if call.as_json:
                arguments["response_format"] = RESPONSE_FORMAT
            return (await ai.chat(messages=call.messages, **arguments)).text

        async def stream(self, call: Call) -> AsyncIterator[str]:
            async with ai.stream(messages=call.messages, timeout=call.deadline, **call.parameters) as chunks:
                async for chunk in chunks:
                    yield chunk.text

        async def settle(self) -> None:
            await asyncio.to_thread(ai.recorder.flush, timeout=30)

        async def aclose(self) -> None:
            await ai.aclose()
            directory.cleanup()

    return Cajanegra()
