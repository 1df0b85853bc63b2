"""The judge: what the providers' log and the driver's say of a contestant. Pure: no clock, no network."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.recovery.drive import Driven, Outcome
from benchmarks.recovery.log import Entry
from benchmarks.recovery.world import DEAD, Kind, World

IN_FLIGHT = 0.1
"""Seconds after a provider's word for which requests are excused: they were under way already."""
CLOCK = 0.005
"""Seconds by which a timer may be early."""
LATE = 0.1
"""Seconds past the deadline that are no overrun yet."""
PROBE_INTERVAL = 5.0
"""Seconds between two requests to a dead provider that are still probes."""

NOT_RETRYABLE = DEAD | {
    Kind.CONTENT_FILTER,
    Kind.WINDOW,
    Kind.TEMPERATURE,
    Kind.MAX_TOKENS,
    Kind.NO_SCHEMA,
}
"""Answers after which the same request must not come again: 400, 401, 402, 403, 404, quota."""
_CUTTING = frozenset({Kind.CUT, Kind.STALL, Kind.NO_FINISH, Kind.MALFORMED})


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a contestant did.

    Attributes:
        calls: that were made.
        achievable: that a client which knows everything has answered in time, less the streams that broke off
            after their first content and were honestly said to.
        right: that were answered in time and rightly.
        wrong: that were answered wrongly, with nothing said.
        told: streams that the world broke off after their first content, and that ended in an exception.
        attempts: requests that reached a provider, per call.
        p50: seconds to the right answer.
        p95: the same.
        retry_after: requests to a provider that had asked not to be asked yet.
        repeated: requests repeated as they were although that can never work.
        dead: requests to a provider known to be dead, probes excepted.
        overruns: calls that ended more than 100 ms after their deadline.
        cpu_ms: CPU per call.
        lag_ms: how late the contestant's event loop was.
        errors: names of exceptions, with how often.
        mistaken: what wrong answers had met, with how often.
    """

    calls: int
    achievable: int
    right: int
    wrong: int
    told: int
    attempts: float
    p50: float
    p95: float
    retry_after: int
    repeated: int
    dead: int
    overruns: int
    cpu_ms: float
    lag_ms: float
    errors: Mapping[str, int]
    mistaken: Mapping[str, int]

    @property
    def served(self) -> float:
        """Right answers as a part of what could be achieved."""
        return self.right / self.achievable if self.achievable else 1.0


def judge(world: World, driven: Driven, log: Sequence[Entry]) -> Verdict:
    """The verdict on one contestant in one world."""
    entries = sorted(log, key=lambda entry: entry.at)
    possible = {call.number for call in world.calls if world.earliest(call) is not None}
    until = {call.number: call.arrival + call.deadline + LATE for call in world.calls}
    in_time = [one for one in driven.outcomes if one.right and one.finished <= until[one.number]]
    served = {one.number for one in in_time}
    told = {one.number for one in driven.outcomes if _was_told(one, entries)}
    times = sorted(one.finished - one.arrival for one in in_time)
    return Verdict(
        calls=len(driven.outcomes),
        achievable=len((possible | served) - told),
        right=len(in_time),
        wrong=sum(one.answered and not one.right for one in driven.outcomes),
        told=len(told),
        attempts=len(entries) / max(len(driven.outcomes), 1),
        p50=percentile(times, 0.5),
        p95=percentile(times, 0.95),
        retry_after=_count_early(entries),
        repeated=_count_repeated(entries),
        dead=_count_dead(world, entries),
        overruns=sum(one.finished > until[one.number] for one in driven.outcomes),
        cpu_ms=driven.cpu_ms,
        lag_ms=driven.lag_ms,
        errors=_counted(one.error for one in driven.outcomes if one.error),
        mistaken=_counted(
            _last_fault(one, entries) for one in driven.outcomes if one.answered and not one.right
        ),
    )


def know_all(world: World) -> Verdict:
    """The verdict on a client that knows everything."""
    finishes = [(call, world.earliest(call)) for call in world.calls]
    times = sorted(finish - call.arrival for call, finish in finishes if finish is not None)
    count = len(times)
    p50, p95 = percentile(times, 0.5), percentile(times, 0.95)
    return Verdict(len(world.calls), count, count, 0, 0, 1.0, p50, p95, 0, 0, 0, 0, 0, 0, {}, {})


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that is no smaller than this part of them; not a number where there are none."""
    return ordered[max(math.ceil(len(ordered) * part) - 1, 0)] if ordered else math.nan


def _was_told(outcome: Outcome, entries: Iterable[Entry]) -> bool:
    """Whether the consumer had content, the world broke the stream off, and an exception said so."""
    if not (outcome.error and outcome.content):
        return False
    return any(
        entry.number == outcome.number and entry.content and entry.fault in _CUTTING for entry in entries
    )


def _last_fault(outcome: Outcome, entries: Sequence[Entry]) -> str:
    faults = [entry.fault for entry in entries if entry.number == outcome.number]
    return (faults[-1] or "nothing wrong") if faults else "never asked"


def _counted(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for word in words:
        counts[word] += 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _count_early(entries: Sequence[Entry]) -> int:
    """Requests that came while an earlier word of the provider to the same key still held."""
    words: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    count = 0
    for entry in entries:
        holding = words[entry.provider, entry.key]
        count += any(said + IN_FLIGHT < entry.at < until - CLOCK for said, until in holding)
        if entry.wait_until is not None and entry.answered is not None:
            holding.append((entry.answered, entry.wait_until))
    return count


def _count_repeated(entries: Sequence[Entry]) -> int:
    """Requests whose very body the same provider had turned down for good."""
    refused: set[tuple[int, str, str]] = set()
    count = 0
    for entry in entries:
        request = (entry.provider, entry.key, entry.body)
        count += request in refused
        if entry.fault in NOT_RETRYABLE:
            refused.add(request)
    return count


def _count_dead(world: World, entries: Sequence[Entry]) -> int:
    """Requests to a provider that had said that it is dead, while it is, and sooner than a probe may come."""
    last: dict[tuple[int, float], float] = {}
    count = 0
    for entry in entries:
        death = _death(world, entry)
        if death is None or entry.fault not in DEAD:
            continue
        known = last.get(death)
        if known is None:
            last[death] = entry.at if entry.answered is None else entry.answered
        elif entry.at > known + PROBE_INTERVAL:
            last[death] = entry.at
        elif entry.at > known + IN_FLIGHT:
            count += 1
    return count


def _death(world: World, entry: Entry) -> tuple[int, float] | None:
    """Which death of which provider a request met."""
    for episode in world.episodes:
        is_now = episode.provider == entry.provider and episode.start <= entry.at < episode.end
        if is_now and DEAD.intersection(episode.kinds):
            return episode.provider, episode.start
    return None
