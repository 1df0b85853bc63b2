"""Query parameters that several routes share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from cajanegra.domain.call import CallStatus
from cajanegra.domain.principal import Scope
from cajanegra.storage.filters import MAX_WORDS, CallFilter, Outcome
from cajanegra.storage.reads import MAX_PAGE

MAX_HOURS = 24 * 366


def _aware(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
Moment = Annotated[datetime, AfterValidator(_aware)]
Hours = Annotated[int, Field(ge=1, le=MAX_HOURS, description="How far back, where `since` is not given.")]
Limit = Annotated[int, Field(ge=1, le=MAX_PAGE, description="At most so many.")]
Cursor = Annotated[
    Text | None, Field(None, description="Goes on where another page ended; holds for the same filters.")
]
Grouping = Literal["provider", "model", "module", "task", "tenant", "error_code", "status", "user"]


class CallQuery(BaseModel):
    """Which calls are meant; all conditions have to be met."""

    model_config = ConfigDict(extra="forbid")

    tenant_id: Annotated[Text | None, Field(description="On whose behalf.")] = None
    module: Annotated[
        Text | None, Field(description="The part of the application.", examples=["imports"])
    ] = None
    task: Annotated[Text | None, Field(description="What for.", examples=["classification"])] = None
    provider: Annotated[Text | None, Field(description="Who answered, or was asked last.")] = None
    model: Annotated[Text | None, Field(description="Asked for, or answered.")] = None
    status: Annotated[CallStatus | None, Field(description="How it ended.")] = None
    outcome: Annotated[
        Outcome | None,
        Field(description="`failed`: nobody answered; `recovered`: answered after a recovery step."),
    ] = None
    error_code: Annotated[Text | None, Field(description="Failure kind that it ended with.")] = None
    pattern: Annotated[Text | None, Field(description="Error pattern that one of its attempts met.")] = None
    user_id: Annotated[Text | None, Field(description="Who asked.")] = None
    since: Annotated[Moment | None, Field(description="Begun at or after this time; UTC without a zone.")] = (
        None
    )
    until: Annotated[Moment | None, Field(description="Begun before this time.")] = None
    min_ms: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Took at least so long.")] = None
    q: Annotated[
        Text | None,
        Field(
            max_length=MAX_WORDS, description="Words in the error message or the metadata, whatever the case."
        ),
    ] = None

    def filter(self, scope: Scope, **changes: Any) -> CallFilter:
        """The same for the database, within a scope."""
        given = {name: getattr(self, name) for name in CallQuery.model_fields}
        status = None if self.status is None else str(self.status)
        return CallFilter(scope, **{**given, "status": status, **changes})


class TimeQuery(BaseModel):
    """A time that ends now unless it is said."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[Moment | None, Field(description="From this time on; UTC without a zone.")] = None
    until: Annotated[Moment | None, Field(description="Before this time.")] = None
    hours: Hours = 24

    def window(self, now: datetime) -> tuple[datetime, datetime]:
        """Begin and end."""
        return _window(self.since, self.until, self.hours, now)


class WindowQuery(CallQuery):
    """Calls of a time that ends now unless it is said."""

    hours: Hours = 24

    def window(self, now: datetime) -> tuple[datetime, datetime]:
        """Begin and end."""
        return _window(self.since, self.until, self.hours, now)

    def in_window(self, scope: Scope) -> CallFilter:
        """The filter with the begin of the time that is meant."""
        since, _until = self.window(datetime.now(UTC))
        return self.filter(scope, since=since)


class PageQuery(CallQuery):
    """A page of a list."""

    limit: Limit = 50
    cursor: Cursor = None


def _window(
    since: datetime | None, until: datetime | None, hours: int, now: datetime
) -> tuple[datetime, datetime]:
    end = until or now
    return since or _before(end, hours), end


def _before(moment: datetime, hours: int) -> datetime:
    try:
        return moment - timedelta(hours=hours)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
