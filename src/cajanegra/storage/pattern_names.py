"""What error patterns are called: under which name failures were grouped, and under which they count now."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from cajanegra.errors import UsageError
from cajanegra.storage.tables import ERROR_ANALYSIS, PATTERN_TENANTS, PATTERNS

_MAX_NAMES = 1_000
"""Names among which the nearest is looked for."""
_OWN = PATTERNS.c


def current_names(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """The patterns under which the failures of these count now, which differ where something was merged."""
    known = list(names)
    query = select(_OWN.pattern, _OWN.merged_into).where(
        _OWN.pattern.in_(known), _OWN.merged_into.is_not(None)
    )
    return {name: name for name in known} | {
        row.pattern: row.merged_into for row in connection.execute(query)
    }


def members(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """Every name of grouping that counts under one of these patterns, and under which; their own included."""
    query = select(_OWN.pattern, _OWN.merged_into).where(_OWN.merged_into.in_(names))
    return {name: name for name in names} | {
        row.pattern: row.merged_into for row in connection.execute(query)
    }


def no_such_pattern(connection: Connection, name: str, tenant_id: str | None = None) -> UsageError:
    """Says that there is no such pattern, and which one may be meant: of a tenant's, where one asks."""
    query = select(ERROR_ANALYSIS.c.error_pattern).where(ERROR_ANALYSIS.c.error_pattern.is_not(None))
    if tenant_id is not None:
        query = select(PATTERN_TENANTS.c.pattern).where(PATTERN_TENANTS.c.tenant_id == tenant_id)
    names = connection.execute(query.limit(_MAX_NAMES)).scalars().all()
    near = difflib.get_close_matches(name, [known for known in names if known], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "'cajanegra errors list' shows what there is"
    return UsageError(f"there is no error pattern {name!r}; {hint}")
