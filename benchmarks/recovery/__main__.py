"""Runs every contestant through every scenario, side by side: ``python -m benchmarks.recovery --help``.

Some contestants of a scenario run at the same time, as many as the machine bears, each with providers of its
own that do exactly the same. The world runs in real time. What is not installed is left out; a line says so.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from benchmarks.recovery.contestant import CONTESTANTS, contestant
from benchmarks.recovery.drive import Driven, Outcome
from benchmarks.recovery.judge import Verdict, judge, know_all
from benchmarks.recovery.log import Entry
from benchmarks.recovery.overhead import overhead
from benchmarks.recovery.report import KNOWS_ALL, legend, summary, table
from benchmarks.recovery.scenarios import RATE, SCENARIOS, make_world
from benchmarks.recovery.world import World

PEERS = Path(".venv-bench/bin/python")
"""The interpreter of the peers, which have an environment of their own."""
_OURS = frozenset({"cajanegra", "bare"})
_LEAD = 1.5
"""Seconds between the word to begin and the beginning of the world."""


def main() -> None:
    """Run, print tables, and with ``--check`` fail where a goal is missed."""
    options = _options()
    names, python = [], {}
    for name in options.client or CONTESTANTS:
        python[name] = sys.executable if name in _OURS or not PEERS.exists() else str(PEERS)
        if _is_installed(python[name], contestant(name).REQUIRES):
            names.append(name)
        else:
            print(f"{name} is left out: {contestant(name).REQUIRES} is not installed")
    results: dict[str, dict[str, Verdict]] = {}
    for seed, scenario in itertools.product(options.seed or [1], options.scenario or SCENARIOS):
        racing = [name for name in names if name != "bare" or scenario == "healthy"]
        if not racing:
            continue
        world = make_world(scenario, seed, options.rate)
        verdicts = {KNOWS_ALL: know_all(world)}
        for first in range(0, len(racing), options.parallel):
            group = {name: python[name] for name in racing[first : first + options.parallel]}
            for name, (driven, log) in _run(scenario, options.rate, world, group).items():
                verdicts[name] = judge(world, driven, log)
                if options.keep:
                    _keep(options.keep / f"{scenario}-{seed}-{name}.json", driven, log)
        title = f"{scenario} (seed {seed}, {options.rate:g} calls/s): {SCENARIOS[scenario].title}"
        print(f"\n{table(title, verdicts)}", flush=True)
        results[scenario if len(options.seed or [1]) == 1 else f"{scenario}-{seed}"] = verdicts
    print(f"\n{legend()}\n\n{summary(results)}", flush=True)
    if "cajanegra" in names and not options.no_overhead:
        print(f"\n{overhead()}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="default: all of them")
    parser.add_argument("--client", action="append", choices=list(CONTESTANTS), help="default: all of them")
    parser.add_argument("--seed", action="append", type=int, help="default: 1")
    parser.add_argument("--rate", type=float, default=RATE, help="calls per second (default %(default)s)")
    parser.add_argument(
        "--parallel", type=int, default=2, help="contestants that run at the same time (default %(default)s)"
    )
    parser.add_argument("--keep", type=Path, help="write what the judge read into this directory, as JSON")
    parser.add_argument("--no-overhead", action="store_true", help="leave the CPU of a healthy call out")
    return parser.parse_args()


def _is_installed(python: str, module: str) -> bool:
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", probe], check=False).returncode == 0


def _keep(path: Path, driven: Driven, log: Sequence[Entry]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    outcomes = [asdict(one) for one in driven.outcomes]
    path.write_text(json.dumps({"outcomes": outcomes, "log": [asdict(one) for one in log]}))


def _run(
    scenario: str, rate: float, world: World, python: dict[str, str]
) -> dict[str, tuple[Driven, Sequence[Entry]]]:
    arguments = [str(world.seed), scenario, str(rate)]
    with ExitStack() as stack:
        races = {name: stack.enter_context(_race(name, arguments, one)) for name, one in python.items()}
        for race in races.values():
            race.wait_until_warm()
        begin = time.monotonic() + _LEAD
        for race in races.values():
            race.start(begin)
        return {name: race.finish() for name, race in races.items()}


@dataclass(slots=True)
class _Race:
    """A contestant and its providers."""

    name: str
    server: subprocess.Popen[str]
    driver: subprocess.Popen[str]
    errors: Path
    """What the contestant wrote on standard error: libraries talk a lot."""

    def wait_until_warm(self) -> None:
        if _line(self.driver).strip() != "ready":
            self._give_up("could not be started")

    def start(self, begin: float) -> None:
        for process in (self.server, self.driver):
            _tell(process, f"{begin}\n")

    def finish(self) -> tuple[Driven, Sequence[Entry]]:
        line = _line(self.driver)
        if not line:
            self._give_up("did not come to its end")
        driven = json.loads(line)
        outcomes = [Outcome(**one) for one in driven.pop("outcomes")]
        _tell(self.server, "end\n")
        return Driven(outcomes, **driven), [Entry(**one) for one in json.loads(_line(self.server))]

    def _give_up(self, what: str) -> NoReturn:
        raise SystemExit(f"{self.name} {what}:\n{self.errors.read_text(errors='replace')[-4000:]}")


@contextmanager
def _race(name: str, arguments: Sequence[str], python: str) -> Iterator[_Race]:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recovery-bench-")))
        server = stack.enter_context(_process(sys.executable, "server", arguments, home))
        ports = _line(server).strip()
        driver = stack.enter_context(_process(python, "drive", [name, *arguments, ports], home))
        yield _Race(name, server, driver, home / "drive.log")


@contextmanager
def _process(
    python: str, module: str, arguments: Sequence[str], home: Path
) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CAJANEGRA_")},
        "XDG_DATA_HOME": str(home),
        "XDG_STATE_HOME": str(home),
    }
    command = [python, "-m", f"benchmarks.recovery.{module}", *arguments]
    pipe = subprocess.PIPE
    with (
        (home / f"{module}.log").open("w") as errors,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=environment
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    return process.stdout.readline()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    process.stdin.write(line)
    process.stdin.flush()


if __name__ == "__main__":
    main()
