"""Whether workers add up: ``python -m benchmarks.gateway.workers``.

One worker, its load and its upstream on one core, in turn with two workers and twice the load on two cores:
whatever load and upstream take, they take the same share of both.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway import load, processes
from benchmarks.gateway.contestants import MODEL, PATH, contestants, upstream_command

CONNECTIONS = 64
"""To each core."""
WARM_UP = 3.0
"""Seconds."""


@dataclass(frozen=True)
class Running:
    """A gateway with as many workers as cores."""

    cores: Sequence[int]
    port: int
    pid: int
    sent: bytes

    def measure(self, seconds: float) -> tuple[float, float]:
        """Requests per second, and milliseconds of CPU that each took."""
        before = processes.cpu(self.pid)
        with multiprocessing.Pool(len(self.cores)) as pool:
            asked = [(core, self.port, self.sent, seconds) for core in self.cores]
            count = sum(pool.starmap(_answered, asked))
        return count / seconds, (processes.cpu(self.pid) - before) / count * 1000


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gateway.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        one, two = (_start(stack, Path(name) / str(len(some)), some) for some in (cores[:1], cores))
        for running in (one, two):
            running.measure(WARM_UP)
        ratios = []
        for _ in range(options.rounds):
            (alone, cpu), (both, cpu_of_both) = one.measure(options.seconds), two.measure(options.seconds)
            ratios.append(both / alone)
            print(
                f"one: {alone:.0f}/s, {cpu:.3f} ms CPU; two: {both:.0f}/s, {cpu_of_both:.3f} ms CPU; "
                f"x {ratios[-1]:.2f}",
                flush=True,
            )
        print(f"median: x {statistics.median(ratios):.2f}")


def _start(stack: ExitStack, directory: Path, cores: Sequence[int]) -> Running:
    directory.mkdir()
    upstream, port = processes.free_port(), processes.free_port()
    stack.enter_context(processes.running(upstream_command(upstream), upstream, cores[-1], directory))
    ours = next(one for one in contestants(directory, port, upstream) if one.name == "cajanegra")
    command = [*ours.command, "--workers", str(len(cores))]
    pid = stack.enter_context(processes.running(command, port, cores, directory, ours.environment))
    return Running(cores, port, pid, load.request(PATH, ours.headers, model=MODEL, streamed=False))


def _answered(core: int, port: int, sent: bytes, seconds: float) -> int:
    os.sched_setaffinity(0, {core})
    return len(asyncio.run(load.run(port, sent, connections=CONNECTIONS, seconds=seconds)).whole)


if __name__ == "__main__":
    main()
