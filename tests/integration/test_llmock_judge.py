"""Every fault that the simulator knows, plain and streamed, and what its judge says of how we took it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from llmock.chaos import ChaosSettings, StreamChaos
from llmock.journal import RequestRecord
from llmock.ratelimit import LimitSettings
from llmock.scenarios import (
    Behavior,
    Delay,
    Fail,
    Reply,
    SlowFirstToken,
    StreamFault,
    StreamFaultKind,
    ToolCall,
    ToolFault,
    ToolFaultKind,
)
from llmock.testing import LLMockServer
from llmock.verdict import NON_RETRYABLE, RETRYABLE, judge

from cajanegra import AIClient, Settings
from cajanegra.errors import CallError

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
RARE = (402, 405, 410, 413, 415, 425, 431, 451, 501, 507, 520, 524)
STATUSES = sorted({*NON_RETRYABLE, *RETRYABLE, *RARE})
STREAM_FAULTS: Sequence[StreamFaultKind] = get_args(StreamFaultKind)
TOOL_FAULTS: Sequence[ToolFaultKind] = get_args(ToolFaultKind)

FAULTS: dict[str, tuple[Behavior, ...]] = {
    **{f"{status}": (Fail(status),) for status in STATUSES},
    **{f"{status} thrice": (Fail(status, times=3),) for status in (429, 500, 503)},
    **{f"{status} for good": (Fail(status, times=None),) for status in (401, 404, 429, 500)},
    "429 with a wait": (Fail(429, retry_after=1.2, times=2),),
    "503 with a wait": (Fail(503, retry_after=0.3),),
    "429 and then 500": (Fail(429, retry_after=0.4), Fail(500)),
    "slow answer": (Delay(0.4),),
    "slow first token": (SlowFirstToken(0.4),),
    "empty answer": (Reply(text=""),),
    "filtered answer": (Reply(text="", finish_reason="content_filter"),),
    "answer filtered in the middle": (Reply(text="It is", finish_reason="content_filter"),),
    "answer cut at its limit": (Reply(text="It is", finish_reason="length"),),
    "tool that nobody offered": (Reply(tool_calls=(ToolCall("delete_all"),)),),
    **{
        f"stream: {kind} after {chunks}": (StreamFault(kind, after_chunks=chunks, stall_seconds=20),)
        for kind in STREAM_FAULTS
        for chunks in (0, 1, 3)
    },
    **{
        f"stream: {kind} twice": (StreamFault(kind, times=2),)
        for kind in ("disconnect", "truncate", "malformed")
    },
    **{f"tool: {kind}": (ToolFault(kind),) for kind in TOOL_FAULTS},
}
"""All that the simulator can be told to do, and what it may do by chance or by a quota."""


CUT_IN_THE_MIDDLE = {f"stream: {kind} after 3" for kind in STREAM_FAULTS}
ENDS: dict[tuple[int, str], str] = {}
"""What streams ended with that were cut after their first content, by the number of providers and the fault."""
CASES = [(fault, streamed) for fault in FAULTS for streamed in (False, True)]
AT_ONCE = 12
"""Calls in flight: most of the time they wait."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(1, id="one provider"),
        pytest.param(3, id="three providers", marks=pytest.mark.long),
    ],
)
def journals(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[list[RequestRecord]]]:
    """What each provider has seen of one call per case, each by a client of its own that knows nothing yet."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        servers = [stack.enter_context(LLMockServer()) for _ in range(request.param)]
        for server in servers:
            pace(server)
        for number, (fault, _streamed) in enumerate(CASES):
            servers[0].state.scenarios.add(*(_for_model(one, _model(number)) for one in FAULTS[fault]))
        asyncio.run(_call_all(servers, tmp_path_factory.mktemp("calls")))
        yield [server.state.journal.records(wait=2.0) for server in servers]


def pace(server: LLMockServer) -> None:
    """Let its streams take a while.

    The judge knows that a client has stopped reading by what it could not send any more, and takes two requests for
    one call only where the first had ended. Streams that are sent at once leave that to chance.
    """
    state = server.state
    state.stream_chaos = replace(state.stream_chaos, chunk_delay_ms=20).validated()


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
            {
                "name": f"p{i}",
                "base_url": server.base_url("openai"),
                "models": [_model(number)],
                "timeout": 10,
                "first_token_timeout": 2,
                "idle_timeout": 2,
            }
            for i, server in enumerate(servers)
        ],
        recovery={"timeout": 30},
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
        except CallError as error:
            if error.partial_text:
                ENDS[len(settings.providers), fault] = error.kind


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
    if fault in CUT_IN_THE_MIDDLE and streamed:
        # Part of the answer is with its consumer, who is told: nobody is asked again, which the judge calls giving up.
        assert [verdict.attempts for verdict in verdicts] == [1] + [0] * (len(verdicts) - 1)
        assert ENDS[len(journals), fault] == "stream_interrupted"
        return
    for verdict in verdicts:
        verdict.assert_ok(strict=len(journals) == 1)


def test_every_behaviour_of_the_simulator_is_judged() -> None:
    judged = {type(behavior) for behaviors in FAULTS.values() for behavior in behaviors}
    assert judged == set(get_args(Behavior))


@pytest.mark.parametrize(
    "limits", [LimitSettings(rpm=20), LimitSettings(tpm=6_000), LimitSettings(context_window=300)], ids=str
)
def test_the_judge_finds_nothing_where_a_quota_is_kept(limits: LimitSettings, tmp_path: Path) -> None:
    """More calls than the quota has room for, with prompts that do not fit the window at first."""
    server = LLMockServer()
    server.state.limiter.configure(limits)
    history = [{"role": role, "content": "word " * 200} for role in ("user", "assistant")]

    async def run() -> list[Any]:
        async with AIClient(_settings([server], tmp_path, 0)) as ai:
            calls = [
                ai.chat(
                    messages=[*history, {"role": "user", "content": f"What is due on day {day}?"}],
                    max_tokens=50,
                )
                for day in range(22 if limits.rpm else 11)
            ]
            return await asyncio.gather(*calls, return_exceptions=True)

    with server:
        replies = asyncio.run(run())
        verdict = judge(server.state.journal.records(wait=2.0))
    assert verdict.faults > 0
    verdict.assert_ok(strict=True)
    assert [reply for reply in replies if isinstance(reply, BaseException)] == []


def test_the_judge_finds_no_error_where_faults_come_by_chance(tmp_path: Path) -> None:
    servers = [
        LLMockServer(chaos=ChaosSettings(latency_ms=20, error_rates=dict.fromkeys((401, 429, 500, 503), 0.1)))
        for _ in range(2)
    ]
    rates = tuple((kind, 0.1) for kind in STREAM_FAULTS)

    async def one(ai: AIClient, number: int) -> str:
        question = f"What is due on day {number}?"
        if number % 2:
            return (await ai.chat(question)).text
        return "".join([chunk.text async for chunk in ai.stream(question)])

    async def run() -> list[Any]:
        async with AIClient(_settings(servers, tmp_path, 0)) as ai:
            return await asyncio.gather(*(one(ai, number) for number in range(40)), return_exceptions=True)

    with ExitStack() as stack:
        for server in servers:
            server.state.stream_chaos = StreamChaos(rates, stall_seconds=20)
            stack.enter_context(server)
        ends = asyncio.run(run())
        records = [server.state.journal.records(wait=2.0) for server in servers]
    assert {type(end) for end in ends} <= {str, CallError}
    assert sum(judge(one).faults for one in records) > 0
    for one_server in records:
        codes = {finding.code for finding in judge(one_server).errors}
        assert codes <= {
            "truncated_stream_accepted"
        }  # of a stream that had begun: its CallError is not seen there
