"""Which calls are meant: the filters that lists, statistics and exports share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import ColumnElement, String, and_, cast, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.domain.call import CallStatus
from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.errors import UsageError
from cajanegra.storage.fitting import fit_identity, fit_time
from cajanegra.storage.rows import GIVEN_ID
from cajanegra.storage.sums import ANSWERED
from cajanegra.storage.tables import ERROR_RECOVERY, PATTERNS, REQUEST_LOGS

Outcome = Literal["answered", "failed", "recovered"]
MAX_WORDS = 200
"""Characters of what is searched for."""

_LOGS = REQUEST_LOGS.c
_EQUAL = ("module", "task", "error_code")


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Conditions that a call has to meet, all of them; ``None`` is any.

    Attributes:
        scope: whose calls may be seen at all; whoever asks has to say it.
        tenant_id: on whose behalf.
        module: the part of the application.
        task: what the call was for.
        provider: who answered, or was asked last.
        model: the model that was asked for, or that answered.
        status: ``success``, ``fallback``, ``timeout`` or ``error``.
        outcome: ``answered``, ``failed``, or ``recovered``, which is answered after a recovery step.
        error_code: the failure kind that it ended with.
        pattern: an error pattern that one of its attempts met, or one that is merged into it.
        user_id: who asked.
        since: begun at or after this time.
        until: begun before this time.
        min_ms: took at least so many milliseconds.
        q: words in the error message or the metadata, whatever the case; at most 200 characters.
    """

    scope: Scope
    tenant_id: str | None = None
    module: str | None = None
    task: str | None = None
    provider: str | None = None
    model: str | None = None
    status: str | None = None
    outcome: Outcome | None = None
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
        return [*self.within(), *self.among(dialect).values()]

    def within(self) -> list[ColumnElement[bool]]:
        """The conditions that an index finds calls by, in the order of their times.

        Raises:
            UsageError: a value that no call can have.
        """
        if self.status is not None and self.status not in set(CallStatus):
            raise UsageError(f"{self.status!r} is not a status; choose one of {', '.join(CallStatus)}")
        found = of_scope(self.scope)
        if self.tenant_id is not None:
            found.append(_LOGS.tenant_id == fit_identity(self.tenant_id))
        if self.status is not None and not self._is_of_tenant:
            found.append(_LOGS.status == self.status)
        if self.since is not None:
            found.append(_LOGS.created_at >= fit_time(self.since))
        if self.until is not None:
            found.append(_LOGS.created_at < fit_time(self.until))
        return found

    def among(self, dialect: str) -> dict[str, ColumnElement[bool]]:
        """The conditions, by filter, for which every call has to be looked at.

        Raises:
            UsageError: too much is searched for.
        """
        found: dict[str, ColumnElement[bool]] = {
            name: _LOGS[name] == getattr(self, name) for name in _EQUAL if getattr(self, name) is not None
        }
        if self.status is not None and self._is_of_tenant:  # the index of a tenant does not have it
            found["status"] = _LOGS.status == self.status
        if self.provider is not None:
            found["provider"] = _LOGS.provider_used == self.provider
        if self.user_id is not None:
            found["user_id"] = _LOGS.user_id == fit_identity(self.user_id)
        if self.model is not None:
            found["model"] = or_(_LOGS.model_requested == self.model, _LOGS.provider_model == self.model)
        if self.min_ms is not None:
            found["min_ms"] = _LOGS.processing_time_ms >= self.min_ms
        if self.outcome is not None:
            found["outcome"] = _ended(self.outcome)
        if self.pattern is not None:
            found["pattern"] = _has_pattern(self.pattern, dialect)
        if self.q is not None:
            found["q"] = _mentions(self.q)
        return found

    @property
    def _is_of_tenant(self) -> bool:
        return self.tenant_id is not None or not isinstance(self.scope, AllTenants)


def of_scope(scope: Scope) -> list[ColumnElement[bool]]:
    """The condition that a call is in the scope; none for all tenants."""
    return [] if isinstance(scope, AllTenants) else [_LOGS.tenant_id == fit_identity(scope)]


def id_in(scope: Scope) -> ColumnElement[str]:
    """The request id that a scope knows a call by: for a tenant, whatever ids the others have."""
    if isinstance(scope, AllTenants):
        return _LOGS.request_id
    given: ColumnElement[str] = _LOGS.request_metadata[GIVEN_ID].as_string()
    return func.coalesce(given, _LOGS.request_id)


def _ended(outcome: Outcome) -> ColumnElement[bool]:
    if outcome not in get_args(Outcome):
        raise UsageError(f"{outcome!r} is not an outcome; choose one of {', '.join(get_args(Outcome))}")
    if outcome == "failed":
        return or_(_LOGS.status.is_(None), _LOGS.status.not_in(ANSWERED))
    answered = _LOGS.status.in_(ANSWERED)
    if outcome == "answered":
        return answered
    step = ERROR_RECOVERY.alias("step_of_outcome")  # the statement may have steps of its own
    steps = select(literal(1)).where(step.c.request_log_id == _LOGS.id).correlate(REQUEST_LOGS)
    return and_(answered, exists(steps))


def _has_pattern(pattern: str, dialect: str) -> ColumnElement[bool]:
    """Met the pattern, or one that is merged into it: a call keeps the names of grouping."""
    metadata = _LOGS.response_metadata
    merged = select(PATTERNS.c.pattern).where(PATTERNS.c.merged_into == pattern)
    if dialect == "postgresql":
        met = cast(metadata, JSONB)["patterns"]
        return or_(met.contains(literal([pattern], JSONB)), met.has_any(func.array(merged.scalar_subquery())))
    each = func.json_each(metadata, "$.patterns").table_valued("value")
    found = (each.c.value == pattern) | each.c.value.in_(merged)
    return exists(select(literal(1)).select_from(each).where(found))


def _mentions(words: str) -> ColumnElement[bool]:
    if len(words) > MAX_WORDS:
        raise UsageError(f"at most {MAX_WORDS} characters can be searched for, not {len(words)}")
    columns = (
        _LOGS.error_message,
        cast(_LOGS.request_metadata, String),
        cast(_LOGS.response_metadata, String),
    )
    return or_(*(func.lower(column).contains(words.lower(), autoescape=True) for column in columns))
