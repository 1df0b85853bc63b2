"""Which error patterns are meant, with the counts that whoever asks may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, exists, func, literal, or_, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.expression import FromClause

from cajanegra.domain import trend as trends
from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.domain.trend import Mark, Trend
from cajanegra.storage.fitting import fit_identity, fit_time
from cajanegra.storage.pattern_changes import known_status
from cajanegra.storage.pattern_names import members
from cajanegra.storage.tables import ERROR_ANALYSIS, PATTERN_FACETS, PATTERN_HOURS, PATTERN_TENANTS, PATTERNS

SHOWN_HOURS = 24
_NEVER = datetime(1970, 1, 1)  # noqa: DTZ001 - times are stored in UTC without saying so

_ANALYSIS = ERROR_ANALYSIS.c
_OWN = PATTERNS.c
_TEXTS_FOR_ALL = (_ANALYSIS.error_pattern, _ANALYSIS.probable_cause, _ANALYSIS.suggested_action)
_TEXTS = (*_TEXTS_FOR_ALL, _ANALYSIS.error_message_pattern)
"""The message is that of whoever met the pattern first, which is no other tenant's to read."""


class PatternFilter(msgspec.Struct, frozen=True):
    """Conditions that a pattern has to meet, all of them; ``None`` is any.

    Attributes:
        scope: who asks: a tenant is shown what its own calls met, with counts, times and marks of their own.
        status: ``open``, ``resolved`` or ``wontfix``.
        mark: ``regressed``, ``new``, ``escalating`` or ``quiet``.
        provider: one of whose failures was this provider's.
        kind: the failure kind.
        text: words in name, message, cause or action, whatever the case.
    """

    scope: Scope
    status: str | None = None
    mark: str | None = None
    provider: str | None = None
    kind: str | None = None
    text: str | None = None


class PatternRow(msgspec.Struct, frozen=True, kw_only=True):
    """An error pattern; what the guide's table has is named as its columns. Times are UTC without a zone.

    Attributes:
        occurrence_count: failures.
        recovered: failures of calls that were answered in the end.
        marks: what is to be said of it now, the most urgent first.
        hours: failures of the last 24 hours, oldest first; the last is the current hour.
        trend: the last hours beside what is usual.
    """

    error_pattern: str
    error_code: str | None
    error_message_pattern: str
    occurrence_count: int
    recovered: int
    first_occurred: datetime | None
    last_occurred: datetime | None
    probable_cause: str | None
    suggested_action: str | None
    resolution_status: str
    resolved_at: datetime | None
    regressed_at: datetime | None
    auto_correction_enabled: str | None
    correction_config: Any
    marks: tuple[Mark, ...]
    hours: tuple[int, ...]
    trend: Trend


def _first(counted: ColumnElement[Any]) -> ColumnElement[Any]:
    """The first failure: counts may be younger than the row, and the row than the failures it tells of."""
    known = func.coalesce(counted, _ANALYSIS.created_at)
    first = case((_ANALYSIS.created_at < known, _ANALYSIS.created_at), else_=known)
    return case((_ANALYSIS.last_occurred < first, _ANALYSIS.last_occurred), else_=first)


class PatternQuery:
    """The patterns that a filter means.

    Args:
        where: the filter.
        now: the time that it is, aware.

    Attributes:
        keys: what the patterns can be sorted by, the same for any tenant or for one.
    """

    def __init__(self, where: PatternFilter, now: datetime) -> None:
        self.where = where
        self.now = now
        self.tenant = None if isinstance(where.scope, AllTenants) else fit_identity(where.scope)
        self._counts = self._counted()
        counts = self._counts.c
        own_count = counts.failures if self.tenant is not None else _ANALYSIS.occurrence_count
        own_last = counts.last if self.tenant is not None else _ANALYSIS.last_occurred
        first = counts.first if self.tenant is not None else _first(counts.first)
        self.keys: Mapping[str, ColumnElement[Any]] = {
            "count": func.coalesce(own_count, 0),
            "last": func.coalesce(own_last, _NEVER),
            "first": func.coalesce(first, _NEVER),
        }

    def select(self) -> Select[Any]:
        """The rows that ``complete`` takes."""
        here = PATTERNS.alias()
        counts = self._counts.c
        tables = ERROR_ANALYSIS.join(
            self._counts, counts.name == _ANALYSIS.error_pattern, isouter=self.tenant is None
        ).outerjoin(here, here.c.pattern == _ANALYSIS.error_pattern)
        keys = [key.label(f"by_{name}") for name, key in self.keys.items()]
        self._status, regressed, resolved = self._state(here.c)
        state = (self._status.label("status"), regressed.label("regressed"), resolved.label("resolved"))
        query = select(ERROR_ANALYSIS, counts.recovered, *state, *keys).select_from(tables)
        return query.where(_ANALYSIS.error_pattern.is_not(None), *self._conditions())

    def _state(
        self, here: ReadOnlyColumnCollection[str, Any]
    ) -> tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[Any]]:
        """Status, when a failure opened it again, and when it was resolved.

        For a tenant that is a failure of its own, and only where it had met the pattern before.
        """
        status: ColumnElement[str] = func.coalesce(_ANALYSIS.resolution_status, "open")
        if self.tenant is None:
            return status, here.regressed_at, _ANALYSIS.resolved_at
        own = self._counts.c
        others = and_(here.regressed_at.is_not(None), own.regressed.is_(None))
        came_back = and_(here.regressed_at.is_not(None), own.first <= here.resolved_before)
        return (
            case((others, "resolved"), else_=status),
            case((came_back, own.regressed)),
            case((others, here.resolved_before), else_=_ANALYSIS.resolved_at),
        )

    def _counted(self) -> FromClause:
        """Our counts under the names of today; a tenant's own, where one asks."""
        if self.tenant is None:
            table: FromClause = PATTERNS
            name = func.coalesce(_OWN.merged_into, _OWN.pattern)
            source = select(name.label("name"))
        else:
            table = PATTERN_TENANTS
            name = func.coalesce(_OWN.merged_into, PATTERN_TENANTS.c.pattern)
            source = select(name.label("name")).select_from(
                PATTERN_TENANTS.outerjoin(PATTERNS, _OWN.pattern == PATTERN_TENANTS.c.pattern)
            )
            source = source.where(PATTERN_TENANTS.c.tenant_id == self.tenant)
        return (
            source.add_columns(
                func.sum(table.c.failures).label("failures"),
                func.sum(table.c.recovered).label("recovered"),
                func.min(table.c.first_occurred).label("first"),
                func.max(table.c.last_occurred).label("last"),
                func.min(table.c.regressed_at).label("regressed"),
            )
            .group_by(name)
            .subquery()
        )

    def _conditions(self) -> list[ColumnElement[bool]]:
        where = self.where
        found: list[ColumnElement[bool]] = []
        if where.status is not None:
            found.append(self._status == known_status(where.status))
        if where.kind is not None:
            found.append(_ANALYSIS.error_code == where.kind)
        if where.provider is not None:
            found.append(self._of_provider(where.provider))
        if where.text is not None:
            words = where.text.lower()
            texts = _TEXTS if self.tenant is None else _TEXTS_FOR_ALL
            found.append(or_(*(func.lower(column).contains(words, autoescape=True) for column in texts)))
        return found

    def _of_provider(self, provider: str) -> ColumnElement[bool]:
        facets, own = PATTERN_FACETS.c, PATTERNS.alias().c
        met = (
            select(literal(1))
            .select_from(PATTERN_FACETS.outerjoin(own.pattern.table, own.pattern == facets.pattern))
            .where(
                func.coalesce(own.merged_into, facets.pattern) == _ANALYSIS.error_pattern,
                facets.facet == "provider",
                facets.value == provider,
            )
        )
        if self.tenant is not None:
            return exists(met.where(facets.tenant_id == self.tenant))
        # Rows that others have written, or that are older than the facets, say it by their name.
        return exists(met) | _ANALYSIS.error_pattern.startswith(f"{provider}_", autoescape=True)


def complete(connection: Connection, query: PatternQuery, rows: Sequence[Row[Any]]) -> list[PatternRow]:
    """The rows with what their last hours say."""
    counts = _hours(connection, [row.error_pattern for row in rows], query.tenant, query.now)
    return [_pattern(row, counts.get(row.error_pattern, {}), query.now) for row in rows]


def _hours(
    connection: Connection, names: Sequence[str], tenant: str | None, now: datetime
) -> dict[str, dict[datetime, int]]:
    """Failures by pattern and hour, of the hours that trends need."""
    if not names:
        return {}
    columns = PATTERN_HOURS.c
    under = members(connection, names)
    since = fit_time(now - timedelta(hours=trends.HISTORY))
    query = (
        select(columns.pattern, columns.hour, func.sum(columns.failures))
        .where(columns.pattern.in_(list(under)), columns.hour >= since)
        .group_by(columns.pattern, columns.hour)
    )
    if tenant is not None:
        query = query.where(columns.tenant_id == tenant)
    found: dict[str, dict[datetime, int]] = {}
    for name, hour, count in connection.execute(query):
        hours = found.setdefault(under[name], {})
        hours[hour] = hours.get(hour, 0) + int(count)
    return found


def _pattern(row: Row[Any], counts: Mapping[datetime, int], now: datetime) -> PatternRow:
    hours = trends.series(counts, now)
    first, last = _time(row.by_first), _time(row.by_last)
    status = row.status
    trend = trends.trend(hours, first, now)
    marks = trends.marks(
        status=status, regressed=row.regressed is not None, first=first, last=last, trend=trend, now=now
    )
    return PatternRow(
        error_pattern=row.error_pattern,
        error_code=row.error_code,
        error_message_pattern=row.error_message_pattern,
        occurrence_count=int(row.by_count),
        recovered=int(row.recovered or 0),
        first_occurred=first,
        last_occurred=last,
        probable_cause=row.probable_cause,
        suggested_action=row.suggested_action,
        resolution_status=status,
        resolved_at=row.resolved,
        regressed_at=row.regressed,
        auto_correction_enabled=row.auto_correction_enabled,
        correction_config=row.correction_config,
        marks=marks,
        hours=hours[-SHOWN_HOURS:],
        trend=trend,
    )


def _time(value: datetime) -> datetime | None:
    return None if value == _NEVER else value
