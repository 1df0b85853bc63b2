"""How long calls are kept: rules by status, module and tenant, as conditions on their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, literal, or_, true

from cajanegra.errors import UsageError
from cajanegra.storage import holds
from cajanegra.storage.fitting import fit_identity, fit_time
from cajanegra.storage.tables import REQUEST_LOGS

_LOGS = REQUEST_LOGS.c


@dataclass(frozen=True, slots=True)
class Rule:
    """Calls that are kept for another time than the others; what is ``None`` may be anything.

    Attributes:
        keep: for how long.
        tenant_id: only this tenant's.
        module: only those of this part of the application.
        statuses: only those that ended so; empty is any.
    """

    keep: timedelta
    tenant_id: str | None = None
    module: str | None = None
    statuses: Sequence[str] = ()

    def condition(self) -> ColumnElement[bool]:
        """Whether it is for a call."""
        found: list[ColumnElement[bool]] = []
        if self.tenant_id is not None:
            found.append(_LOGS.tenant_id == fit_identity(self.tenant_id))
        if self.module is not None:
            found.append(_LOGS.module == self.module)
        if self.statuses:
            found.append(_LOGS.status.in_(self.statuses))
        return and_(true(), *found)


@dataclass(frozen=True, slots=True)
class Policy:
    """How long everything is kept.

    Attributes:
        keep: calls for which there is no rule.
        rules: for other calls; the first that fits decides.
        contents: prompts and answers; ``None``: as long as their call.
        samples: which calls met a pattern; ``None``: as long as the call.
        rollups: counts by the hour and day; ``None``: for good.
    """

    keep: timedelta
    rules: Sequence[Rule] = ()
    contents: timedelta | None = None
    samples: timedelta | None = None
    rollups: timedelta | None = None

    def __post_init__(self) -> None:
        given = (self.keep, *(rule.keep for rule in self.rules), self.contents, self.samples, self.rollups)
        for one in given:
            if one is not None and one < timedelta(0):
                raise UsageError(f"days must be 0 or more, not {one.days}")

    def expired(self, now: datetime) -> ColumnElement[bool]:
        """Whether a call is too old, and nobody holds it. A call without a time never is."""
        at, latest = _LOGS.created_at, self.latest(now)
        if not self.rules:
            return and_(at < latest, holds.is_free())
        # The first condition is what an index finds.
        return and_(at < latest, at < self._cutoff(now), holds.is_free())

    def survives(self, now: datetime) -> ColumnElement[bool]:
        """The contrary, for calls with a time."""
        return or_(at_or_after(self._cutoff(now)), ~holds.is_free())

    def is_over(self, until: datetime, now: datetime) -> bool:
        """Whether no rule keeps a call that was begun before ``until``, which is without a zone."""
        return all(until <= _naive(now - keep) for keep in self._keeps())

    def may_be_over(self, until: datetime, now: datetime) -> bool:
        """Whether some rule does not."""
        return until <= self.latest(now)

    def latest(self, now: datetime) -> datetime:
        """The time before which calls may be deleted, and from which on none is; without a zone."""
        return _naive(now - min(self._keeps()))

    def _keeps(self) -> list[timedelta]:
        return [self.keep, *(rule.keep for rule in self.rules)]

    def _cutoff(self, now: datetime) -> ColumnElement[datetime]:
        otherwise = literal(fit_time(now - self.keep), _LOGS.created_at.type)
        if not self.rules:
            return otherwise
        cutoffs = [
            (rule.condition(), literal(fit_time(now - rule.keep), _LOGS.created_at.type))
            for rule in self.rules
        ]
        return case(*cutoffs, else_=otherwise)


def at_or_after(cutoff: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Whether a call was begun then or later."""
    return _LOGS.created_at >= cutoff


def _naive(at: datetime) -> datetime:
    found = fit_time(at)
    assert found is not None  # noqa: S101 - it is a time
    return found
