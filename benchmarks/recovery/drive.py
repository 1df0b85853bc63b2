"""Drives one contestant through a world; calls arrive whether earlier ones have ended or not.

``python -m benchmarks.recovery.drive CONTESTANT SEED SCENARIO RATE PORTS`` prints ``ready`` when warm, reads
from standard input the time at which the world begins, and prints what became of each call as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.recovery.calls import WARM_UP, Call, make_call
from benchmarks.recovery.contestant import Client, Endpoint, contestant
from benchmarks.recovery.scenarios import make_world
from benchmarks.recovery.world import PROVIDERS

GRACE = 4.0
"""Seconds after the deadline at which a call is cancelled that still has not ended."""
_WARM_UP_CALLS = 12
_LAG_INTERVAL = 0.05


@dataclass(slots=True)
class Outcome:
    """What a call came to, as the application saw it.

    Attributes:
        number: the call.
        arrival: when it should have been made, seconds from the beginning of the world.
        finished: when it ended.
        answered: whether it was answered, rightly or not.
        right: whether with the right answer.
        content: whether a stream brought content, however it ended.
        error: name of the exception that it ended with.
    """

    number: int
    arrival: float
    finished: float = 0.0
    answered: bool = False
    right: bool = False
    content: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Driven:
    """All calls of a contestant.

    Attributes:
        outcomes: one for each call.
        cpu_ms: CPU of the whole process per call.
        lag_ms: 99th percentile of how late the event loop was; figures of the clock are no better than this.
    """

    outcomes: Sequence[Outcome]
    cpu_ms: float
    lag_ms: float


async def drive(client: Client, calls: Sequence[Call], begin: float) -> Driven:
    """Make each call when it arrives, and wait for all of them.

    Args:
        client: the contestant.
        calls: in the order of their arrival.
        begin: ``time.monotonic`` at the beginning of the world.
    """
    lags: list[float] = []
    watch = asyncio.ensure_future(_watch_lag(lags))
    cpu = time.process_time()
    tasks = []
    for call in calls:
        await asyncio.sleep(max(begin + call.arrival - time.monotonic(), 0))
        tasks.append(asyncio.ensure_future(_make(client, call, begin)))
    outcomes = await asyncio.gather(*tasks)
    cpu = time.process_time() - cpu
    watch.cancel()
    lag = statistics.quantiles(lags, n=100)[-1] if len(lags) > 1 else 0.0
    return Driven(outcomes, cpu / max(len(calls), 1) * 1000, lag * 1000)


async def _make(client: Client, call: Call, begin: float) -> Outcome:
    outcome = Outcome(call.number, call.arrival)
    until = begin + call.arrival + call.deadline + GRACE
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - time.monotonic()):
            text = await (_consume(client, call, outcome) if call.streamed else client.ask(call))
    except Exception as error:  # noqa: BLE001 - whatever a contestant raises is an honest failure
        outcome.error = type(error).__name__
    else:
        outcome.answered, outcome.right = True, call.is_right(text)
    outcome.finished = time.monotonic() - begin
    return outcome


async def _consume(client: Client, call: Call, outcome: Outcome) -> str:
    texts = []
    async for text in client.stream(call):
        outcome.content = outcome.content or bool(text)
        texts.append(text)
    return "".join(texts)


async def _watch_lag(lags: list[float]) -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(_LAG_INTERVAL)
        lags.append(time.monotonic() - before - _LAG_INTERVAL)


async def _main(name: str, seed: int, scenario: str, rate: float, ports: Sequence[int]) -> None:
    endpoints = [
        Endpoint(provider, f"http://127.0.0.1:{port}/v1", f"sk-{provider}", f"{provider}-large")
        for provider, port in zip(PROVIDERS, ports, strict=True)
    ]
    client = await contestant(name).connect(endpoints)
    shapes = [(bool(i % 2), i % 4 == 0) for i in range(_WARM_UP_CALLS)]
    warm = [
        make_call(seed, WARM_UP + i, 0, as_json=as_json, streamed=streamed, size="small", tokens=0)
        for i, (as_json, streamed) in enumerate(shapes)
    ]
    for call in warm:
        text = (
            "".join([one async for one in client.stream(call)]) if call.streamed else await client.ask(call)
        )
        if not call.is_right(text):
            raise RuntimeError(f"{name} has no right answer while nothing is wrong: {text[:200]!r}")
    print("ready", flush=True)
    begin = float(await asyncio.to_thread(sys.stdin.readline))
    driven = await drive(client, make_world(scenario, seed, rate).calls, begin)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await client.aclose()
    print(json.dumps(asdict(driven)), flush=True)
    os._exit(0)  # what libraries leave running at their end is not measured


if __name__ == "__main__":
    asyncio.run(
        _main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]), json.loads(sys.argv[5]))
    )
