"""``/errors`` and what is below it: what fails and why, what has helped, and what is decided about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from cajanegra.bootstrap import correctable
from cajanegra.domain.call import Strategy
from cajanegra.domain.correction import Correction, Models, correction_of, strategies_for
from cajanegra.domain.outcome import achievements
from cajanegra.domain.principal import AllTenants
from cajanegra.errors import UsageError
from cajanegra.server.access import Access, Admin, Reader
from cajanegra.server.api.conditional import NOT_MODIFIED, ConditionalRoute
from cajanegra.server.api.error_models import (
    Choices,
    ErrorDetail,
    ErrorPage,
    ErrorPattern,
    Hour,
    Hours,
    ListedPattern,
)
from cajanegra.server.api.models import Call
from cajanegra.server.api.queries import Cursor, Limit, Text, TimeQuery
from cajanegra.server.api.recovery_models import Remedies, Remedy
from cajanegra.server.problems import ProblemError, responses
from cajanegra.storage import corrections, pattern_changes, pattern_detail, pattern_figures, patterns, reads
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.outcomes import outcomes_of
from cajanegra.storage.pattern_detail import PatternDetail
from cajanegra.storage.pattern_query import PatternRow
from cajanegra.storage.reads import SCAN_STEP, SCANNING

SAMPLES = 10
"""Calls that are shown with a pattern."""
LOOKED_AT = 200_000
"""Recovery steps among which those of a pattern are looked for: the newest."""

router = APIRouter(route_class=ConditionalRoute, tags=["errors"])

Name = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[^\x00]*$", examples=["ollama_timeout"])]
Status = Literal["open", "resolved", "wontfix"]
Lang = Annotated[
    Literal["en", "es"] | None,
    Query(description="The language of cause and action, where they are known in it; default is as stored."),
]


class ErrorQuery(BaseModel):
    """Which error patterns, in which order."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[Status | None, Field(description="What was decided about it.")] = None
    mark: Annotated[
        Literal["regressed", "new", "escalating", "quiet"] | None, Field(description="What is said of it.")
    ] = None
    provider: Annotated[Text | None, Field(description="One of whose failures was this provider's.")] = None
    kind: Annotated[Text | None, Field(description="Failure kind.")] = None
    text: Annotated[
        Text | None, Field(max_length=200, description="In name, cause or action, whatever the case.")
    ] = None
    sort: Literal["count", "last", "first", "trend"] = "count"
    lang: Lang = None
    limit: Limit = 50
    cursor: Cursor = None


class Decision(BaseModel):
    """What is decided about an error pattern; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "minProperties": 1,
            "examples": [
                {"status": "resolved"},
                {"correction": "fallback", "correction_config": {"provider": "openai"}},
                {"correction": None},
                {"merged_into": "openai_timeout"},
            ],
        },
    )

    status: Status | None = None
    correction: Annotated[
        Strategy | None,
        Field(description="The strategy that is tried before all else from now on; `null` takes it back."),
    ] = None
    correction_config: Annotated[
        dict[str, Any] | None,
        Field(
            description="How. Of `retry`: `wait` (seconds), `retries`; of `fallback`: `provider`, `model`; "
            "of `simplify`: `max_tokens`, `context_window`, `remove`."
        ),
    ] = None

    merged_into: Annotated[
        Text | None,
        Field(description="The pattern under which its failures are counted; `null` is its own name again."),
    ] = None

    @model_validator(mode="after")
    def _decides_something(self) -> Self:
        if self.correction_config is not None and self.correction is None:
            raise PydanticCustomError("half", "correction_config needs its strategy: give correction, too")
        if self.status is None and not self.is_about_correction and not self.is_about_merging:
            raise PydanticCustomError("empty", "nothing is decided: give status, correction, or merged_into")
        return self

    @property
    def is_about_merging(self) -> bool:
        """Whether the pattern is to be merged, or split."""
        return "merged_into" in self.model_fields_set

    @property
    def is_about_correction(self) -> bool:
        """Whether a correction is given, or taken back."""
        return "correction" in self.model_fields_set


@router.get("/errors", responses=NOT_MODIFIED)
def list_error_patterns(access: Reader, query: Annotated[ErrorQuery, Query()]) -> ErrorPage:
    """What fails, how often, why, and what to do: one entry for each root cause.

    A tenant sees the patterns that its own calls met, with its own counts.
    """
    where = patterns.PatternFilter(
        access.scope,
        status=query.status,
        mark=query.mark,
        provider=query.provider,
        kind=query.kind,
        text=query.text,
    )
    now = datetime.now(UTC)
    found = patterns.page(
        access.reads, where, now=now, sort=query.sort, limit=query.limit, cursor=query.cursor
    )
    places = pattern_figures.places(access.reads, access.scope, [row.error_pattern for row in found.items])
    return ErrorPage(
        items=[
            ListedPattern.of_listed(
                ErrorPattern.of(row, _tenant(access), query.lang), places[row.error_pattern]
            )
            for row in found.items
        ],
        next_cursor=found.next_cursor,
        by_status=dict(pattern_figures.by_status(access.reads, where, now)),
    )


@router.get("/errors/{pattern}", responses={**responses(404), **NOT_MODIFIED})
def show_error_pattern(access: Reader, pattern: Name, lang: Lang = None) -> ErrorDetail:
    """One error pattern: whom and what it hits, what recovered it, and the latest calls that met it."""
    return _shown(access, pattern, lang)


@router.get("/errors/{pattern}/hours", responses={**responses(404), **NOT_MODIFIED})
def show_hours_of_error_pattern(access: Reader, pattern: Name, query: Annotated[TimeQuery, Query()]) -> Hours:
    """Its failures in each hour; kept for 30 days."""
    _found(access, pattern)
    since, until = query.window(datetime.now(UTC))
    points = pattern_figures.hours(access.reads, access.scope, pattern, since=since, until=until)
    return Hours(points=[Hour(start=start, failures=failures) for start, failures in points])


@router.get("/errors/{pattern}/remedies", responses={**responses(404), **NOT_MODIFIED})
def show_remedies_of_error_pattern(access: Reader, pattern: Name) -> Remedies:
    """What was tried against it, how often that worked, how long it took, and what it cost.

    Of the latest 10,000 steps that its failures made necessary, among the newest 200,000 of all.
    """
    found = _found(access, pattern)
    names = [found.pattern.error_pattern, *found.merged]
    steps = outcomes_of(access.reads, access.scope, names, scan=LOOKED_AT)
    return Remedies(items=[Remedy.of(one) for one in achievements(steps)])


@router.patch("/errors/{pattern}", responses=responses(404))
def decide_about_error_pattern(access: Admin, pattern: Name, decision: Decision) -> ErrorDetail:
    """Resolve a pattern, open it again, give it up, or correct its failures; needs a key for all tenants.

    A resolved pattern that a call meets which begins later is opened again, and marked as regressed.
    A correction is obeyed by every process that makes calls within 5 seconds, as far as deadline, attempts
    and what the provider asked for permit; one that cannot be obeyed is refused, and nothing is changed.
    """
    if not isinstance(access.principal.scope, AllTenants):
        raise ProblemError(403, "patterns are shared by all tenants; this needs a key for all tenants")
    kind = _found(access, pattern).pattern.error_code
    now, by = datetime.now(UTC), access.principal.name or None
    if decision.is_about_correction:
        correction = _meant(access, decision, kind)
        corrections.set_correction(access.database, pattern, correction, now, by=by)
    if decision.status is not None:
        pattern_changes.set_status(access.database, pattern, decision.status, now, by=by)
    if decision.merged_into is not None:
        _found(access, decision.merged_into)
        pattern_changes.merge(access.database, pattern, decision.merged_into, now, by=by)
    elif decision.is_about_merging:
        pattern_changes.split(access.database, pattern, now, by=by)
    return _shown(access, pattern, None)


def _meant(access: Access, decision: Decision, kind: str | None) -> Correction | None:
    if decision.correction is None:
        return None
    models = correctable(access.context.settings)
    return correction_of(decision.correction, decision.correction_config, kind=kind, models=models)


def _shown(access: Access, pattern: str, lang: Lang) -> ErrorDetail:
    found = _found(access, pattern)
    row = found.pattern
    # A tenant's own are looked for among its calls: how many of them are linked depends on the others.
    where = CallFilter(access.scope, pattern=row.error_pattern)
    samples = reads.calls(access.database, where, limit=SAMPLES, scan=SCAN_STEP, seconds=SCANNING).items
    models = correctable(access.context.settings)
    return ErrorDetail.of_pattern(
        found,
        ErrorPattern.of(row, _tenant(access), lang),
        [Call.of(call) for call in samples],
        choices=Choices(
            strategies=[str(strategy) for strategy in strategies_for(row.error_code)],
            providers={name: sorted(served) for name, served in models.items()},
        ),
        correction_fault=_fault(row, models),
    )


def _fault(row: PatternRow, models: Models) -> str | None:
    """Why a correction that somebody wrote into the table is ignored."""
    if not row.auto_correction_enabled:
        return None
    try:
        correction_of(row.auto_correction_enabled, row.correction_config, kind=row.error_code, models=models)
    except UsageError as error:
        return str(error)
    return None


def _found(access: Access, pattern: str) -> PatternDetail:
    try:
        return pattern_detail.detail(access.database, access.scope, pattern, now=datetime.now(UTC), samples=0)
    except UsageError:
        raise ProblemError(404, "there is no error pattern of this name") from None


def _tenant(access: Access) -> Any:
    return None if isinstance(access.scope, AllTenants) else access.scope
