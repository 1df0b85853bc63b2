"""What the routes of the error inbox answer."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, Field

from cajanegra.analysis.knowledge import Language, translated
from cajanegra.ports import Explanation
from cajanegra.server.api.models import Call, Moment
from cajanegra.storage.pattern_detail import PatternDetail
from cajanegra.storage.pattern_figures import Places
from cajanegra.storage.pattern_query import PatternRow


class Trend(BaseModel):
    """The last hours of a pattern beside the same hours of the days before."""

    recent: int = Field(description="Failures in the last 6 hours.")
    expected: float | None = Field(description="Usual in these hours; `null` where nothing is usual yet.")
    score: float = Field(description="How far above that it is, in standard deviations.")


class ErrorPattern(BaseModel):
    """Failures of one root cause."""

    pattern: str = Field(examples=["ollama_timeout"])
    error_code: str | None = Field(description="Failure kind.", examples=["timeout"])
    message_pattern: str | None = Field(
        description="The message, with `<*>` for what varies; `null` for a tenant: others may have met it."
    )
    status: str = Field(description="`open`, `resolved` or `wontfix`.", examples=["open"])
    resolved_at: Moment | None = Field(description="`null` for a tenant.")
    marks: list[str] = Field(description="`regressed`, `new`, `escalating`, `quiet`.", examples=[["new"]])
    count: int = Field(description="Failures; for a tenant its own, as are the times and hours.")
    recovered: int = Field(description="Failures of calls that were answered in the end.")
    first_occurred: Moment | None
    last_occurred: Moment | None
    probable_cause: str | None
    suggested_action: str | None
    correction: str | None = Field(description="The strategy that is enabled for it.", examples=["fallback"])
    correction_config: Any = Field(examples=[{"provider": "openai"}])
    hours: list[int] = Field(description="Failures of the last 24 hours; the last is the current hour.")
    trend: Trend

    @classmethod
    def of(cls, row: PatternRow, tenant: str | None, language: Language | None = None) -> Self:
        """From what the database has, as a tenant may see it, in a language where that is known."""
        trend = row.trend
        cause, action = row.probable_cause, row.suggested_action
        if language is not None and cause is not None and action is not None:
            words = translated(Explanation(cause, action), language)
            cause, action = words.probable_cause, words.suggested_action
        return cls(
            pattern=row.error_pattern,
            error_code=row.error_code,
            message_pattern=row.error_message_pattern if tenant is None else None,
            status=row.resolution_status,
            resolved_at=row.resolved_at if tenant is None else None,
            marks=list(row.marks),
            count=row.occurrence_count,
            recovered=row.recovered,
            first_occurred=row.first_occurred,
            last_occurred=row.last_occurred,
            probable_cause=cause,
            suggested_action=action,
            correction=row.auto_correction_enabled,
            correction_config=row.correction_config,
            hours=list(row.hours),
            trend=Trend(recent=trend.recent, expected=trend.expected, score=trend.score),
        )


class ListedPattern(ErrorPattern):
    """An error pattern in a list, with whom it hits."""

    tenants_in_all: int = Field(description="Tenants that met it.")
    models: dict[str, int] = Field(description="Failures by model, the most first; 3 at most.")
    models_in_all: int

    @classmethod
    def of_listed(cls, pattern: ErrorPattern, places: Places) -> Self:
        """From what the database has."""
        return cls(
            **dict(pattern),
            tenants_in_all=places.tenants,
            models=places.models,
            models_in_all=places.models_in_all,
        )


class ErrorPage(BaseModel):
    """Some error patterns."""

    items: list[ListedPattern]
    next_cursor: str | None = Field(description="Leads to the next ones; `null` at the end.")
    by_status: dict[str, int] = Field(
        description="How many there are of each status, whatever `status` and `mark` ask for.",
        examples=[{"open": 4, "resolved": 2}],
    )


class Hour(BaseModel):
    """The failures of one hour."""

    start: Moment
    failures: int


class Hours(BaseModel):
    """Failures of an error pattern over time."""

    points: list[Hour] = Field(description="Every hour, those without failures included; at most 31 days.")


class Choices(BaseModel):
    """What may be enabled as a correction."""

    strategies: list[str] = Field(description="Those that failures of this kind may be treated with.")
    providers: dict[str, list[str]] = Field(
        description="Whom a fallback may name, with the models; without models, any."
    )


class TenantCount(BaseModel):
    """What one tenant met of a pattern."""

    tenant_id: str | None
    failures: int
    recovered: int
    first_occurred: Moment
    last_occurred: Moment


class Change(BaseModel):
    """What was decided about a pattern, or happened to it."""

    pattern: str
    change: str = Field(examples=["status"])
    before: str | None
    after: str | None
    changed_by: str | None
    changed_at: Moment


class ErrorDetail(ErrorPattern):
    """An error pattern with all that belongs to it; for a tenant, of its own calls."""

    merged: list[str] = Field(description="Other names that count under it.")
    grouping_version: int | None = Field(description="The version of grouping that counted last.")
    correction_fault: str | None = Field(
        description="Why the correction is ignored, where it makes no sense."
    )
    choices: Choices
    tenants: list[TenantCount] = Field(description="Whom it hit, the most failures first; 50 at most.")
    tenants_in_all: int
    providers: dict[str, int] = Field(description="Failures by provider; likewise models and modules.")
    models: dict[str, int]
    modules: dict[str, int]
    recovered_by: dict[str, int] = Field(description="By the strategy that got the answer in the end.")
    calls: list[Call] = Field(description="The latest calls that met it; 10 at most.")
    changes: list[Change] = Field(description="Its history, the latest first; empty for a tenant.")

    @classmethod
    def of_pattern(
        cls,
        found: PatternDetail,
        pattern: ErrorPattern,
        calls: list[Call],
        *,
        choices: Choices,
        correction_fault: str | None,
    ) -> Self:
        """From what the database has, of which the pattern is as whoever asks may see it."""
        return cls(
            **dict(pattern),
            merged=list(found.merged),
            grouping_version=found.grouping_version,
            correction_fault=correction_fault,
            choices=choices,
            tenants=[
                TenantCount(
                    tenant_id=one.tenant_id or None,
                    failures=one.failures,
                    recovered=one.recovered,
                    first_occurred=one.first_occurred,
                    last_occurred=one.last_occurred,
                )
                for one in found.tenants
            ],
            tenants_in_all=found.tenants_in_all,
            providers=dict(found.providers),
            models=dict(found.models),
            modules=dict(found.modules),
            recovered_by=dict(found.recovered_by),
            calls=calls,
            changes=[
                Change(
                    pattern=one.pattern,
                    change=one.change,
                    before=one.before,
                    after=one.after,
                    changed_by=one.changed_by,
                    changed_at=one.changed_at,
                )
                for one in found.changes
            ],
        )
