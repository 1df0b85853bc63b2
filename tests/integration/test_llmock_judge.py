"""Every fault that the simulator knows, plain and streamed, and what its judge says of how we took it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llmock.journal import RequestRecord
from llmock.scenarios import Behavior, Delay, Fail, Reply, SlowFirstToken, StreamFault, ToolFault
from llmock.testing import LLMockServer
from llmock.verdict import judge

from cajanegra import AIClient, Settings
from cajanegra.errors import CallError

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)

FAULTS: dict[str, tuple[Behavior, ...]] = {
    **{f"{status}": (Fail(status),) for status in STATUSES},
    **{f"{status} thrice": (Fail(status, times=3),) for status in (429, 500, 503)},
    "429 with a wait": (Fail(429, retry_after=1.2, times=2),),
    "503 with a wait": (Fail(503, retry_after=0.3),),
    "429 and then 500": (Fail(429, retry_after=0.4), Fail(500)),
    "slow answer": (Delay(0.4),),
    "slow first token": (SlowFirstToken(0.4),),
    "empty answer": (Reply(text=""),),
    "filtered answer": (Reply(text="", finish_reason="content_filter"),),
    **{
        f"stream: {kind}": (StreamFault(kind, stall_seconds=20),)
        for kind in ("disconnect", "truncate", "stall", "malformed")
    },
    **{
        f"stream: {kind} twice": (StreamFault(kind, times=2),)
        for kind in ("disconnect", "truncate", "malformed")
    },
    "tool with broken arguments": (ToolFault("malformed_arguments"),),
    "tool that is not there": (ToolFault("unknown_tool"),),
}


CASES = [(fault, streamed) for fault in FAULTS for streamed in (False, True)]
AT_ONCE = 12
"""Calls in flight: most of the time they wait."""


@pytest.fixture(scope="module", params=[1, 3], ids=["one provider", "three providers"])
def journals(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[list[RequestRecord]]]:
    """What each provider has seen of one call per case, each by a client of its own that knows nothing yet."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        servers = [stack.enter_context(LLMockServer()) for _ in range(request.param)]
        for number, (fault, _streamed) in enumerate(CASES):
            servers[0].state.scenarios.add(*(_for_model(one, _model(number)) for one in FAULTS[fault]))
        asyncio.run(_call_all(servers, tmp_path_factory.mktemp("calls")))
        yield [server.state.journal.records(wait=2.0) for server in servers]


def _model(number: int) -> str:
    return f"gpt-4o-case-{number}"


def _for_model(behavior: Behavior, model: str) -> Behavior:
    return replace(behavior, match=replace(behavior.match, model=model))


async def _call_all(servers: Sequence[LLMockServer], directory: Path) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def call(number: int) -> None:
        async with room:
            await _call(_settings(servers, directory, number), *CASES[number])

    await asyncio.gather(*map(call, range(len(CASES))))


def _settings(servers: Sequence[LLMockServer], directory: Path, number: int) -> Settings:
    return Settings(
        database={"url": f"sqlite:///{directory / f'{number}.db'}"},
        providers=[
            {"name": f"p{i}", "base_url": server.base_url("openai"), "models": [_model(number)], "timeout": 2}
            for i, server in enumerate(servers)
        ],
        recovery={"timeout": 15},
    )


async def _call(settings: Settings, fault: str, streamed: bool) -> None:
    arguments: dict[str, Any] = {"tools": [TOOL]} if "tool" in fault else {}
    async with AIClient(settings) as ai:
        try:
            if streamed:
                async for _chunk in ai.stream("What is due?", **arguments):
                    pass
            else:
                await ai.chat("What is due?", **arguments)
        except CallError:
            return


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_judge_finds_nothing(journals: list[list[RequestRecord]], fault: str, streamed: bool) -> None:
    model = _model(CASES.index((fault, streamed)))
    verdicts = [judge(record for record in journal if record.model == model) for journal in journals]
    assert verdicts[0].attempts > 0
    if fault == "stream: truncate twice" and streamed and len(verdicts) > 1:
        # The judge of one provider sees half an answer to the end; the next one must have been asked and answered.
        assert [finding.code for finding in verdicts[0].errors] == ["truncated_stream_accepted"]
        assert [call.succeeded for call in verdicts[1].calls] == [True]
        del verdicts[0]
    for verdict in verdicts:
        verdict.assert_ok(strict=len(journals) == 1)
