"""Measures every candidate against one server: medians, ratios to the floor, import time and size.

What is not installed is left out: ``pip install aiohttp httpx2 pyreqwest niquests``.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime

from benchmarks.http_clients.clients import CLIENTS

IMPORTS = {
    "aiohttp": "import aiohttp",
    "httpx2": "import httpx2",
    "pyreqwest": "from pyreqwest.client import ClientBuilder",
    "niquests": "import niquests",
}
IMPORT_RUNS = 7
ROUNDS = 2


def main() -> None:
    names = [name for name in CLIENTS if name == "floor" or _is_installed(name)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.http_clients.server"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None  # noqa: S101 - a pipe was asked for
            base_url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            rounds = [{name: _measured(name, base_url) for name in names} for _ in range(ROUNDS)]
        finally:
            server.terminate()
    scenarios = list(rounds[0]["floor"])
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}: CPU µs per request (x floor)")
    print(f"{'':20}" + "".join(f"{scenario:>18}" for scenario in scenarios) + f"{'import':>10}{'size':>10}")
    floor = {scenario: _median(rounds, "floor", scenario) for scenario in scenarios}
    for name in names:
        cells = ""
        for scenario in scenarios:
            cost = _median(rounds, name, scenario)
            cells += f"{cost:9.0f} ({cost / floor[scenario]:4.1f})  "
        if name in IMPORTS:
            cells += f"{_import_ms(IMPORTS[name]):7.0f} ms{_installed_mb(name):7.1f} MB"
        print(f"{_label(name):20}{cells}")


def _measured(name: str, base_url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.http_clients.measure", name, base_url]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return result


def _median(rounds: list[dict[str, dict[str, float]]], name: str, scenario: str) -> float:
    return statistics.median(one[name][scenario] for one in rounds)


def _label(name: str) -> str:
    return name if name == "floor" else f"{name} {importlib.metadata.version(name)}"


def _import_ms(statement: str) -> float:
    """Over importing asyncio and ssl, which every program that makes calls has loaded anyway."""
    base = "import asyncio, ssl"
    costs: dict[str, list[float]] = {base: [], f"{base}; {statement}": []}
    for _ in range(IMPORT_RUNS):
        for code, times in costs.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append((time.perf_counter() - begin) * 1000)
    without, with_it = (statistics.median(times) for times in costs.values())
    return with_it - without


def _installed_mb(name: str) -> float:
    """Size of the distribution and of all that it needs, by their recorded files."""
    wanted, seen = [name], set()
    total = 0
    while wanted:
        distribution = importlib.metadata.distribution(wanted.pop())
        if distribution.name in seen:
            continue
        seen.add(distribution.name)
        total += sum(file.size or 0 for file in distribution.files or ())
        for requirement in distribution.requires or ():
            needed = re.match(r"[A-Za-z0-9._-]+", requirement)
            if needed and "extra ==" not in requirement and _is_installed(needed.group()):
                wanted.append(needed.group())
    return total / 1e6


def _is_installed(name: str) -> bool:
    """What a marker excludes is not there."""
    return any(True for _ in importlib.metadata.distributions(name=name))


if __name__ == "__main__":
    main()
