"""Which calls are meant: the filters that lists, statistics and exports share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, String, cast, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.domain.call import CallStatus
from cajanegra.errors import UsageError
from cajanegra.storage.fitting import fit_identity, fit_time
from cajanegra.storage.tables import REQUEST_LOGS

_LOGS = REQUEST_LOGS.c
_EQUAL = ("module", "task", "status", "error_code")
_IDENTITIES = ("tenant_id", "user_id")


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Conditions that a call has to meet, all of them; ``None`` is any.

    Attributes:
        tenant_id: on whose behalf.
        module: the part of the application.
        task: what the call was for.
        provider: who answered, or was asked last.
        model: the model that was asked for, or that answered.
        status: ``success``, ``fallback``, ``timeout`` or ``error``.
        error_code: the failure kind that it ended with.
        pattern: an error pattern that one of its attempts met.
        user_id: who asked.
        since: begun at or after this time.
        until: begun before this time.
        min_ms: took at least so many milliseconds.
        q: words in the error message or the metadata, whatever the case.
    """

    tenant_id: str | None = None
    module: str | None = None
    task: str | None = None
    provider: str | None = None
    model: str | None = None
    status: str | None = None
    error_code: str | None = None
    pattern: str | None = None
    user_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    min_ms: int | None = None
    q: str | None = None

    def conditions(self, dialect: str) -> list[ColumnElement[bool]]:
        """The filter as SQL conditions on ``ai_request_logs``.

        Raises:
            UsageError: a value that no call can have.
        """
        if self.status is not None and self.status not in set(CallStatus):
            raise UsageError(f"{self.status!r} is not a status; choose one of {', '.join(CallStatus)}")
        equal = {name: getattr(self, name) for name in _EQUAL}
        equal |= {name: fit_identity(getattr(self, name)) for name in _IDENTITIES}
        equal["provider_used"] = self.provider
        found = [_LOGS[name] == value for name, value in equal.items() if value is not None]
        if self.model is not None:
            found.append(or_(_LOGS.model_requested == self.model, _LOGS.provider_model == self.model))
        if self.since is not None:
            found.append(_LOGS.created_at >= fit_time(self.since))
        if self.until is not None:
            found.append(_LOGS.created_at < fit_time(self.until))
        if self.min_ms is not None:
            found.append(_LOGS.processing_time_ms >= self.min_ms)
        if self.pattern is not None:
            found.append(_has_pattern(self.pattern, dialect))
        if self.q is not None:
            found.append(_mentions(self.q))
        return found


def _has_pattern(pattern: str, dialect: str) -> ColumnElement[bool]:
    metadata = _LOGS.response_metadata
    if dialect == "postgresql":
        return cast(metadata, JSONB)["patterns"].contains(literal([pattern], JSONB))
    each = func.json_each(metadata, "$.patterns").table_valued("value")
    return exists(select(literal(1)).select_from(each).where(each.c.value == pattern))


def _mentions(words: str) -> ColumnElement[bool]:
    columns = (
        _LOGS.error_message,
        cast(_LOGS.request_metadata, String),
        cast(_LOGS.response_metadata, String),
    )
    return or_(*(func.lower(column).contains(words.lower(), autoescape=True) for column in columns))
