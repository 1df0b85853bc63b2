"""Links error patterns to the calls that met them: the newest are kept, of every tenant some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, case, delete, func, select

from cajanegra.storage import calls, loading
from cajanegra.storage.fitting_columns import time_text
from cajanegra.storage.tables import OCCURRENCES
from cajanegra.storage.tallies import Link, PatternTallies

OF_TENANT = 20
"""Calls of one tenant that are linked to a pattern."""
OF_PATTERN = 100
"""Calls that are linked to a pattern in all."""

_COLUMNS = ("pattern", "request_log_id", "tenant_id", "occurred_at")
_LINKS = OCCURRENCES.c


def write_links(
    connection: Connection, tallies: Mapping[str, PatternTallies], written: calls.Written
) -> None:
    """Link the patterns of a batch to its calls.

    Args:
        connection: in the transaction that has written the calls.
        tallies: by pattern, what the calls met.
        written: the calls, and those whose earlier end is linked and is no more.
    """
    if written.replaced:
        connection.execute(delete(OCCURRENCES).where(_LINKS.request_log_id.in_(list(written.replaced))))
    links = [(name, link) for name, found in tallies.items() for link in _newest(found)]
    if not links:
        return
    ids = calls.ids_of(connection, [link.call for _name, link in links if not link.call.id], written)
    columns = zip(
        *((name, link.call.id or ids[link.call.name], link.tenant_id, link.at) for name, link in links),
        strict=True,
    )
    patterns, call_ids, tenants, times = columns
    loading.load_columns(
        connection, OCCURRENCES.name, _COLUMNS, [patterns, call_ids, tenants, [*map(time_text, times)]]
    )
    _trim(connection, sorted(set(patterns)))


def _newest(found: PatternTallies) -> list[Link]:
    """Those that would be kept if there were no others."""
    counts: Counter[str] = Counter()
    kept = []
    for link in sorted(found.links.values(), key=lambda link: link.at, reverse=True):
        counts[link.tenant_id] += 1
        if counts[link.tenant_id] <= OF_TENANT:
            kept.append(link)
    return kept[:OF_PATTERN]


def _trim(connection: Connection, patterns: Sequence[str]) -> None:
    """Keep the newest of each pattern."""
    of_tenant = func.row_number().over(
        partition_by=[_LINKS.pattern, _LINKS.tenant_id],
        order_by=[_LINKS.occurred_at.desc(), _LINKS.id.desc()],
    )
    columns = (_LINKS.id, _LINKS.pattern, _LINKS.occurred_at, of_tenant.label("of_tenant"))
    ranks = select(*columns).where(_LINKS.pattern.in_(patterns)).subquery().c
    too_many = ranks.of_tenant > OF_TENANT
    of_pattern = func.row_number().over(
        partition_by=ranks.pattern,
        order_by=[case((too_many, 1), else_=0), ranks.occurred_at.desc(), ranks.id.desc()],
    )
    both = select(ranks.id, ranks.of_tenant, of_pattern.label("of_pattern")).subquery().c
    gone = select(both.id).where((both.of_tenant > OF_TENANT) | (both.of_pattern > OF_PATTERN))
    connection.execute(delete(OCCURRENCES).where(_LINKS.id.in_(gone)))
