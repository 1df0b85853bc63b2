"""What a demonstration's database says of it: the figures that the report shows and ``--json`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.domain.call import Strategy
from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.storage import patterns, reads, statistics
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.recoveries import remedies

if TYPE_CHECKING:
    from cajanegra.demo.run import Run
    from cajanegra.storage.database import Database


@dataclass(frozen=True, slots=True)
class Pattern:
    """The failures of one pattern."""

    pattern: str
    failures: int
    cause: str | None
    action: str | None


@dataclass(frozen=True, slots=True)
class Effect:
    """What the steps of one strategy achieved; times in milliseconds, wait and attempt together."""

    strategy: str
    steps: int
    successes: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Calls that nobody answered, for one reason."""

    error_code: str
    provider: str
    calls: int
    action: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole demonstration.

    Attributes:
        asked: calls that were made.
        recorded: those of them that are in the database.
        missing: the request ids of the others.
        by_status: recorded calls per status.
        first_attempt: calls whose first attempt was answered.
        recovered: calls that were answered after a failure.
        examples: request ids worth a look: for each strategy a call that it answered, and an unanswered one.
        findings: errors that the simulator holds against the client.
    """

    asked: int
    recorded: int
    missing: Sequence[str]
    seconds: float
    by_status: Mapping[str, int]
    first_attempt: int
    recovered: int
    patterns: Sequence[Pattern]
    effects: Sequence[Effect]
    unanswered: Sequence[Unanswered]
    examples: Mapping[str, str]
    findings: Sequence[str]

    @property
    def answered(self) -> int:
        """Calls that were answered, with or without recovery."""
        return self.first_attempt + self.recovered

    @property
    def failures(self) -> int:
        """Attempts that failed."""
        return sum(pattern.failures for pattern in self.patterns)

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON, shares included."""
        return asdict(self) | {
            "answered": self.answered,
            "failures": self.failures,
            "answered_share": share(self.answered, self.recorded),
            "answered_share_without_recovery": share(self.first_attempt, self.recorded),
        }


def share(part: int, whole: int) -> float | None:
    """A part as a share of the whole, 0 to 1."""
    return round(part / whole, 4) if whole else None


def pattern_counts(database: Database) -> Mapping[str, int]:
    """How often each pattern was met so far."""
    return {row.error_pattern: row.occurrence_count for row in _rows(database)}


def summarise(database: Database, run: Run, before: Mapping[str, int]) -> Summary:
    """What the database says of a demonstration.

    Args:
        database: the demonstration's.
        run: the demonstration.
        before: ``pattern_counts`` of the same database before it.
    """
    where = CallFilter(ALL_TENANTS, since=run.begun_at)
    rows = [row for row in reads.iterate(database, where) if row["request_id"] in set(run.request_ids)]
    recorded = {row["request_id"] for row in rows}
    found = statistics.statistics(database, where)
    return Summary(
        asked=len(run.request_ids),
        recorded=len(recorded),
        missing=[request_id for request_id in run.request_ids if request_id not in recorded],
        seconds=run.seconds,
        by_status=found.by_status,
        first_attempt=found.answered - found.recovered,
        recovered=found.recovered,
        patterns=_patterns(database, before),
        effects=[
            Effect(row.strategy_name, row.steps, row.successes, row.p50_ms, row.p95_ms)
            for row in remedies(database, where, by_pattern=False).remedies
        ],
        unanswered=_unanswered(rows),
        examples=_examples(database, rows),
        findings=run.findings,
    )


def _patterns(database: Database, before: Mapping[str, int]) -> list[Pattern]:
    found = [
        Pattern(row.error_pattern, count, row.probable_cause, row.suggested_action)
        for row in _rows(database)
        if (count := row.occurrence_count - before.get(row.error_pattern, 0))
    ]
    return sorted(found, key=lambda pattern: (-pattern.failures, pattern.pattern))


def _rows(database: Database) -> Iterator[patterns.PatternRow]:
    return patterns.iterate(database, patterns.PatternFilter(ALL_TENANTS), now=datetime.now(UTC))


def _unanswered(rows: Sequence[Mapping[str, Any]]) -> list[Unanswered]:
    knowledge = KnowledgeBase()
    failed = [(row["error_code"], row["provider_used"]) for row in rows if row["error_code"]]
    return [
        Unanswered(code, provider, count, knowledge.explain(provider, code).suggested_action)
        for (code, provider), count in Counter(failed).most_common()
    ]


def _examples(database: Database, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    """For each strategy a call that it answered, and one that nobody answered."""
    found: dict[str, str] = {}
    for row in rows:
        if row["error_code"]:
            found.setdefault("unanswered", row["request_id"])
        elif row["response_metadata"].get("attempts", 1) > 1 and len(found.keys() - {"unanswered"}) < len(
            Strategy
        ):
            detail = reads.call(database, ALL_TENANTS, row["request_id"])
            if detail is not None and detail.steps:
                found.setdefault(detail.steps[-1]["strategy_name"], row["request_id"])
    return dict(sorted(found.items()))
