"""A program that makes calls until it is killed, or has made as many as it was asked to.

    python -m crash.caller --ledger DIR --name NAME [--calls N] [--threads N] [--pause SECONDS]

The database and the spool are those of the environment. It says ``ready`` when its first call has begun, stops when
its standard input ends, and says at its end, as JSON, what the recorder has to say of itself.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cajanegra import Recorder, Settings
from crash.events import events
from crash.ledger import Ledger

OPEN_AT_ONCE = 4
"""Calls of one thread that are in flight together."""


class Caller:
    """One thread's calls, several in flight at a time and ended in any order."""

    def __init__(
        self, recorder: Recorder, ledger: Ledger, name: str, pause: float, stop: threading.Event
    ) -> None:
        self._recorder = recorder
        self._ledger = ledger
        self._name = name
        self._pause = pause
        self._stop = stop
        self._made = 0
        self._dice = random.Random(name)  # noqa: S311 - chance, not secrets

    def run(self, calls: int) -> None:
        """Make that many calls."""
        running = []
        for _ in range(calls):
            if self._stop.is_set():
                break
            running.append(events(self._recorder, self._ledger, f"{self._name}-{self._made}"))
            self._made += 1
            while len(running) >= OPEN_AT_ONCE:
                self._advance(running)
        while running:
            self._advance(running)

    def _advance(self, running: list[Iterator[None]]) -> None:
        chosen = self._dice.choice(running)
        if next(chosen, "ended") == "ended":
            running.remove(chosen)
        if self._pause:
            time.sleep(self._dice.uniform(0, 2 * self._pause))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--calls", type=int, default=sys.maxsize)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pause", type=float, default=0.001)
    parser.add_argument("--patience", type=float, default=20, help="seconds for the database at the end")
    parser.add_argument(
        "--full-for", type=float, help="seconds in which no file may grow to a segment's size"
    )
    asked = parser.parse_args()
    recorder = Recorder(Settings())
    stop = threading.Event()
    threads = []
    for number in range(asked.threads):
        name = f"{asked.name}.{number}"
        caller = Caller(recorder, Ledger(asked.ledger / f"{name}.ledger"), name, asked.pause, stop)
        if number == 0:
            caller.run(1)
            print("ready", flush=True)  # noqa: T201
            if asked.full_for:
                _limit_files(asked.full_for)
        threads.append(threading.Thread(target=caller.run, args=(asked.calls,)))
        threads[-1].start()
    threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
    for thread in threads:
        thread.join()
    flushed = recorder.flush(asked.patience)
    recorder.close(min(asked.patience, 5))
    print(json.dumps({"flushed": flushed, "dropped": recorder.dropped}), flush=True)  # noqa: T201


def _limit_files(seconds: float) -> None:
    """Let no file of this process grow beyond nine tenths of a megabyte, for as long."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, before[1]))
    threading.Timer(seconds, resource.setrlimit, (resource.RLIMIT_FSIZE, before)).start()


def _stop_at_end_of_input(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    main()
