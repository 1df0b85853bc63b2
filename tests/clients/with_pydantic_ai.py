"""Pydantic AI: prints what it gets of the gateway as one JSON object."""

import asyncio
import json
import os

import openai
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def agent(name: str) -> Agent:
    client = AsyncOpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["KEY"], max_retries=0)
    return Agent(OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client)))


async def main() -> dict[str, object]:
    cause = None
    try:
        await agent("broken").run("Hola")
    except ModelHTTPError as caught:
        cause = caught.__cause__
    assert isinstance(cause, openai.APIStatusError)
    async with agent("fast").run_stream("Hola") as answer:
        streamed = "".join([text async for text in answer.stream_text(delta=True)])
    return {
        "plain": (await agent("fast").run("Hola")).output,
        "streamed": streamed,
        "error": type(cause).__name__,
        "kind": cause.body["cajanegra"]["kind"],  # type: ignore[index]
    }


print(json.dumps(asyncio.run(main())))
