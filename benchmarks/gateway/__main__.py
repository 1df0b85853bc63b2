"""``python -m benchmarks.gateway``: runs each contestant alone and prints what it adds."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from benchmarks.gateway import load, processes
from benchmarks.gateway.contestants import MODEL, PATH, Contestant, contestants, upstream_command

WARM_UP = 2.0
"""Seconds."""


@dataclass(frozen=True)
class Case:
    streamed: bool
    connections: int

    @property
    def name(self) -> str:
        return f"{'stream' if self.streamed else 'plain'}, {self.connections}"


CASES = [Case(streamed, connections) for streamed in (False, True) for connections in (64, 1)]


@dataclass(frozen=True)
class Measured:
    found: load.Load
    cpu_ms: float
    """Per request."""
    megabytes: float


def main() -> None:
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    results: dict[str, dict[str, Measured]] = {}
    with tempfile.TemporaryDirectory() as name:
        directory, upstream = Path(name), processes.free_port()
        with processes.running(upstream_command(upstream, options.delay), upstream, cores[-1], directory):
            port = processes.free_port()
            for one in contestants(directory, port, upstream):
                if options.only and one.name not in options.only.split(","):
                    continue
                if one.missing:
                    print(f"{one.name} is left out: {one.missing}", file=sys.stderr)
                    continue
                try:
                    results[one.name] = _measure(one, port, upstream, cores[0], directory, options.seconds)
                except (RuntimeError, ExceptionGroup) as error:
                    print(f"{one.name} is left out: {error}", file=sys.stderr)
                else:
                    print(f"{one.name} is done", file=sys.stderr)
    _print(results)


def _measure(
    one: Contestant, port: int, upstream: int, core: int, directory: Path, seconds: float
) -> dict[str, Measured]:
    if not one.command:
        return {case.name: _case(one, upstream, None, case, seconds) for case in CASES}
    with processes.running(one.command, port, core, directory, one.environment) as pid:
        return {case.name: _case(one, port, pid, case, seconds) for case in CASES}


def _case(one: Contestant, port: int, pid: int | None, case: Case, seconds: float) -> Measured:
    sent = load.request(PATH, one.headers, model=MODEL, streamed=case.streamed)
    _until_it_answers(port, sent)
    asyncio.run(load.run(port, sent, connections=case.connections, seconds=min(WARM_UP, seconds)))
    before = processes.cpu(pid) if pid else 0.0
    found = asyncio.run(load.run(port, sent, connections=case.connections, seconds=seconds))
    used = processes.cpu(pid) - before if pid else 0.0
    return Measured(found, used / len(found.whole) * 1000, processes.memory(pid) if pid else 0.0)


def _until_it_answers(port: int, sent: bytes) -> None:
    """Some gateways listen for a while before they can answer."""
    until = time.monotonic() + 60
    while True:
        try:
            asyncio.run(load.run(port, sent, connections=1, seconds=0.01))
        except (ExceptionGroup, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
        else:
            return


def _print(results: dict[str, dict[str, Measured]]) -> None:
    direct = results.get("direct", {})
    for case in CASES:
        rows = []
        for name, measured in results.items():
            one = measured[case.name]
            p50 = one.found.quantile(0.5) * 1000
            base = direct[case.name].found.quantile(0.5) * 1000 if direct else None
            rows.append(
                [
                    name,
                    one.cpu_ms or None,
                    one.found.per_second,
                    p50,
                    p50 - base if base is not None else None,
                    one.found.quantile(0.99) * 1000,
                    one.found.quantile(0.5, first=True) * 1000,
                    one.megabytes or None,
                ]
            )
        print(f"\n{case.name} connection{'s' * (case.connections > 1)} (milliseconds)")
        heads = ["", "CPU", "requests/s", "p50", "added", "p99", "first", "MB"]
        print(tabulate(rows, heads, floatfmt=("", ".3f", ".0f", ".2f", ".2f", ".2f", ".2f", ".0f")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.gateway", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="of each load")
    parser.add_argument("--delay", type=float, default=0, help="seconds that the upstream takes to answer")
    parser.add_argument("--only", default="", help="contestants, by commas")
    return parser.parse_args()


if __name__ == "__main__":
    main()
