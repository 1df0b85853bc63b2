"""What a call costs its caller's thread, and what is kept of 20,000 calls and of a process that is killed."""

from __future__ import annotations

import json
import signal
import statistics

from benchmarks.recorder import peer_environment, workload
from benchmarks.recorder.caller import CANDIDATES
from benchmarks.recorder.places import KINDS, Places

Figures = dict[str, float]
FLOORS = [name for name in CANDIDATES if name != "cajanegra"]


def measure(places: Places, rounds: int, *, with_peers: bool) -> None:
    """Print the table; every candidate runs once per round, in turn, and the median counts."""
    peers = peer_environment.installed() if with_peers else []
    found: dict[str, list[Figures]] = {}
    for _ in range(rounds):
        for kind in KINDS:
            found.setdefault(f"cajanegra, {kind}", []).append(_recorder(places, kind))
        for name in FLOORS:
            with places.fresh("sqlite") as place:
                output = place.run("benchmarks.recorder.caller", name, "loop", str(place.directory))
            found.setdefault(name, []).append(json.loads(output))
        for name in peers:
            found.setdefault(f"{name} {peer_environment.version(name)}", []).append(
                peer_environment.run(name, "loop")
            )
    killed = {f"cajanegra, {kind}": _killed(places, kind) for kind in KINDS}
    killed |= {
        f"{name} {peer_environment.version(name)}": peer_environment.run(name, "kill")["kept"]
        for name in peers
    }
    _print(found, killed)


def _recorder(places: Places, kind: str) -> Figures:
    with places.fresh(kind) as place:
        output = place.run("benchmarks.recorder.caller", "cajanegra", "loop", str(place.directory))
        figures: Figures = json.loads(output)
        return figures | {"kept": place.count()}


def _killed(places: Places, kind: str) -> float:
    with places.fresh(kind) as place:
        arguments = ("cajanegra", "kill", str(place.directory))
        place.run("benchmarks.recorder.caller", *arguments, code=-signal.SIGKILL)
        place.run("cajanegra", "spool", "drain", "--json")
        return place.count()


def _print(found: dict[str, list[Figures]], killed: Figures) -> None:
    print(
        f"\nCost of a call to its caller, {workload.CALLS:,} calls in a loop (begin and finish, "
        f"{workload.PROMPT_CHARACTERS} characters of prompt), and what is lost"
    )
    print(
        f"{'':28}{'mean µs':>9}{'p50':>8}{'p99':>8}{'times the floor':>17}{'lost':>9}{'lost at kill -9':>17}"
    )
    floor = _median(found["append"], "mean")
    for name, rounds in found.items():
        mean, p50, p99 = (_median(rounds, figure) for figure in ("mean", "p50", "p99"))
        row = f"{name:28}{mean:9.1f}{p50:8.1f}{p99:8.1f}{mean / floor:17.1f}"
        if "kept" in rounds[0]:
            lost = 1 - statistics.median(one["kept"] / one["made"] for one in rounds)
            row += f"{lost:9.1%}{1 - killed[name] / workload.KILLED_AFTER:17.1%}"
        print(row)


def _median(rounds: list[Figures], figure: str) -> float:
    return statistics.median(one[figure] for one in rounds)
