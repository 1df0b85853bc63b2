"""Every fault that the simulator knows, through the gateway: its judge's verdict, what clients get, what is recorded."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import openai
import pytest
from llmock.journal import RequestRecord
from llmock.testing import LLMockServer
from llmock.verdict import judge
from openai import AsyncOpenAI

from cajanegra.storage.database import Database
from gateway_server import Gateway, gateway, recorded
from integration.test_llmock_judge import CUT_IN_THE_MIDDLE, FAULTS, TOOL, pace

CASES = [(fault, streamed) for fault in FAULTS for streamed in (False, True)]
AT_ONCE = 6


@dataclass
class Run:
    """What came of one call per case."""

    database: Database
    records: dict[str, list[RequestRecord]]
    outcomes: list[str | openai.APIError]


def model(number: int) -> str:
    return f"gpt-4o-case-{number}"


@pytest.fixture(scope="module")
def run(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    directory, database = tmp_path_factory.mktemp("server"), module_database
    with LLMockServer() as simulated:
        pace(simulated)
        providers: list[dict[str, Any]] = []
        for number, (fault, _streamed) in enumerate(CASES):
            behaviors = (replace(one, match=replace(one.match, model=model(number))) for one in FAULTS[fault])
            simulated.state.scenarios.add(*behaviors)
            providers.append(_provider(simulated.base_url("openai"), number))
        keys = {f"KEY_{number}": f"sk-{number}" for number in range(len(CASES))}
        models = {model(number): {f"c{number}": model(number)} for number in range(len(CASES))}
        with gateway(
            directory, database, keys, providers=providers, models=models, recovery={"timeout": 30}
        ) as running:
            outcomes = asyncio.run(_ask_all(running))
        records: dict[str, list[RequestRecord]] = defaultdict(list)
        for record in simulated.state.journal.records(wait=2.0):
            records[record.model or ""].append(record)
        yield Run(database, records, outcomes)


def _provider(url: str, number: int) -> dict[str, Any]:
    """One per case, with a key of its own, so that no case learns from another."""
    limits = {"timeout": 10, "first_token_timeout": 2, "idle_timeout": 2}
    return {
        "name": f"c{number}",
        "base_url": url,
        "api_key_env": f"KEY_{number}",
        "models": [model(number)],
        **limits,
    }


async def _ask_all(running: Gateway) -> list[str | openai.APIError]:
    room = asyncio.Semaphore(AT_ONCE)
    async with AsyncOpenAI(base_url=running.v1, api_key=running.key(), max_retries=0, timeout=60) as client:

        async def ask(number: int) -> str | openai.APIError:
            async with room:
                try:
                    return await _ask(client, number)
                except openai.APIError as error:
                    return error

        return [*await asyncio.gather(*map(ask, range(len(CASES))))]


async def _ask(client: AsyncOpenAI, number: int) -> str:
    """What the answer comes to, as JSON."""
    fault, streamed = CASES[number]
    given: dict[str, Any] = {
        "model": model(number),
        "messages": [{"role": "user", "content": "Look it up."}],
        "extra_headers": {"X-Cajanegra-Request-Id": f"case-{number}"},
    }
    if fault.startswith("tool"):
        given["tools"] = [TOOL]
    if not streamed:
        answer = await client.chat.completions.create(**given)
        message = answer.choices[0].message
        return json.dumps([answer.choices[0].finish_reason, message.content, bool(message.tool_calls)])
    reason, text, called = None, "", False
    async for chunk in await client.chat.completions.create(**given, stream=True):
        for choice in chunk.choices:
            reason = choice.finish_reason or reason
            text += choice.delta.content or ""
            called = called or bool(choice.delta.tool_calls)
    return json.dumps([reason, text, called])


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[f"{fault}-{streamed}" for fault, streamed in CASES]
)
def test_the_judge_finds_no_fault_and_the_record_has_every_attempt(run: Run, number: int) -> None:
    seen = run.records[model(number)]
    assert seen
    detail = recorded(run.database, f"case-{number}")
    assert len(detail.steps) + 1 == detail.call["response_metadata"]["attempts"] == len(seen)
    outcome = run.outcomes[number]
    fault, streamed = CASES[number]
    if fault in CUT_IN_THE_MIDDLE and streamed:
        # Part of the answer is with its client, who is told: nobody is asked again, which the judge calls giving up.
        assert len(seen) == 1
        assert detail.call["error_code"] == "stream_interrupted"
        assert isinstance(outcome, openai.APIError)
        return
    judge(seen).assert_ok(strict=True)
    if isinstance(outcome, str):
        reason, content, called = json.loads(outcome)
        assert reason
        assert content or called
        assert detail.call["status"] == "success"
    else:
        told: Any = outcome.body
        assert told["cajanegra"]["kind"] == detail.call["error_code"]
        assert detail.call["status"] in ("error", "timeout")
