"""CPU of a healthy call over the bare HTTP client, recorder included.

Both ask the same server, which answers at once and is in a process of its own; each measure is a process, one
after the other in turn, so that noise meets both alike.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.recovery.calls import make_call
from benchmarks.recovery.contestant import Endpoint, Recording, contestant

ROUNDS = 5
CALLS = 2000
CONCURRENCY = 8
GOAL = 150
"""Microseconds."""


def overhead() -> str:
    """Measure, and say it in words."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.http_clients.server"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None  # noqa: S101 - a pipe was asked for
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
            rounds = [{name: _measured(name, url) for name in ("bare", "cajanegra")} for _ in range(ROUNDS)]
        finally:
            server.terminate()
    bare, ours = (statistics.median(one[name][0] for one in rounds) for name in ("bare", "cajanegra"))
    over, on_loop = (
        statistics.median(one["cajanegra"][which] - one["bare"][which] for one in rounds) for which in (0, 1)
    )
    return (
        f"CPU of a healthy call: {ours:.0f} µs, bare aiohttp {bare:.0f} µs, overhead {over:.0f} µs, of which "
        f"{on_loop:.0f} µs on the event loop's thread\n"
        f"(medians of {ROUNDS} rounds of {CALLS} calls, recorder included; goal: at most {GOAL} µs)"
    )


def _measured(name: str, url: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="recovery-bench-") as home:
        environment = {**os.environ, "XDG_DATA_HOME": home, "XDG_STATE_HOME": home}
        command = [sys.executable, "-m", "benchmarks.recovery.overhead", name, url]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout
    whole, on_loop = map(float, printed.split())
    return whole, on_loop


async def measure(name: str, url: str) -> tuple[float, float]:
    """CPU microseconds per call, of this process until all is written down and of this thread."""
    client = await contestant(name).connect([Endpoint("one", url, "sk-one", "m")])
    calls = [
        make_call(1, number, 0, as_json=False, streamed=False, size="small", tokens=0)
        for number in range(CALLS)
    ]

    async def lane(first: int, count: int) -> None:
        for call in calls[first:count:CONCURRENCY]:
            await client.ask(call)

    async def settle() -> None:
        if isinstance(client, Recording):
            await client.settle()

    await asyncio.gather(*(lane(first, CALLS // 10) for first in range(CONCURRENCY)))
    await settle()  # the record is made when it is first written
    begin, begin_here = time.process_time(), time.thread_time()
    await asyncio.gather(*(lane(first, CALLS) for first in range(CONCURRENCY)))
    await settle()
    whole, here = time.process_time() - begin, time.thread_time() - begin_here
    await client.aclose()
    return whole / CALLS * 1e6, here / CALLS * 1e6


if __name__ == "__main__":
    print(*asyncio.run(measure(sys.argv[1], sys.argv[2])), flush=True)
    os._exit(0)
