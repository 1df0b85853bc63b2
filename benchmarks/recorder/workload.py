"""The calls that every candidate records, and how their cost is measured. Needs the standard library only."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from array import array
from collections.abc import Callable

CALLS = 20_000
PROMPT_CHARACTERS = 800
ANSWER = "La factura 7 es de acme, por 1.200,50 € con IVA."
TOKENS = 212
MODEL = "gpt-4o"
KILLED_AFTER = 600
"""Calls, at ``KILLED_RATE`` a second, after which a process is killed."""
KILLED_RATE = 100

Record = Callable[[str], None]
"""Records one call with this prompt from its beginning to its end."""


def prompts(count: int) -> list[str]:
    """Prompts of 800 characters, each its own: their hashes cannot be remembered."""
    words = ("Clasifica esta factura y di de qué tenant es. " * 20)[: PROMPT_CHARACTERS - 8]
    return [f"{number:08}{words}" for number in range(count)]


def measure(record: Record, end: Callable[[], dict[str, int]], mode: str) -> None:
    """Run the workload in this process and print its figures as JSON.

    Args:
        record: records a call.
        end: flushes and closes; what it returns is added to the figures.
        mode: ``loop`` is a tight loop whose calls are timed; ``kill`` is a slow one that ends in SIGKILL.
    """
    if mode == "kill":
        _be_killed(record)
    texts = prompts(CALLS)
    took = array("q", bytes(8 * CALLS))
    for text in texts[:200]:
        record(text)  # first use: imports, threads, files
    gc.collect()
    clock = time.perf_counter_ns
    begin = clock()
    for number, text in enumerate(texts):
        before = clock()
        record(text)
        took[number] = clock() - before
    total = clock() - begin
    before_end = clock()
    kept = end()
    ordered = sorted(took)
    figures = {
        "mean": total / CALLS / 1000,
        "p50": ordered[CALLS // 2] / 1000,
        "p99": ordered[CALLS * 99 // 100] / 1000,
        "end": (clock() - before_end) / 1e9,
        "made": CALLS + 200,
        **kept,
    }
    print(json.dumps(figures), flush=True)
    os._exit(0)


def _be_killed(record: Record) -> None:
    begin = time.perf_counter()
    for number, text in enumerate(prompts(KILLED_AFTER)):
        time.sleep(max(0.0, begin + number / KILLED_RATE - time.perf_counter()))
        record(text)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
