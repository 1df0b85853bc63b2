"""Percentiles on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Float, Select, case, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.sql.expression import FromClause


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of times in milliseconds; ``None`` where there are none."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


NO_TIMES = Latency(None, None, None)
LATENCY = (0.5, 0.95, 0.99)
"""The shares of a ``Latency``."""


def percentiles(
    connection: Connection, query: Select[Any], shares: Sequence[float], keys: Sequence[str]
) -> list[dict[str, Any]]:
    """Percentiles of the column ``ms`` of a query, per value of ``keys``.

    The nearest rank: the smallest value that so large a share of the values does not exceed.
    """
    rows = query.subquery()
    grouped = [rows.c[key] for key in keys]
    if connection.dialect.name == "postgresql":
        wanted = [func.percentile_disc(part).within_group(rows.c.ms).label(_name(part)) for part in shares]
        statement = select(*grouped, *wanted).group_by(*grouped)
    else:
        statement = _ranked(rows, shares, keys)
    return [dict(row) for row in connection.execute(statement).mappings()]


def _ranked(rows: FromClause, shares: Sequence[float], keys: Sequence[str]) -> Select[Any]:
    """Percentiles by rank, for a database without a function for them; rows without a time do not count."""
    grouped = [rows.c[key] for key in keys]
    known = rows.c.ms.is_not(None)
    order = func.row_number().over(partition_by=[*grouped, known], order_by=rows.c.ms)
    size = func.count(rows.c.ms).over(partition_by=grouped)
    ranks = select(*grouped, rows.c.ms, order.label("rank"), size.label("size")).subquery()
    outer = [ranks.c[key] for key in keys]
    wanted = [
        func.min(case((ranks.c.rank >= sql_cast(ranks.c.size, Float) * part, ranks.c.ms))).label(_name(part))
        for part in shares
    ]
    return select(*outer, *wanted).group_by(*outer)


def _name(share: float) -> str:
    return f"p{round(share * 100)}"
