"""Gives a table that takes another's place its owner and grants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from psycopg import sql
from sqlalchemy import Connection, text

_OWNER = text("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(:table)")
_GRANTS = text(
    "SELECT NULL AS column, grantee, privilege_type, is_grantable FROM pg_class, aclexplode(relacl)"
    " WHERE oid = to_regclass(:table) AND grantee <> relowner"
    " UNION ALL SELECT attname, grantee, privilege_type, is_grantable FROM pg_attribute, aclexplode(attacl)"
    " WHERE attrelid = to_regclass(:table)"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a role may do with a table or a column of it."""

    privilege: sql.Composable
    role: sql.Composable
    is_grantable: bool

    def on(self, table: sql.Composable) -> sql.Composable:
        """The statement that allows it."""
        option = sql.SQL(" WITH GRANT OPTION" if self.is_grantable else "")
        return sql.SQL("GRANT {} ON {} TO {}{}").format(self.privilege, table, self.role, option)

    def off(self, table: sql.Composable) -> sql.Composable:
        """The statement that forbids it."""
        return sql.SQL("REVOKE {} ON {} FROM {}").format(self.privilege, table, self.role)


def owner(connection: Connection, table: str) -> sql.Identifier:
    """The role that owns a table."""
    return sql.Identifier(connection.execute(_OWNER, {"table": table}).scalar_one())


def grants(connection: Connection, table: str) -> Iterator[Grant]:
    """What others than the owner may do with a table."""
    names = {row.oid: row.rolname for row in connection.execute(text("SELECT oid, rolname FROM pg_roles"))}
    for column, grantee, privilege, is_grantable in connection.execute(_GRANTS, {"table": table}):
        role = sql.Identifier(names[grantee]) if grantee else sql.SQL("PUBLIC")
        columns = sql.SQL(" ({})").format(sql.Identifier(column)) if column else sql.SQL("")
        yield Grant(sql.SQL(privilege) + columns, role, is_grantable)  # a keyword of the server's own


def run(connection: Connection, statements: Iterable[sql.Composable]) -> None:
    """Run statements without parameters."""
    for statement in statements:
        connection.exec_driver_sql(statement.as_string().replace("%", "%%"))
