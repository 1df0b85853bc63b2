"""What row-level security lets a role see of each table, and the SQL that says so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from cajanegra.storage.tables import VERSION_TABLE, Base

TENANT_SETTING: Final = "cajanegra.tenant"
"""Names the tenant whose rows a transaction sees."""
POLICY: Final = "cajanegra_"
"""What the names of our policies begin with."""

_OWN = "tenant_id = {tenant}"
_OF_CALL = "EXISTS (SELECT 1 FROM ai_request_logs AS of_call WHERE of_call.id = request_log_id)"
"""Inside the policy the other table's own policy holds, so that what belongs to a call is seen with it."""
_MET = (
    "EXISTS (SELECT 1 FROM cajanegra_pattern_tenants AS met WHERE met.pattern = cajanegra_patterns.pattern)"
)
_MET_OR_MERGED = (
    "EXISTS (SELECT 1 FROM cajanegra_pattern_tenants AS met WHERE met.pattern = error_pattern)"
    " OR EXISTS (SELECT 1 FROM cajanegra_patterns AS merged WHERE merged.merged_into = error_pattern)"
)
_NO_TENANT = "false"
"""For those who run the product: a query that reads it for a tenant finds nothing, and does not fail."""

RULES: Mapping[str, str] = {
    "ai_request_logs": _OWN,
    "ai_error_recovery": _OF_CALL,
    "ai_error_analysis": _MET_OR_MERGED,
    "cajanegra_contents": _OF_CALL,
    "cajanegra_occurrences": _OWN,
    "cajanegra_pattern_changes": _NO_TENANT,
    "cajanegra_pattern_facets": _OWN,
    "cajanegra_pattern_hours": _OWN,
    "cajanegra_pattern_tenants": _OWN,
    "cajanegra_patterns": _MET,
    "cajanegra_provider_states": _NO_TENANT,
    "cajanegra_rollup_deltas": _OWN,
    "cajanegra_rollups": _OWN,
}
"""Which rows of a table a tenant sees, as SQL; ``{tenant}`` is whose rows are seen."""

INTERNAL = frozenset(
    {
        "cajanegra_alerts",
        "cajanegra_erasures",
        "cajanegra_holds",
        "cajanegra_key_limits",
        "cajanegra_key_usage",
        "cajanegra_keys",
        "cajanegra_leases",
        "cajanegra_recent_calls",
        "cajanegra_retention_runs",
        "cajanegra_sessions",
        "cajanegra_tracks",
        "cajanegra_waiting",
    }
)
"""Tables of which no confined role sees anything."""

OPEN = frozenset({VERSION_TABLE, "cajanegra_rollup_state"})
"""Tables that hold nothing of anybody and are left as they are."""

OF_ALL_TENANTS: Mapping[str, frozenset[str]] = {
    "ai_error_analysis": frozenset({"occurrence_count", "last_occurred", "created_at", "updated_at"}),
    "cajanegra_patterns": frozenset(
        {
            "failures",
            "recovered",
            "first_occurred",
            "last_occurred",
            "regressed_at",
            "resolved_before",
            "kept",
        }
    ),
}
"""Columns that tell how other tenants fare; a role of one tenant may not read them."""

# No more than this comparison: with an OR beside it, PostgreSQL would not know that an index finds the rows.
_SETTING = f"NULLIF(current_setting('{TENANT_SETTING}', true), '')"  # where it was set and reset it is ''


@dataclass(frozen=True, slots=True)
class Confined:
    """A role that row-level security holds for.

    Attributes:
        role: its name.
        tenant: the one whose rows it sees; ``None``: the one that the transaction names.
    """

    role: str
    tenant: str | None = None


def protected() -> list[str]:
    """Every table that gets row-level security."""
    return [name for name in Base.metadata.tables if name not in OPEN]


def policy_name(tenant: str | None) -> str:
    """The name of the policy of one tenant, or of the setting."""
    if tenant is None:
        return f"{POLICY}setting"
    return f"{POLICY}tenant_{hashlib.sha256(tenant.encode()).hexdigest()[:16]}"


def condition(table: str, tenant: str | None) -> sql.Composable:
    """Which rows are seen, as SQL."""
    whose = sql.SQL(_SETTING) if tenant is None else sql.Literal(tenant)
    return sql.SQL(RULES[table]).format(tenant=whose)


def note(table: str, tenant: str | None) -> str:
    """The comment of a policy: which rule it follows, and for which tenant."""
    digest = hashlib.sha256(condition(table, tenant).as_string().encode()).hexdigest()[:8]
    return digest if tenant is None else f"{digest} {tenant}"


def readable(table: str, tenant: str | None) -> Sequence[str] | None:
    """The columns that a role of this tenant may read; ``None``: all."""
    hidden = OF_ALL_TENANTS.get(table)
    if tenant is None or hidden is None:
        return None
    return [column.name for column in Base.metadata.tables[table].columns if column.name not in hidden]


def turn_on(tables: Sequence[str], confined: Iterable[Confined]) -> Iterator[sql.Composable]:
    """Statements that let each role see what its rules say, once nothing of ours is left on the tables."""
    by_tenant: dict[str | None, list[str]] = {}
    for one in confined:
        by_tenant.setdefault(one.tenant, []).append(one.role)
    for table in tables:
        name = sql.Identifier(table)
        if table not in OPEN:
            yield sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name)
        for tenant, roles in by_tenant.items():
            to = sql.SQL(", ").join(map(sql.Identifier, sorted(roles)))
            if table in RULES:
                policy, rows = sql.Identifier(policy_name(tenant)), condition(table, tenant)
                yield sql.SQL("CREATE POLICY {} ON {} TO {} USING ({}) WITH CHECK ({})").format(
                    policy, name, to, rows, rows
                )
                comment = sql.Literal(note(table, tenant))
                yield sql.SQL("COMMENT ON POLICY {} ON {} IS {}").format(policy, name, comment)
            if table not in INTERNAL:
                yield sql.SQL("GRANT SELECT{} ON {} TO {}").format(_columns(table, tenant), name, to)


def turn_off(
    policies: Iterable[tuple[str, str]], tables: Sequence[str], confined: Iterable[Confined]
) -> Iterator[sql.Composable]:
    """Statements that take back what ``turn_on`` did; policies are tables and names."""
    for table, policy in policies:
        yield sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(policy), sql.Identifier(table))
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    for one in confined:
        role = sql.Identifier(one.role)
        yield sql.SQL("REVOKE SELECT ON {} FROM {}").format(names, role)
        for table in tables:
            if table in OF_ALL_TENANTS:
                yield sql.SQL("REVOKE SELECT{} ON {} FROM {}").format(
                    _columns(table, one.tenant), sql.Identifier(table), role
                )


def _columns(table: str, tenant: str | None) -> sql.Composable:
    columns = readable(table, tenant)
    if columns is None:
        return sql.SQL("")
    return sql.SQL(" ({})").format(sql.SQL(", ").join(map(sql.Identifier, columns)))
