"""What a batch of calls adds to the counters of error patterns, or takes from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from cajanegra.domain.record import MAX_AHEAD, Occurrence
from cajanegra.domain.trend import hour_of
from cajanegra.storage.calls import Written, WrittenCall
from cajanegra.storage.met import Met, met_now

MAX_VALUES = 50
"""Different modules, models and so on of one pattern and tenant that are counted of one batch."""


@dataclass(slots=True)
class Tally:
    """What is added to one row, or taken from it where a number is negative.

    Attributes:
        first: the earliest failure.
        last: the latest failure.
        failures: how many more.
        recovered: how many more of calls that were answered in the end.
    """

    first: datetime
    last: datetime
    failures: int = 0
    recovered: int = 0

    def add(self, at: datetime, failures: int, recovered: int) -> None:
        """Count failures; ``at`` is when one of them was."""
        self.failures += failures
        self.recovered += recovered
        if at < self.first:
            self.first = at
        elif at > self.last:
            self.last = at


class Link(NamedTuple):
    """A call that met a pattern, and when it last did."""

    call: WrittenCall
    tenant_id: str
    at: datetime


@dataclass(slots=True)
class PatternTallies:
    """What a batch adds to one pattern.

    Attributes:
        total: in all.
        by_tenant: the same by tenant.
        by_hour: failures by tenant and hour.
        by_facet: the same by tenant, facet and value.
        sample: one of the failures; ``None`` where some are only taken away.
        begun: by tenant, when the latest of the calls began that met it, in seconds since the Unix epoch;
            nothing where that is not known.
        links: the calls that met it, by their names.
    """

    total: Tally
    by_tenant: dict[str, Tally] = field(default_factory=dict)
    by_hour: dict[tuple[str, datetime], int] = field(default_factory=dict)
    by_facet: dict[tuple[str, str, str], Tally] = field(default_factory=dict)
    sample: Occurrence | None = None
    begun: dict[str, float] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)

    def add(self, met: Met, sign: int) -> None:
        """Count a failure, or take it away again."""
        recovered = sign if met.strategy else 0
        tenant, hour = met.tenant_id, (met.tenant_id, hour_of(met.at))
        self.total.add(met.at, sign, recovered)
        self.by_tenant.setdefault(tenant, Tally(met.at, met.at)).add(met.at, sign, recovered)
        self.by_hour[hour] = self.by_hour.get(hour, 0) + sign
        for facet, value in (
            ("provider", met.provider),
            ("model", met.model),
            ("module", met.module),
            ("strategy", met.strategy),
        ):
            if value:
                key = (tenant, facet, value)
                self.by_facet.setdefault(key, Tally(met.at, met.at)).add(met.at, sign, recovered)

    def link(self, call: WrittenCall, met: Met, latest: float) -> None:
        """Note that a call met it; one that began after ``latest`` has a wrong clock."""
        known = self.links.get(call.name)
        if known is None or known.at < met.at:
            self.links[call.name] = Link(call, met.tenant_id, met.at)
        if self.begun.get(met.tenant_id, 0.0) < call.record.created_at <= latest:
            self.begun[met.tenant_id] = call.record.created_at

    def facets(self) -> Iterable[tuple[tuple[str, str, str], Tally]]:
        """What is added by tenant, facet and value: the most frequent values, where there are very many."""
        counts: dict[tuple[str, str], int] = {}
        for key, tally in sorted(self.by_facet.items(), key=lambda item: (-item[1].failures, item[0])):
            counts[key[:2]] = counts.get(key[:2], 0) + 1
            if counts[key[:2]] <= MAX_VALUES:
                yield key, tally


def tally(written: Written, now: datetime) -> dict[str, PatternTallies]:
    """What was written, by pattern, less the failures that were counted for an end that was replaced."""
    found: dict[str, PatternTallies] = {}
    latest = (now + MAX_AHEAD).timestamp()

    def of(met: Met) -> PatternTallies:
        known = found.get(met.pattern)
        if known is None:
            known = found[met.pattern] = PatternTallies(Tally(met.at, met.at))
        return known

    for call in written.fuller:
        if not call.record.occurrences:
            continue
        for occurrence, met in zip(call.record.occurrences, met_now(call.record, now), strict=True):
            tallies = of(met)
            tallies.add(met, 1)
            tallies.link(call, met, latest)
            tallies.sample = tallies.sample or occurrence
    for earlier in written.replaced.values():
        for met in earlier:
            of(met).add(met, -1)
    return dict(sorted(found.items()))
