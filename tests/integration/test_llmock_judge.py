"""Every fault that the simulator knows, plain and streamed, and what its judge says of how we took it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from llmock.scenarios import Behavior, Delay, Fail, Reply, SlowFirstToken, StreamFault, ToolFault
from llmock.testing import LLMockServer
from llmock.verdict import Verdict, judge

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


@pytest.fixture(params=[1, 3], ids=["one provider", "three providers"])
def servers(request: pytest.FixtureRequest) -> Iterator[Sequence[LLMockServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(LLMockServer()) for _ in range(request.param)]


async def _call(settings: Settings, arguments: dict[str, Any], *, streamed: bool) -> None:
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
def test_the_judge_finds_nothing(
    servers: Sequence[LLMockServer], fault: str, streamed: bool, tmp_path: Path
) -> None:
    servers[0].state.scenarios.add(*FAULTS[fault])
    settings = Settings(
        database={"url": f"sqlite:///{tmp_path / 'calls.db'}"},
        providers=[
            {"name": f"p{i}", "base_url": server.base_url("openai"), "models": ["gpt-4o"], "timeout": 2}
            for i, server in enumerate(servers)
        ],
        recovery={"timeout": 15},
    )
    arguments = {"tools": [TOOL]} if "tool" in fault else {}
    asyncio.run(_call(settings, arguments, streamed=streamed))
    verdicts = [_verdict(server) for server in servers]
    if fault == "stream: truncate twice" and streamed and len(servers) > 1:
        # The judge of one provider sees half an answer to the end; the next one must have been asked and answered.
        assert [finding.code for finding in verdicts[0].errors] == ["truncated_stream_accepted"]
        assert [call.succeeded for call in verdicts[1].calls] == [True]
        del verdicts[0]
    for verdict in verdicts:
        verdict.assert_ok(strict=len(servers) == 1)


def _verdict(server: LLMockServer) -> Verdict:
    return judge(server.state.journal.records(wait=2.0))
