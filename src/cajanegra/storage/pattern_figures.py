"""Error patterns in numbers: whom each of a list hits, how many there are, and failures over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.domain.trend import hour_of
from cajanegra.storage.database import Database, reading
from cajanegra.storage.fitting import fit_identity, fit_time
from cajanegra.storage.pattern_names import current_names, members
from cajanegra.storage.pattern_query import PatternFilter, PatternQuery
from cajanegra.storage.tables import PATTERN_FACETS, PATTERN_HOURS, PATTERN_TENANTS

MOST_MODELS = 3
"""Models that are named in a list."""
MOST_HOURS = 24 * 31
"""Hours of a pattern that are shown; no more are kept."""

_HOUR = timedelta(hours=1)


@dataclass(slots=True)
class Places:
    """Whom a pattern hits.

    Attributes:
        tenants: how many.
        models: the models with most failures and their numbers, three at most.
        models_in_all: how many models there are.
    """

    tenants: int = 0
    models: dict[str, int] = field(default_factory=dict)
    models_in_all: int = 0


def by_status(db: Database, where: PatternFilter, now: datetime) -> Mapping[str, int]:
    """How many patterns there are of each status; the filter's own status and mark do not count.

    Raises:
        StorageError: the database cannot be read.
    """
    every = PatternFilter(where.scope, provider=where.provider, kind=where.kind, text=where.text)
    patterns = PatternQuery(every, now).select().subquery()
    query = select(patterns.c.status, func.count()).group_by(patterns.c.status)
    with reading(db) as connection:
        return {str(status): count for status, count in connection.execute(query)}


def places(db: Database, scope: Scope, names: Sequence[str]) -> Mapping[str, Places]:
    """Whom these patterns hit, for each of them; of a tenant's own calls alone, where one asks.

    Raises:
        StorageError: the database cannot be read.
    """
    found = {name: Places() for name in names}
    if not names:
        return found
    with reading(db) as connection:
        under = members(connection, names)
        for name, tenants in _tenants(connection, scope, under).items():
            found[name].tenants = len(tenants)
        for name, models in _models(connection, scope, under).items():
            largest = sorted(models.items(), key=lambda item: (-item[1], item[0]))
            found[name].models = dict(largest[:MOST_MODELS])
            found[name].models_in_all = len(largest)
    return found


def hours(
    db: Database, scope: Scope, name: str, *, since: datetime, until: datetime
) -> Sequence[tuple[datetime, int]]:
    """Failures of a pattern in each hour, those without any included; hours begin in UTC, without a zone.

    At most the last 31 days before ``until``: rows are kept for 30.

    Raises:
        StorageError: the database cannot be read.
    """
    last = hour_of(until)
    first = max(hour_of(since), last - (MOST_HOURS - 1) * _HOUR)
    columns = PATTERN_HOURS.c
    with reading(db) as connection:
        current = current_names(connection, [name])[name]
        names = list(members(connection, [current]))
        query = (
            select(columns.hour, func.sum(columns.failures))
            .where(columns.pattern.in_(names), columns.hour >= first, columns.hour < fit_time(until))
            .group_by(columns.hour)
        )
        if not isinstance(scope, AllTenants):
            query = query.where(columns.tenant_id == fit_identity(scope))
        counts: dict[datetime, int] = {hour: int(count) for hour, count in connection.execute(query)}
    length = max((last - first) // _HOUR + 1, 0)
    return [(hour, counts.get(hour, 0)) for hour in (first + place * _HOUR for place in range(length))]


def _tenants(connection: Connection, scope: Scope, under: Mapping[str, str]) -> Mapping[str, set[str]]:
    columns = PATTERN_TENANTS.c
    query = select(columns.pattern, columns.tenant_id).where(columns.pattern.in_(list(under)))
    if not isinstance(scope, AllTenants):
        query = query.where(columns.tenant_id == fit_identity(scope))
    found: dict[str, set[str]] = {}
    for pattern, tenant in connection.execute(query):
        found.setdefault(under[pattern], set()).add(tenant)
    return found


def _models(connection: Connection, scope: Scope, under: Mapping[str, str]) -> Mapping[str, dict[str, int]]:
    columns = PATTERN_FACETS.c
    query = (
        select(columns.pattern, columns.value, func.sum(columns.failures))
        .where(columns.pattern.in_(list(under)), columns.facet == "model")
        .group_by(columns.pattern, columns.value)
    )
    if not isinstance(scope, AllTenants):
        query = query.where(columns.tenant_id == fit_identity(scope))
    found: dict[str, dict[str, int]] = {}
    for pattern, model, count in connection.execute(query):
        models = found.setdefault(under[pattern], {})
        models[model] = models.get(model, 0) + int(count)
    return found
