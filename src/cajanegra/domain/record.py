"""Finished calls as the database keeps them: one field per column, not yet cut to the columns' sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One row of ``ai_error_recovery``."""

    strategy_name: str
    step_number: int
    action_taken: str
    was_successful: bool
    recovery_time_ms: int | None
    recovery_result: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One failed attempt, to be counted under its error pattern in ``ai_error_analysis``."""

    pattern: str
    error_code: str
    message_pattern: str
    at: datetime
    probable_cause: str
    suggested_action: str


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One row of ``ai_request_logs``, with what belongs to it in the other tables. Times are aware, UTC."""

    request_id: str
    task: str
    provider_used: str
    status: str
    created_at: datetime
    updated_at: datetime
    tenant_id: str | None = None
    module: str | None = None
    user_id: str | None = None
    prompt_length: int = 0
    prompt_hash: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    model_requested: str | None = None
    provider_model: str | None = None
    response_content_length: int | None = None
    tokens_used: int | None = None
    processing_time_ms: int | None = None
    error_message: str | None = None
    error_code: str | None = None
    retry_count: int = 0
    fallback_used: str | None = None
    confidence_score: float | None = None
    user_feedback: str | None = None
    correction_applied: str | None = None
    request_metadata: Mapping[str, Any] = field(default_factory=dict)
    response_metadata: Mapping[str, Any] = field(default_factory=dict)
    steps: Sequence[StepRecord] = ()
    occurrences: Sequence[Occurrence] = ()
    prompt: Any = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """A change to a row of ``ai_request_logs`` that somebody's feedback makes."""

    request_id: str
    tenant_id: str | None
    user_feedback: str
    correction_applied: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written to the database in one transaction: calls first, then feedback."""

    calls: Sequence[CallRecord] = ()
    feedback: Sequence[FeedbackRecord] = ()
