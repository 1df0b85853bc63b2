"""Finished calls as the database keeps them: one field per column, not yet cut to the columns' sizes.

Every record has a ``position``: where in its track the event stands that completed it (see
``recording.segment``). The store uses it to write each record once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

COPIED = "ended_elsewhere"
"""Metadata key of a call whose end was noted by a forked child, or after its recorder had closed."""
FINAL = 2**62
"""Positions from here on are those of calls that their track leaves open."""
MAX_AHEAD = timedelta(hours=1)
"""How far a caller's clock may be ahead of ours."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing recorded an AI call before; an earlier time is a wrong clock."""


def is_credible(at: float, now: float) -> bool:
    """Whether a call may have begun then; both are seconds since the Unix epoch."""
    return EARLIEST.timestamp() <= at <= now + MAX_AHEAD.total_seconds()


class StepRecord(msgspec.Struct, frozen=True, gc=False):
    """One row of ``ai_error_recovery``."""

    strategy_name: str
    step_number: int
    action_taken: str
    was_successful: bool
    recovery_time_ms: int | None
    recovery_result: Mapping[str, Any]
    created_at: datetime


class Occurrence(msgspec.Struct, frozen=True, gc=False):
    """One failed attempt, to be counted under its error pattern in ``ai_error_analysis``."""

    pattern: str
    error_code: str
    message_pattern: str
    at: datetime
    probable_cause: str
    suggested_action: str
    provider: str | None = None
    model: str | None = None


class CallRecord(msgspec.Struct, frozen=True, gc=False):
    """One row of ``ai_request_logs``, with what belongs to it in the other tables.

    The columns come first, in the order of the table. Its own times are seconds since the Unix epoch;
    ``created_at`` is not a number where nobody knows when the call began.
    """

    request_id: str
    tenant_id: str | None
    module: str | None
    user_id: str | None
    task: str
    prompt_length: int
    prompt_hash: str | None
    temperature: float | None
    max_tokens: int | None
    model_requested: str | None
    provider_used: str
    provider_model: str | None
    status: str
    response_content_length: int | None
    tokens_used: int | None
    processing_time_ms: int | None
    error_message: str | None
    error_code: str | None
    retry_count: int
    fallback_used: str | None
    confidence_score: float | None
    user_feedback: str | None
    correction_applied: str | None
    request_metadata: Mapping[str, Any]
    response_metadata: Mapping[str, Any]
    created_at: float
    updated_at: float
    steps: Sequence[StepRecord] = ()
    occurrences: Sequence[Occurrence] = ()
    prompt: Any = None
    answer: str | None = None
    position: int = 0


class FeedbackRecord(msgspec.Struct, frozen=True, gc=False):
    """A change to a row of ``ai_request_logs`` that somebody's feedback makes."""

    request_id: str
    tenant_id: str | None
    user_feedback: str
    correction_applied: str | None
    at: datetime
    position: int = 0


class ContentRecord(msgspec.Struct, frozen=True, gc=False):
    """Text of a call that comes after the call itself."""

    request_id: str
    tenant_id: str | None
    prompt: Any
    answer: str | None
    at: datetime
    position: int = 0


Record = CallRecord | FeedbackRecord | ContentRecord


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written to the database in one transaction: calls first, then contents, then feedback."""

    calls: Sequence[CallRecord] = ()
    feedback: Sequence[FeedbackRecord] = ()
    contents: Sequence[ContentRecord] = ()

    @classmethod
    def of(cls, records: Sequence[Record]) -> Batch:
        """The records, each where it belongs, in their order."""
        if {*map(type, records)} == {CallRecord}:
            return cls(records)  # type: ignore[arg-type]
        return cls(
            [record for record in records if isinstance(record, CallRecord)],
            [record for record in records if isinstance(record, FeedbackRecord)],
            [record for record in records if isinstance(record, ContentRecord)],
        )

    @property
    def position(self) -> int:
        """Of the record that stands last in its track."""
        return max((record.position for record in self), default=0)

    def after(self, position: int) -> Batch:
        """What stands behind a position."""
        return Batch.of([record for record in self if record.position > position])

    def __iter__(self) -> Iterator[Record]:
        yield from self.calls
        yield from self.contents
        yield from self.feedback

    def __len__(self) -> int:
        return len(self.calls) + len(self.feedback) + len(self.contents)
