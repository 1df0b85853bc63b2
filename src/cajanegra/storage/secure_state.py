"""What a PostgreSQL database says about the row-level security of our tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from cajanegra.storage.secure_rules import INTERNAL, OF_ALL_TENANTS, RULES, Confined, note, protected
from cajanegra.storage.tables import Base

_POLICIES = text("""
    SELECT relname, polname, obj_description(p.oid, 'pg_policy') AS note, rolname
    FROM pg_policy p JOIN pg_class c ON c.oid = polrelid CROSS JOIN unnest(polroles) AS of(role)
    LEFT JOIN pg_roles r ON r.oid = of.role
    WHERE polname LIKE 'cajanegra\\_%' AND polrelid = ANY (:tables) ORDER BY 1, 2, 4
""")
_SECURED = text("SELECT relname FROM pg_class WHERE oid = ANY (:tables) AND relrowsecurity")
_OF_OTHERS = text("""
    SELECT DISTINCT relname FROM pg_policy JOIN pg_class c ON c.oid = polrelid
    WHERE polrelid = ANY (:tables) AND polname NOT LIKE 'cajanegra\\_%'
""")
_OIDS = text("SELECT name, to_regclass(name)::oid FROM unnest(CAST(:names AS text[])) AS of(name)")
_USERS = text("""
    SELECT rolname,
        rolsuper OR rolbypassrls OR EXISTS (
            SELECT 1 FROM pg_class WHERE oid = ANY (:tables) AND pg_has_role(r.oid, relowner, 'USAGE')
        ) AS passes
    FROM pg_roles r
    WHERE rolcanlogin AND EXISTS (
        SELECT 1 FROM unnest(CAST(:tables AS oid[])) AS of(oid)
        WHERE has_table_privilege(r.oid, of.oid, 'SELECT, INSERT, UPDATE, DELETE')
        OR has_any_column_privilege(r.oid, of.oid, 'SELECT, INSERT, UPDATE')
    ) ORDER BY 1
""")
_BEHIND = text("""
    SELECT inhrelid::regclass::text AS name, 'p' AS kind, inhrelid AS oid
    FROM pg_inherits WHERE inhparent = ANY (:tables)
    UNION
    SELECT ev_class::regclass::text, relkind, ev_class
    FROM pg_depend JOIN pg_rewrite r ON r.oid = objid JOIN pg_class c ON c.oid = ev_class
    WHERE classid = 'pg_rewrite'::regclass AND refobjid = ANY (:tables) AND relkind IN ('v', 'm')
    AND NOT EXISTS (
        SELECT 1 FROM pg_options_to_table(reloptions)
        WHERE option_name = 'security_invoker' AND option_value::boolean
    )
    ORDER BY 1
""")
"""Partitions, whose own policies hold when they are named, and views that read with their owner's rights."""
_MEMBER = text("SELECT pg_has_role(:member, :role, 'MEMBER')")
_ESCAPES = text("""
    SELECT rolsuper, rolbypassrls, EXISTS (
        SELECT 1 FROM pg_class WHERE oid = ANY (:tables) AND pg_has_role(r.oid, relowner, 'MEMBER')
    ) AS owns FROM pg_roles r WHERE rolname = :role
""")


@dataclass(frozen=True, slots=True)
class Policy:
    """One of our policies, for one of its roles; without a role that has been dropped."""

    table: str
    name: str
    note: str
    role: str | None

    @property
    def tenant(self) -> str | None:
        """Whose rows it lets see; ``None``: those of the tenant that the transaction names."""
        _digest, _space, tenant = self.note.partition(" ")
        return tenant or None


@dataclass(frozen=True, slots=True)
class Security:
    """What there is.

    Attributes:
        tables: our tables that the database has.
        secured: those of them with row-level security.
        policies: ours.
        of_others: tables with policies that are not ours.
    """

    tables: Sequence[str]
    secured: frozenset[str]
    policies: Sequence[Policy]
    of_others: frozenset[str]

    @property
    def is_on(self) -> bool:
        """Whether we have turned it on, and not somebody else for some table."""
        return bool(self.policies or self.secured - self.of_others)

    @property
    def confined(self) -> list[Confined]:
        """The roles that the policies are for."""
        found = {policy.role: Confined(policy.role, policy.tenant) for policy in self.policies if policy.role}
        return sorted(found.values(), key=lambda one: one.role)


def read(connection: Connection) -> Security:
    """Look at tables and policies."""
    oids = _oids(connection)
    values = {"tables": list(oids.values())}
    policies = [
        Policy(row.relname, row.polname, row.note or "", row.rolname)
        for row in connection.execute(_POLICIES, values)
    ]
    secured = frozenset(connection.scalars(_SECURED, values))
    return Security(list(oids), secured, policies, frozenset(connection.scalars(_OF_OTHERS, values)))


def incomplete(security: Security) -> Iterator[tuple[str, str, str]]:
    """Tables of which something is missing or follows an older rule: table, what, and how it is."""
    confined = security.confined
    for table in protected():
        if table not in security.tables:
            continue
        if table not in security.secured:
            yield table, "row-level security", ""
        there = {(policy.role, policy.note) for policy in security.policies if policy.table == table}
        for one in confined if table in RULES else ():
            expected = (one.role, note(table, one.tenant))
            if expected not in there:
                found = "another rule" if any(role == one.role for role, _note in there) else ""
                yield table, f"policy for {one.role}", found


def blinded(connection: Connection, confined: Sequence[Confined]) -> list[str]:
    """Roles that log in, may use the tables, are not confined and would see no row of them."""
    users = connection.execute(_USERS, {"tables": list(_oids(connection).values())}).all()
    return [
        user.rolname
        for user in users
        if not user.passes and not any(is_member(connection, user.rolname, one.role) for one in confined)
    ]


def escapes(connection: Connection, one: Confined, confined: Sequence[Confined]) -> Iterator[str]:
    """Why row-level security does not hold for a role, or holds less than it should."""
    values = {"tables": list(_oids(connection).values()), "role": one.role}
    found = connection.execute(_ESCAPES, values).one_or_none()
    if found is None:
        return
    if found.rolsuper:
        yield "is a superuser"
    if found.rolbypassrls:
        yield "has BYPASSRLS"
    if found.owns and not found.rolsuper:
        yield "owns the tables, or is a member of the role that owns them"
    for other in confined:
        if other.role != one.role and not found.rolsuper and is_member(connection, one.role, other.role):
            yield f"is a member of {other.role}, and sees what that sees"


def excess(connection: Connection, one: Confined) -> Iterator[tuple[str, str]]:
    """What a confined role may do beyond its rules: in words, and the SQL that takes it away."""
    role = connection.execute(text("SELECT quote_ident(:role)"), {"role": one.role}).scalar_one()
    for table, oid in _oids(connection).items():
        if table in INTERNAL and _may(connection, one.role, oid, "SELECT, INSERT, UPDATE, DELETE"):
            yield f"use {table}", f"REVOKE ALL ON {table} FROM {role}"
        elif _may(connection, one.role, oid, "TRUNCATE"):
            yield f"empty {table}", f"REVOKE TRUNCATE ON {table} FROM {role}"
        hidden = sorted(OF_ALL_TENANTS.get(table, ())) if one.tenant is not None else []
        query = text("SELECT has_column_privilege(:role, CAST(:oid AS oid), :column, 'SELECT')")
        values = [{"role": one.role, "oid": oid, "column": column} for column in hidden]
        if any(connection.execute(query, value).scalar_one() for value in values):
            yield f"read all of {table}", f"REVOKE SELECT ON {table} FROM {role}"  # noqa: S608 - for a person to run
    for behind in connection.execute(_BEHIND, {"tables": list(_oids(connection).values())}):
        if _may(connection, one.role, behind.oid, "SELECT"):
            invoker = f"ALTER VIEW {behind.name} SET (security_invoker = true)"
            revoke = f"REVOKE SELECT ON {behind.name} FROM {role}"  # noqa: S608 - for a person to run
            yield f"read {behind.name}", invoker if behind.kind == "v" else revoke


def is_member(connection: Connection, member: str, role: str) -> bool:
    """Whether a role is, or can become, another."""
    return bool(connection.execute(_MEMBER, {"member": member, "role": role}).scalar_one())


def roles(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of the names that are roles."""
    query = text("SELECT rolname FROM pg_roles WHERE rolname = ANY (:names)")
    return set(connection.scalars(query, {"names": list(names)}))


def _may(connection: Connection, role: str, oid: int, privileges: str) -> bool:
    query = text("SELECT has_table_privilege(:role, CAST(:oid AS oid), :privileges)")
    values = {"role": role, "oid": oid, "privileges": privileges}
    return bool(connection.execute(query, values).scalar_one())


def _oids(connection: Connection) -> dict[str, Any]:
    """Our tables that the connection sees."""
    names = list(Base.metadata.tables)
    found = connection.execute(_OIDS, {"names": names}).all()
    return {name: oid for name, oid in found if oid is not None}
