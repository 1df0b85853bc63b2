"""Tells row-level security whose rows a transaction may see."""

from __future__ import annotations

from sqlalchemy import Connection, event

from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.storage.database import Database
from cajanegra.storage.fitting import fit_identity
from cajanegra.storage.secure_rules import TENANT_SETTING

_OPTION = "cajanegra_tenant"


def within(db: Database, scope: Scope) -> Database:
    """The same database, each of whose transactions names the tenant first; in the scope of all, as it is.

    To a role that ``db secure`` confines to the named tenant, PostgreSQL shows those rows and no others; the
    owner of the tables sees everything, as before. What is named ends with the transaction, so that it holds
    behind a transaction pooler. In autocommit there is no transaction, and a confined role sees nothing.

    Args:
        db: the database; SQLite has no roles, and is returned as it is.
        scope: whose rows.
    """
    if db.dialect == "sqlite" or isinstance(scope, AllTenants):
        return db
    if not event.contains(db.engine, "begin", _name_tenant):
        event.listen(db.engine, "begin", _name_tenant)
    return Database.of_engine(db.engine.execution_options(**{_OPTION: scope}))


def _name_tenant(connection: Connection) -> None:
    tenant = connection.get_execution_options().get(_OPTION)
    if tenant is None:
        return
    # By the driver, since SQLAlchemy has not noted yet that a transaction begins.
    cursor = connection.connection.cursor()
    try:
        cursor.execute("SELECT set_config(%s, %s, true)", (TENANT_SETTING, fit_identity(tenant)))
    finally:
        cursor.close()
