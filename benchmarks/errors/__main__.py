"""Prints figures and times for a file of labelled failures: ``make bench-errors DATA=failures.jsonl``.

One object a line: ``provider``, ``http_status``, ``exception_type``, ``message``, ``label``, ``recover``,
``group`` (the root cause), ``template``, and optionally ``alt_labels`` and ``alt_recover``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors.figures import figures
from benchmarks.errors.folds import support, without_own_phrases
from benchmarks.errors.hostile import hostile, many
from benchmarks.errors.readers import READERS, Read, Reader

COLUMNS = ("kind", "recover", "same template", "same cause", "contradictions")
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.errors")
    parser.add_argument("file", type=Path, help="labelled failures, one JSON object a line")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="list phrases that rest on one root cause"
    )
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.file.read_text(encoding="utf-8").splitlines()]
    bare = [{**row, "http_status": None, "exception_type": None} for row in rows]
    print(f"{len(rows)} failures; µs are medians of the best of {ROUNDS} rounds, nothing remembered")
    print(f"{'':28}{''.join(f'{name:>16}' for name in COLUMNS)}{'µs':>8}")
    for name, make in READERS.items():
        for what, given in (("all fields", rows), ("message alone", bare)):
            reader = make()
            if reader is None:
                print(f"{name:28}not installed")
                break
            found, microseconds = read_all(reader, given)
            told = figures(rows, found)
            cells = "".join(f"{told[column]:16.3f}" if column in told else f"{'-':>16}" for column in COLUMNS)
            print(f"{f'{name}, {what}':28}{cells}{microseconds:8.0f}")
    print_support(rows, verbose=arguments.verbose)
    for line in (*hostile(), *many()):
        print(line)


def read_all(reader: Reader, rows: Sequence[Any]) -> tuple[list[Read], float]:
    """What a reader finds, and the median of its times per failure in microseconds."""
    found = [reader(row) for row in rows]
    times = [min(_seconds(reader, row) for _ in range(ROUNDS)) for row in rows]
    return found, statistics.median(times) * 1e6


def _seconds(reader: Reader, row: Any) -> float:
    begin = time.perf_counter()
    reader(row)
    return time.perf_counter() - begin


def print_support(rows: Sequence[Any], *, verbose: bool) -> None:
    """Which phrases rest on one root cause of the file, and what is right without them."""
    held = support(rows)
    single = sorted(f"{cause}: {phrase}" for (cause, phrase), groups in held.items() if len(groups) == 1)
    unused = sum(not groups for groups in held.values())
    print(
        f"\n{len(held)} phrases: {unused} stand in no message here, {len(single)} in those of one root cause"
    )
    print(f"kind, each root cause without the phrases that only it has: {without_own_phrases(rows):.3f}")
    if verbose:
        print("\n".join(single))


if __name__ == "__main__":
    main()
