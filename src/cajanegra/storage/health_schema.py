"""Checks of the tables themselves, alike on both databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnClause, Connection, column, func, select
from sqlalchemy import table as table_clause
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.storage import migrate
from cajanegra.storage.check import Check
from cajanegra.storage.verify import Finding

UPGRADE = "cajanegra db upgrade"
_SHOWN = 5


def schema_checks(connection: Connection, findings: Sequence[Finding]) -> list[Check]:
    """Tables, revision, columns, indexes and duplicates."""
    wrong = [finding for finding in findings if finding.state != "present"]
    postgresql = connection.dialect.name == "postgresql"
    if len({finding.table for finding in findings}) == len(findings) == len(wrong):  # no table is there
        return [_tables(wrong)]
    return [
        _tables(wrong),
        _revision(connection),
        _columns(wrong, postgresql=postgresql),
        _indexes(wrong, postgresql=postgresql),
        _duplicates(connection, wrong),
    ]


def some(items: Iterable[str]) -> str:
    """The first few of them, in words."""
    shown = list(items)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _tables(wrong: list[Finding]) -> Check:
    missing = [finding.table for finding in wrong if finding.kind == "table"]
    if missing:
        return Check("tables", "failed", f"missing: {', '.join(missing)}", UPGRADE)
    return Check("tables", "ok", "all there")


def _revision(connection: Connection) -> Check:
    head = migrate.head()
    try:
        with connection.begin_nested():
            found = migrate.revision_of(connection)
    except SQLAlchemyError:
        return Check("revision", "warning", "cannot be read", "see privileges")
    if found == head:
        return Check("revision", "ok", head)
    if found is None:
        return Check("revision", "warning", "the tables were not made or adopted by a migration", UPGRADE)
    if found in migrate.revisions():
        return Check("revision", "warning", f"{found}, and {head} is the newest", UPGRADE)
    return Check("revision", "warning", f"{found} is of a newer version than this one", "upgrade cajanegra")


def _columns(wrong: list[Finding], *, postgresql: bool) -> Check:
    found = [finding for finding in wrong if finding.kind not in {"table", "index"}]
    if not found:
        return Check("columns", "ok", "all there and as they must be")
    detail = some(f"{item.table} ({item.item}) {item.kind} {item.found or 'missing'}" for item in found)
    # Rows cannot be written where a column or a key is missing, or a foreign column insists on a value.
    fatal = any(item.state == "missing" and item.kind != "default" for item in found)
    fatal = fatal or any(item.kind == "nullable" and item.found == "NOT NULL" for item in found)
    mends = list(dict.fromkeys(_column_mend(item, postgresql=postgresql) for item in found))
    return Check("columns", "failed" if fatal else "warning", detail, "; ".join(mends))


def _column_mend(item: Finding, *, postgresql: bool) -> str:
    alter = f'ALTER TABLE {item.table} ALTER COLUMN "{item.item}"'
    if not postgresql or item.state == "missing" or item.kind == "unique":
        return UPGRADE
    if item.kind == "type":
        return f'{alter} TYPE {item.expected} USING "{item.item}"::{item.expected}'
    if item.kind == "nullable":
        return UPGRADE if item.expected == "NOT NULL" else f"{alter} DROP NOT NULL"
    default = (
        item.expected if item.expected[:1].isdigit() or item.expected.isupper() else f"'{item.expected}'"
    )
    return f"{alter} SET DEFAULT {default}"


def _indexes(wrong: list[Finding], *, postgresql: bool) -> Check:
    found = [finding for finding in wrong if finding.kind == "index"]
    if not found:
        return Check("indexes", "ok", "all there and valid")
    detail = some(f"{item.item} {item.state}" for item in found)
    return Check("indexes", "warning", detail, "; ".join(_index_mend(found, postgresql=postgresql)))


def _index_mend(found: list[Finding], *, postgresql: bool) -> Iterator[str]:
    """SQL that does not stop writers of a large table: one statement at a time, outside a transaction."""
    concurrently = " CONCURRENTLY" if postgresql else ""
    for item in found:
        if item.state == "different":
            yield f"DROP INDEX{concurrently} {item.item}"
        yield f"CREATE INDEX{concurrently} {item.item} ON {item.table} ({item.expected})"


def _duplicates(connection: Connection, wrong: list[Finding]) -> Check:
    unguarded = [item for item in wrong if item.kind == "unique" and item.found == "" and item.item != "id"]
    for item in unguarded:
        key: ColumnClause[Any] = column(item.item)
        query = select(key).select_from(table_clause(item.table)).where(key.is_not(None)).group_by(key)
        repeated = query.having(func.count() > 1)
        try:
            with connection.begin_nested():
                count = connection.scalar(select(func.count()).select_from(repeated.subquery()))
        except SQLAlchemyError:
            return Check(
                "duplicates", "warning", f"{item.table} cannot be read", "see columns and privileges"
            )
        if count:
            rows = f"SELECT max(id) FROM {item.table} GROUP BY {item.item}"  # noqa: S608 - for a person to read
            mend = f"DELETE FROM {item.table} WHERE {item.item} IS NOT NULL AND id NOT IN ({rows})"  # noqa: S608 - as above
            detail = (
                f"{count} values of {item.table}.{item.item} are in more than one row, and must be unique"
            )
            return Check("duplicates", "failed", detail, f"keep the newest of each: {mend}; then {UPGRADE}")
    return Check("duplicates", "ok", "none, and none can come" if not unguarded else "none")
