"""``make bench-recorder``: what the recorder costs and keeps. Any part can be run alone:

python -m benchmarks.recorder [cost] [delay] [drain] [memory] [backlog]
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks.recorder import backlog, cost, delay
from benchmarks.recorder.places import KINDS, Places, places
from cajanegra.recording.draining import BATCH

PARTS = ("cost", "delay", "drain", "memory", "backlog")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorder")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default is all")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each candidate; the median counts")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement of the delay")
    parser.add_argument("--drained", type=int, default=50_000, help="calls from the spool to rows")
    parser.add_argument("--batch", type=int, default=BATCH, help="rows per batch of the floors")
    parser.add_argument("--calls", type=int, default=1_000_000, help="over which memory is watched")
    parser.add_argument("--backlog", type=int, default=200_000, help="calls in the big backlog")
    parser.add_argument("--no-peers", action="store_true", help="leave out other recorders")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}; there is: {', '.join(PARTS)}")
    with places() as where:
        for part in asked.parts or PARTS:
            _run(part, where, asked)


def _run(part: str, where: Places, asked: argparse.Namespace) -> None:
    match part:
        case "cost":
            cost.measure(where, asked.rounds, with_peers=not asked.no_peers)
        case "delay":
            delay.measure(where, asked.rounds, asked.seconds)
        case "drain":
            backlog.measure(where, asked.rounds, asked.drained, asked.batch)
        case "memory":
            _memory(where, asked.calls)
        case _:
            backlog.measure_rate(where, asked.backlog)


def _memory(where: Places, calls: int) -> None:
    print(
        f"\nMemory while {calls:,} calls are recorded in a loop, megabytes (own, and mapped pages of files)"
    )
    for kind in KINDS:
        with where.fresh(kind) as place:
            output = place.run("benchmarks.recorder.producer", str(calls))
            samples = backlog.said(output)[:-1]
        early, late = samples[len(samples) // 4], samples[-1]
        most = max(sample["own"] for sample in samples)
        middle = statistics.median(sample["own"] for sample in samples)
        print(
            f"{kind:12}own {early['own']:.0f} after a quarter, {late['own']:.0f} at the end, "
            f"median {middle:.0f}, most {most:.0f}; mapped {late['mapped']:.0f}; "
            f"{calls / late['seconds']:,.0f} calls/s"
        )


if __name__ == "__main__":
    main()
