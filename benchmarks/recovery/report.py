"""What the judge found, as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from benchmarks.recovery.judge import Verdict

OURS = "cajanegra"
KNOWS_ALL = "knows everything"
GOOD_ENOUGH = 0.95
"""A peer that serves less of what is achievable is not compared with."""
SERVED = 0.99
ATTEMPTS_WHERE_LIMITED = 1.1
RATIO = 1.2
LIMITED_SCENARIOS = frozenset({"storm", "dead"})

_COMPARED: Mapping[str, Callable[[Verdict], float]] = {
    "attempts per call": lambda one: one.attempts,
    "p95": lambda one: one.p95,
}
_HEAD = (
    f"{'':18}{'served':>8}{'wrong':>7}{'told':>6}{'attempts':>10}{'p50 s':>8}{'p95 s':>8}"
    f"{'early':>7}{'repeat':>8}{'dead':>6}{'late':>6}{'CPU ms':>8}{'lag ms':>8}"
)


def table(title: str, verdicts: Mapping[str, Verdict]) -> str:
    """One scenario: a line for each contestant, and under it what went wrong most."""
    any_one = next(iter(verdicts.values()))
    lines = [f"{title}: {any_one.calls} calls", _HEAD]
    for name, one in verdicts.items():
        lines.append(
            f"{name:18}{one.served:8.1%}{one.wrong:7}{one.told:6}{one.attempts:10.2f}{_seconds(one.p50)}"
            f"{_seconds(one.p95)}{one.retry_after:7}{one.repeated:8}{one.dead:6}{one.overruns:6}"
            f"{one.cpu_ms:8.2f}{one.lag_ms:8.0f}"
        )
    for name, one in verdicts.items():
        if notes := [*_most("raised", one.errors), *_most("wrong after", one.mistaken)]:
            lines.append(f"  {name}: {'; '.join(notes)}")
    return "\n".join(lines)


_LEGEND = """
served: right answers in time, of those that an all-knowing client has; wrong: wrong answers accepted
told: streams cut after their first content, which an exception said; not counted as achievable
attempts: requests that reached a provider, per call; p50, p95: seconds to the right answer
early: requests while a Retry-After ran; repeat: non-retryable requests repeated as they were
dead: requests to a provider known dead, a probe every 5 s excepted
late: calls that ended over 100 ms after their deadline
lag: 99th percentile of how late the event loop was, which no time in the line is better than
"""


def legend() -> str:
    """What the columns say."""
    return _LEGEND.strip()


def goals(results: Mapping[str, Mapping[str, Verdict]]) -> list[tuple[str, str, bool]]:
    """Each goal in each scenario with what was measured, and whether it is met."""
    found = []
    for scenario, verdicts in results.items():
        if OURS not in verdicts:
            continue
        ours = verdicts[OURS]
        for what, value, met in _of_ours(scenario, ours):
            found.append((f"{scenario}: {what}", value, met))
        peers = {
            name: one
            for name, one in verdicts.items()
            if name not in (OURS, KNOWS_ALL, "bare") and one.served >= GOOD_ENOUGH
        }
        if not peers:
            continue
        for what, figure in _COMPARED.items():
            best = min(peers, key=lambda name: figure(peers[name]))
            mine, theirs = figure(ours), figure(peers[best])
            ratio = mine / theirs if theirs else math.inf
            measured = f"{mine:.2f} / {theirs:.2f} = {ratio:.2f}"
            found.append((f"{scenario}: {what} <= {RATIO} x {best}", measured, ratio <= RATIO))
    return found


def _of_ours(scenario: str, ours: Verdict) -> list[tuple[str, str, bool]]:
    rows = [
        (f"served >= {SERVED:.0%}", f"{ours.served:.2%}", ours.served >= SERVED),
        ("wrong answers accepted: 0", str(ours.wrong), ours.wrong == 0),
        ("Retry-After violations: 0", str(ours.retry_after), ours.retry_after == 0),
        ("non-retryable repeated: 0", str(ours.repeated), ours.repeated == 0),
        ("dead asked beyond probes: 0", str(ours.dead), ours.dead == 0),
        ("overruns: 0", str(ours.overruns), ours.overruns == 0),
    ]
    if scenario.partition("-")[0] in LIMITED_SCENARIOS:
        met = ours.attempts <= ATTEMPTS_WHERE_LIMITED
        rows.append((f"attempts per call <= {ATTEMPTS_WHERE_LIMITED}", f"{ours.attempts:.3f}", met))
    return rows


def summary(results: Mapping[str, Mapping[str, Verdict]]) -> str:
    """Served and wrong of every contestant in every scenario, then the goals that are missed."""
    names = list(dict.fromkeys(name for verdicts in results.values() for name in verdicts))
    names = [name for name in names if name not in (KNOWS_ALL, "bare")]
    lines = ["Summary: served %, and wrong answers accepted % of all calls, where there were any"]
    lines.append(f"{'':14}" + "".join(f"{name:>16}" for name in names))
    for scenario, verdicts in results.items():
        cells = [_cell(verdicts.get(name)) for name in names]
        lines.append(f"{scenario:14}" + "".join(f"{cell:>16}" for cell in cells))
    found = goals(results)
    missed = [row for row in found if not row[2]]
    lines += ["", f"Goals: {len(found) - len(missed)} of {len(found)} met"]
    lines += [f"  missed  {what:60} {value}" for what, value, _met in missed]
    return "\n".join(lines)


def _cell(one: Verdict | None) -> str:
    if one is None:
        return "-"
    wrong = f" ({one.wrong / one.calls:.1%})" if one.wrong else ""
    return f"{one.served:.1%}{wrong}"


def _most(what: str, counts: Mapping[str, int], size: int = 4) -> Sequence[str]:
    if not counts:
        return []
    words = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:size])
    return [f"{what} {words}"]


def _seconds(value: float) -> str:
    return f"{'-':>8}" if math.isnan(value) else f"{value:8.2f}"
