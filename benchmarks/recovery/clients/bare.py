"""The floor: the HTTP client that cajanegra uses, asking the first provider and looking at nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from benchmarks.recovery.calls import RESPONSE_FORMAT, Call
from benchmarks.recovery.contestant import Client, Endpoint

REQUIRES = "aiohttp"


async def connect(endpoints: Sequence[Endpoint]) -> Client:
    import aiohttp

    endpoint = endpoints[0]
    url = f"{endpoint.base_url}/chat/completions"
    headers = {"content-type": "application/json", "authorization": f"Bearer {endpoint.key}"}
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers)

    class Bare:
        async def ask(self, call: Call) -> str:
            async with session.post(url, data=json.dumps(_body(call)).encode()) as response:
                body = json.loads(await response.read())
            return str(body["choices"][0]["message"]["content"])

        async def stream(self, call: Call) -> AsyncIterator[str]:
            async with session.post(
                url, data=json.dumps({**_body(call), "stream": True}).encode()
            ) as response:
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        for choice in json.loads(line[6:])["choices"]:
                            yield choice["delta"].get("content") or ""

        async def aclose(self) -> None:
            await session.close()

    def _body(call: Call) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": endpoint.model,
            "messages": call.messages,
            **call.parameters,
        }
        return {**body, "response_format": RESPONSE_FORMAT} if call.as_json else body

    return Bare()
