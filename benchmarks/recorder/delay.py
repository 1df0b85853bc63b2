"""How late an event loop is while calls are recorded from it.

A tick every millisecond records two calls. Its delay is the time from when it was due to when it ran: what
any other callback of this loop would have waited. ``python -m benchmarks.recorder.delay MODE SECONDS``
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys

from benchmarks.recorder import workload
from benchmarks.recorder.places import KINDS, Places

TICK = 0.001
CALLS_PER_TICK = 2
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def measure(places: Places, rounds: int, seconds: float) -> None:
    """Print the table; with and without recording in turn, and the median of the rounds counts."""
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        with places.fresh("sqlite") as place:
            output = place.run("benchmarks.recorder.delay", "without", str(seconds))
        found.setdefault("no recording", []).append(json.loads(output))
        for kind in KINDS:
            with places.fresh(kind) as place:
                figures = json.loads(place.run("benchmarks.recorder.delay", "recording", str(seconds)))
                if place.count() < figures["calls"]:
                    raise RuntimeError(f"only {place.count()} of {figures['calls']} calls were recorded")
            found.setdefault(f"cajanegra, {kind}", []).append(figures)
    print(f"\nDelay of an event loop that records {CALLS_PER_TICK / TICK:,.0f} calls/s, milliseconds")
    names = [*PERCENTILES, "max"]
    print(f"{'':28}" + "".join(f"{name:>9}" for name in names) + f"{'calls/s':>10}")
    for name, runs in found.items():
        row = "".join(f"{statistics.median(run[figure] for run in runs):9.2f}" for figure in names)
        print(f"{name:28}{row}{statistics.median(run['rate'] for run in runs):10.0f}")


async def _ticks(record: workload.Record | None, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    texts = workload.prompts(1_000)
    delays: list[float] = []
    done = loop.create_future()
    first = loop.time() + 2.0  # the first calls import what the writer needs; they are not measured
    number = 0

    def tick(due: float) -> None:
        nonlocal number
        if due >= first:
            delays.append(loop.time() - due)
        for _ in range(CALLS_PER_TICK):
            number += 1
            if record is not None:
                record(texts[number % len(texts)])
        if due - first > seconds:
            done.set_result(None)
            return
        # Ticks that were missed altogether are not made up for: the delay of one of them says it all.
        after = max(due + TICK, loop.time())
        loop.call_at(after, tick, after)

    loop.call_soon(tick, loop.time())
    await done
    delays.sort()
    figures = {name: delays[int(len(delays) * part)] * 1000 for name, part in PERCENTILES.items()}
    rate = len(delays) * CALLS_PER_TICK / seconds
    return figures | {"max": delays[-1] * 1000, "calls": number, "rate": rate}


def main() -> None:
    mode, seconds = sys.argv[1], float(sys.argv[2])
    if mode == "without":
        print(json.dumps(asyncio.run(_ticks(None, seconds))))
        return
    from cajanegra import Recorder, Settings

    recorder = Recorder(Settings())

    def record(prompt: str) -> None:
        call = recorder.call(task="chat", provider="openai", model=workload.MODEL, prompt=prompt)
        call.finish(text=workload.ANSWER, tokens_used=workload.TOKENS)

    figures = asyncio.run(_ticks(record, seconds))
    recorder.flush(60)
    recorder.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
