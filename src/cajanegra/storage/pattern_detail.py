"""One error pattern with everything that is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, func, select

from cajanegra.domain.principal import Scope
from cajanegra.storage.database import Database, reading
from cajanegra.storage.pattern_names import current_names, members, no_such_pattern
from cajanegra.storage.pattern_query import PatternFilter, PatternQuery, PatternRow, complete
from cajanegra.storage.tables import (
    ERROR_ANALYSIS,
    OCCURRENCES,
    PATTERN_CHANGES,
    PATTERN_FACETS,
    PATTERN_TENANTS,
    PATTERNS,
    REQUEST_LOGS,
)

MAX_SAMPLES = 100
MOST_SHOWN = 50
"""Tenants, values of a facet, and changes at most."""

CallRow = dict[str, Any]


class TenantCount(msgspec.Struct, frozen=True):
    """What one tenant met of a pattern; the tenant is empty for calls without one."""

    tenant_id: str
    failures: int
    recovered: int
    first_occurred: datetime
    last_occurred: datetime


class PatternChange(msgspec.Struct, frozen=True):
    """What was decided about a pattern.

    Attributes:
        pattern: the name that was changed, which may be one that is merged.
        change: ``status``, ``regressed``, ``merged``, ``split``.
        before: how it was.
        after: how it is since.
        changed_by: who decided; ``None`` for a failure that reopened it, or where nobody said.
        changed_at: when (UTC).
    """

    pattern: str
    change: str
    before: str | None
    after: str | None
    changed_by: str | None
    changed_at: datetime


class PatternDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern with all that belongs to it; of a tenant's own calls alone, where one asks.

    Attributes:
        pattern: its row.
        merged: other names of grouping that count under it.
        grouping_version: the version of grouping that counted last; ``None`` where it was not noted.
        tenants: whom it hit, the most failures first, 50 at most.
        tenants_in_all: how many tenants it hit.
        providers: failures by provider, the most first; ``models`` and ``modules`` likewise.
        recovered_by: failures of calls that were answered in the end, by the strategy that got the answer.
        samples: rows of calls that met it, the latest first; some that are linked may have been deleted.
        changes: its history, the latest first; empty where a tenant asks.
    """

    pattern: PatternRow
    merged: Sequence[str]
    grouping_version: int | None
    tenants: Sequence[TenantCount]
    tenants_in_all: int
    providers: Mapping[str, int]
    models: Mapping[str, int]
    modules: Mapping[str, int]
    recovered_by: Mapping[str, int]
    samples: Sequence[CallRow]
    changes: Sequence[PatternChange]


def detail(db: Database, scope: Scope, name: str, *, now: datetime, samples: int = 10) -> PatternDetail:
    """A pattern, by its name or by one that is merged into it.

    Args:
        db: the database.
        scope: who asks; a tenant sees only what its own calls met.
        name: the name.
        now: the time that it is, aware.
        samples: calls at most, up to 100.

    Raises:
        UsageError: there is no such pattern, or the tenant never met it; the nearest name is suggested.
        StorageError: the database cannot be read.
    """
    query = PatternQuery(PatternFilter(scope), now)
    tenant = query.tenant
    with reading(db) as connection:
        current = current_names(connection, [name])[name]
        rows = connection.execute(query.select().where(ERROR_ANALYSIS.c.error_pattern == current)).all()
        pattern = next(iter(complete(connection, query, rows)), None)
        if pattern is None:
            raise no_such_pattern(connection, name, tenant)
        names = list(members(connection, [current]))
        tenants = _tenants(connection, names, tenant)
        facets = _facets(connection, names, tenant)
        version = select(func.max(PATTERNS.c.grouping_version)).where(PATTERNS.c.pattern.in_(names))
        return PatternDetail(
            pattern=pattern,
            merged=_merged(connection, names, current, tenant),
            grouping_version=connection.scalar(version),
            tenants=tenants[:MOST_SHOWN],
            tenants_in_all=len(tenants),
            providers=facets.get("provider", {}),
            models=facets.get("model", {}),
            modules=facets.get("module", {}),
            recovered_by=facets.get("strategy", {}),
            samples=_samples(connection, names, tenant, min(samples, MAX_SAMPLES)),
            changes=_changes(connection, names) if tenant is None else (),
        )


def _merged(connection: Connection, names: Sequence[str], current: str, tenant: str | None) -> list[str]:
    others = [name for name in names if name != current]
    if tenant is not None and others:
        met = select(PATTERN_TENANTS.c.pattern).where(
            PATTERN_TENANTS.c.pattern.in_(others), PATTERN_TENANTS.c.tenant_id == tenant
        )
        others = list(connection.scalars(met))
    return sorted(others)


def _tenants(connection: Connection, names: Sequence[str], tenant: str | None) -> list[TenantCount]:
    columns = PATTERN_TENANTS.c
    failures = func.sum(columns.failures)
    query = (
        select(
            columns.tenant_id,
            failures,
            func.sum(columns.recovered),
            func.min(columns.first_occurred),
            func.max(columns.last_occurred),
        )
        .where(columns.pattern.in_(names), *_of(PATTERN_TENANTS, tenant))
        .group_by(columns.tenant_id)
        .order_by(failures.desc(), columns.tenant_id)
    )
    return [
        TenantCount(row[0], int(row[1]), int(row[2]), row[3], row[4]) for row in connection.execute(query)
    ]


def _facets(connection: Connection, names: Sequence[str], tenant: str | None) -> dict[str, dict[str, int]]:
    columns = PATTERN_FACETS.c
    failures = func.sum(columns.failures)
    query = (
        select(columns.facet, columns.value, failures)
        .where(columns.pattern.in_(names), *_of(PATTERN_FACETS, tenant))
        .group_by(columns.facet, columns.value)
        .order_by(failures.desc(), columns.value)
    )
    found: dict[str, dict[str, int]] = {}
    for facet, value, count in connection.execute(query):
        values = found.setdefault(facet, {})
        if len(values) < MOST_SHOWN:
            values[value] = int(count)
    return found


def _samples(connection: Connection, names: Sequence[str], tenant: str | None, limit: int) -> list[CallRow]:
    links = OCCURRENCES.c
    latest = func.max(links.occurred_at)
    newest = (
        select(links.request_log_id, latest.label("at"))
        .where(links.pattern.in_(names), *_of(OCCURRENCES, tenant))
        .group_by(links.request_log_id)
        .subquery()
    )
    query = (
        select(REQUEST_LOGS)
        .join(newest, newest.c.request_log_id == REQUEST_LOGS.c.id)
        .order_by(newest.c.at.desc(), REQUEST_LOGS.c.id.desc())
    )
    return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]


def _changes(connection: Connection, names: Sequence[str]) -> list[PatternChange]:
    columns = PATTERN_CHANGES.c
    query = select(
        columns.pattern, columns.change, columns.before, columns.after, columns.changed_by, columns.changed_at
    ).where(columns.pattern.in_(names))
    rows = connection.execute(query.order_by(columns.id.desc()).limit(MOST_SHOWN))
    return [PatternChange(*row) for row in rows]


def _of(table: Table, tenant: str | None) -> list[Any]:
    return [] if tenant is None else [table.c.tenant_id == tenant]
