"""Turns row-level security on and off: PostgreSQL itself shows a role the rows of one tenant alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from psycopg import errors, sql
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from cajanegra.errors import SchemaError, StorageError, UsageError
from cajanegra.storage import migrate, secure_state
from cajanegra.storage.database import Database
from cajanegra.storage.fitting import fit_identity
from cajanegra.storage.health_schema import some
from cajanegra.storage.secure_rules import Confined, turn_off, turn_on
from cajanegra.storage.secure_state import Security
from cajanegra.storage.tables import Base

__all__ = ["Confined", "Secured", "secure", "unsecure"]


@dataclass(frozen=True, slots=True)
class Secured:
    """What was done, or would be.

    Attributes:
        confined: the roles for which row-level security holds now.
        tables: how many tables have it.
        statements: the SQL.
    """

    confined: Sequence[Confined]
    tables: int
    statements: Sequence[str]


def secure(
    db: Database,
    *,
    confine: Iterable[Confined] = (),
    exempt: Sequence[str] = (),
    release: Sequence[str] = (),
    create_roles: bool = False,
    dry_run: bool = False,
) -> Secured:
    """Turn row-level security on for every table that holds tenants' data, or bring it up to date.

    Roles that are confined already stay so. The owner of the tables, its members, superusers and roles with
    BYPASSRLS see everything, as before: among them must be whoever records and administers.

    Args:
        db: a PostgreSQL database, as the owner of the tables.
        confine: roles that shall see one tenant alone; they may read, and nothing else is granted.
        exempt: roles that shall see everything; they get BYPASSRLS, which takes a superuser.
        release: confined roles that shall be so no more; what they were granted is taken back.
        create_roles: create roles to be confined that are missing; they cannot log in.
        dry_run: change nothing.

    Raises:
        UsageError: it is not PostgreSQL, a role is missing, cannot be confined or is not, or another role
            would see nothing any more.
        SchemaError: tables are missing.
        StorageError: the database cannot be reached or refused; nothing was changed then.
    """
    _require_postgresql(db)
    wanted = {one.role: _fitted(one) for one in confine}
    if both := sorted({*wanted}.intersection([*exempt, *release])):
        raise UsageError(f"{both[0]} is named in two ways; confine it, let it pass, or release it")
    with _changing(db, dry_run=dry_run) as change:
        before = secure_state.read(change.connection)
        if len(before.tables) < len(Base.metadata.tables):
            raise SchemaError(f"{db.label} has not all tables; first 'cajanegra db upgrade'")
        confined = {one.role: one for one in before.confined} | wanted
        if unknown := [role for role in release if role not in confined]:
            raise UsageError(f"{unknown[0]} is not confined; there is: {some(confined) or 'nobody'}")
        for role in (*exempt, *release):
            confined.pop(role, None)
        change.create_missing([*wanted, *exempt], create=create_roles)
        change.run(_off(before))
        change.run(sql.SQL("ALTER ROLE {} BYPASSRLS").format(sql.Identifier(role)) for role in exempt)
        after = sorted(confined.values(), key=lambda one: one.role)
        change.run(turn_on(before.tables, after))
        _require_sense(change.connection, after)
        return Secured(after, len(secure_state.read(change.connection).secured), change.statements)


def unsecure(db: Database, *, dry_run: bool = False) -> Secured:
    """Take back what ``secure`` did; roles, BYPASSRLS and whatever has policies of somebody else stay.

    Raises:
        UsageError: it is not PostgreSQL.
        StorageError: the database cannot be reached or refused; nothing was changed then.
    """
    _require_postgresql(db)
    with _changing(db, dry_run=dry_run) as change:
        before = secure_state.read(change.connection)
        change.run(_off(before))
        disable = sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY")
        change.run(
            disable.format(sql.Identifier(table)) for table in sorted(before.secured - before.of_others)
        )
        return Secured([], 0, change.statements)


@dataclass(slots=True)
class _Change:
    """One transaction, and what was said in it."""

    db: Database
    connection: Connection
    statements: list[str] = field(default_factory=list)

    def run(self, statements: Iterable[sql.Composable]) -> None:
        """Run statements.

        Raises:
            StorageError: whoever is connected may not.
        """
        for statement in statements:
            shown = statement.as_string()
            try:
                self.connection.exec_driver_sql(shown.replace("%", "%%"))
            except DBAPIError as error:
                if not isinstance(error.orig, errors.InsufficientPrivilege):
                    raise
                raise StorageError(
                    f"{self.db.label} refused: {error.orig.diag.message_primary}; it takes the owner of the "
                    "tables, and a superuser where a role is created or gets BYPASSRLS"
                ) from None
            self.statements.append(shown)

    def create_missing(self, names: Sequence[str], *, create: bool) -> None:
        """Create the roles that are not there.

        Raises:
            UsageError: one is not there and is not to be created.
        """
        present = secure_state.roles(self.connection, names)
        missing = [name for name in names if name not in present]
        if missing and not create:
            role = sql.Identifier(missing[0]).as_string()
            raise UsageError(
                f"there is no role {missing[0]}; --create-roles makes it without login, "
                f"or make it yourself: CREATE ROLE {role} LOGIN PASSWORD '...'"
            )
        self.run(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)) for name in missing)


@contextmanager
def _changing(db: Database, *, dry_run: bool) -> Iterator[_Change]:
    with migrate.locked(db) as connection:
        yield _Change(db, connection)
        transaction = connection.get_transaction()
        if dry_run and transaction is not None:
            transaction.rollback()


def _off(before: Security) -> Iterator[sql.Composable]:
    policies = {(policy.table, policy.name): None for policy in before.policies}
    return turn_off(policies, before.tables, before.confined)


def _require_postgresql(db: Database) -> None:
    if db.dialect != "postgresql":
        raise UsageError("row-level security is PostgreSQL's; whoever may read a SQLite file reads all of it")


def _fitted(one: Confined) -> Confined:
    tenant = one.tenant
    if tenant is not None and not tenant:
        raise UsageError(f"the tenant of {one.role} is empty; write {one.role}=TENANT")
    return Confined(one.role, fit_identity(tenant))


def _require_sense(connection: Connection, confined: Sequence[Confined]) -> None:
    """See that each confined role is confined, and that nobody is blinded who was not meant."""
    for one in confined:
        for reason in secure_state.escapes(connection, one, confined):
            raise UsageError(f"{one.role} cannot be confined: it {reason}")
    if blinded := secure_state.blinded(connection, confined):
        raise UsageError(
            f"{some(blinded)} may use the tables and would see no row any more: "
            "confine (--confine ROLE=TENANT), or let pass (--pass ROLE)"
        )
