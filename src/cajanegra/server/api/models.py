"""What the routes answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cajanegra.storage.reads import CallDetail as StoredDetail
from cajanegra.storage.reads import Page


def _utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


Moment = Annotated[datetime, BeforeValidator(_utc)]
"""A time; the database's have no zone and are UTC."""

CALL: dict[str, Any] = {
    "request_id": "019a1b2c-7d3e-7f00-8a11-2233445566aa",
    "tenant_id": "acme",
    "module": "imports",
    "user_id": "u1",
    "task": "classification",
    "prompt_length": 52,
    "model_requested": "llama3.2",
    "provider_used": "openai",
    "provider_model": "gpt-4o-mini",
    "status": "fallback",
    "response_content_length": 7,
    "tokens_used": 31,
    "processing_time_ms": 640,
    "retry_count": 0,
    "fallback_used": "openai",
    "request_metadata": {"document": "2024-117"},
    "response_metadata": {"attempts": 2, "patterns": ["ollama_timeout"]},
    "created_at": "2026-11-24T12:00:00Z",
    "updated_at": "2026-11-24T12:00:01Z",
}


class Call(BaseModel):
    """One call: a row of `ai_request_logs`, under the id that its tenant gave it."""

    model_config = ConfigDict(json_schema_extra={"examples": [CALL]})

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
    status: str | None
    response_content_length: int | None
    tokens_used: int | None
    processing_time_ms: int | None
    error_message: str | None
    error_code: str | None
    retry_count: int | None
    fallback_used: str | None
    confidence_score: float | None
    user_feedback: str | None
    correction_applied: str | None
    request_metadata: Any
    response_metadata: Any
    created_at: Moment | None
    updated_at: Moment | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row; its number in the table would tell a tenant how much the others do."""
        return cls(**{name: row[name] for name in cls.model_fields if name in row})


class Step(BaseModel):
    """One recovery step: a row of `ai_error_recovery`."""

    strategy_name: str = Field(examples=["fallback"])
    step_number: int | None = Field(examples=[1])
    action_taken: str | None = Field(examples=["ollama -> openai"])
    was_successful: bool | None
    recovery_time_ms: int | None = Field(examples=[640])
    recovery_result: Any = Field(examples=[{"trigger": {"kind": "timeout", "provider": "ollama"}}])
    created_at: Moment | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row."""
        own = {name: row[name] for name in cls.model_fields if name in row}
        worked = {"true": True, "false": False}.get(str(row["was_successful"]).lower())
        return cls(**{**own, "was_successful": worked})


class ListedStep(Step):
    """A recovery step in a list, with the call that it belongs to."""

    request_id: str
    tenant_id: str | None


class CallPage(BaseModel):
    """Some calls, newest first."""

    items: list[Call]
    next_cursor: str | None = Field(
        description="Leads to older calls; `null` at the end. With filters that no index serves a page may "
        "be short, or empty, and the list still goes on as long as there is a cursor."
    )
    previous_cursor: str | None = Field(
        description="Leads to newer calls, those included that are yet to come."
    )
    scanned_until: Moment | None = Field(
        description="Up to when calls were looked at, where the time for it was over before it was full."
    )

    @classmethod
    def of(cls, page: Page) -> Self:
        """From a page of the database's rows."""
        return cls(
            items=[Call.of(row) for row in page.items],
            next_cursor=page.next_cursor,
            previous_cursor=page.previous_cursor,
            scanned_until=page.scanned_until,
        )


class Neighbours(BaseModel):
    """The calls beside one in a list; `null` where the list ends."""

    newer: str | None
    older: str | None


class Calls(BaseModel):
    """Some calls, in the order that was asked for."""

    items: list[Call]


class KnownPattern(BaseModel):
    """What is known about an error pattern."""

    pattern: str = Field(examples=["ollama_timeout"])
    error_code: str | None = Field(examples=["timeout"])
    probable_cause: str | None
    suggested_action: str | None


class CallDetail(Call):
    """One call with all that belongs to it."""

    steps: list[Step] = Field(description="Its recovery steps, in order.")
    patterns: list[KnownPattern] = Field(description="The error patterns that its attempts met.")
    prompt: Any = Field(None, description="What was asked, where content is captured.")
    answer: str | None = Field(None, description="What was answered, where content is captured.")

    @classmethod
    def of_detail(cls, found: StoredDetail) -> Self:
        """From what the database has."""
        row = found.call
        return cls(
            **{name: row[name] for name in Call.model_fields},
            steps=[Step.of(step) for step in found.steps],
            patterns=[
                KnownPattern(
                    pattern=pattern["error_pattern"], **{name: pattern[name] for name in _OF_PATTERN}
                )
                for pattern in found.patterns
            ],
            prompt=found.prompt,
            answer=found.answer,
        )


_OF_PATTERN = ("error_code", "probable_cause", "suggested_action")


class StepPage(BaseModel):
    """Some recovery steps: those of the newest calls first."""

    items: list[ListedStep]
    next_cursor: str | None = Field(description="Leads to older steps; `null` at the end.")


class Kept(BaseModel):
    """What was kept will be in the database."""

    request_id: str


class Deleted(BaseModel):
    """What a cleanup deleted."""

    calls: int
    steps: int
    contents: int
    complete: bool = Field(description="Whether all is done; else ask again, since it takes longer.")


class Rejected(BaseModel):
    """An item that was not taken."""

    index: int = Field(description="Its place in the request, from 0.")
    detail: str = Field(description="What is wrong with it.")


class Ingested(BaseModel):
    """What became of the calls that were handed in."""

    accepted: int = Field(description="Kept: they will be in the database, whatever happens to this server.")
    duplicates: int = Field(description="Known already; they change nothing.")
    rejected: list[Rejected]
