"""What hangs on a table and would be lost when another one takes its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, text

from cajanegra.errors import SchemaError
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.health_schema import some
from cajanegra.storage.tables import REQUEST_LOGS
from cajanegra.storage.verify import compare_tables

TRIGGER = "cajanegra_copying"
"""What the names of triggers begin with that are our own, while a table is copied."""

_LOGS = REQUEST_LOGS.name
_THESE = text(
    "SELECT to_regclass(:table)::oid UNION SELECT relid FROM pg_partition_tree(to_regclass(:table))"
)
"""The table, with its partitions."""


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Something in the way: in words, and the query that finds it."""

    words: str
    query: str


_OF_EACH: Sequence[_Obstacle] = (
    _Obstacle(
        "views ({}) that would go on showing the old table alone: drop them, and create them again then",
        "SELECT DISTINCT ev_class::regclass::text FROM pg_depend JOIN pg_rewrite r ON r.oid = objid"
        " WHERE classid = 'pg_rewrite'::regclass AND refobjid = ANY (:these)"
        " AND refclassid = 'pg_class'::regclass",
    ),
    _Obstacle(
        "triggers ({}): drop them, and create them again afterwards",
        "SELECT DISTINCT tgname FROM pg_trigger WHERE tgrelid = ANY (:these) AND NOT tgisinternal"
        " AND NOT (:copied AND starts_with(tgname, :ours))",
    ),
    _Obstacle(
        "policies ({}) that are not ours: drop them, and create them again afterwards",
        "SELECT polname FROM pg_policy WHERE polrelid = ANY (:these) AND polname NOT LIKE 'cajanegra\\_%'",
    ),
    _Obstacle(
        "publications ({}): take the table out, and put it in again afterwards",
        "SELECT DISTINCT pubname FROM pg_publication_tables"
        " WHERE to_regclass(quote_ident(schemaname) || '.' || quote_ident(tablename)) = ANY (:these)"
        " AND pubname NOT IN (SELECT pubname FROM pg_publication WHERE puballtables)",
    ),
    _Obstacle(
        "an identity column ({}): ALTER TABLE ... ALTER id DROP IDENTITY, and give it a sequence",
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attidentity <> ''",
    ),
)
_OF_PARTITIONED: Sequence[_Obstacle] = (
    _Obstacle(
        "foreign keys of other tables ({}): an id alone is not unique across partitions; drop them",
        "SELECT conrelid::regclass || '.' || conname FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = ANY (:these)",
    ),
    _Obstacle(
        "unique indexes ({}) of which created_at is no part: drop them",
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = to_regclass(:table)"
        " AND indisunique AND NOT indisprimary AND NOT EXISTS"
        " (SELECT 1 FROM unnest(indkey) AS of(number) JOIN pg_attribute"
        " ON attrelid = indrelid AND attnum = number AND attname IN ('created_at', 'request_id'))",
    ),
)
_OF_PLAIN: Sequence[_Obstacle] = (
    _Obstacle(
        "tables that inherit from it ({})",
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = to_regclass(:table) OR inhrelid = to_regclass(:table)",
    ),
)
_OF_COPIED: Sequence[_Obstacle] = (
    _Obstacle(
        "foreign keys ({}): drop them, and create them again afterwards",
        "SELECT conrelid::regclass || '.' || conname FROM pg_constraint"
        " WHERE contype = 'f' AND (conrelid = ANY (:these) OR confrelid = ANY (:these))",
    ),
    _Obstacle(
        "partitions ({}) that are partitioned themselves: detach them",
        "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
        " WHERE inhparent = to_regclass(:table) AND relkind <> 'r'",
    ),
)


def require_tables(connection: Connection, db: Database, tables: Sequence[Table]) -> None:
    """Raise unless the tables are there and as they must be.

    Raises:
        SchemaError: something is missing or different.
    """
    if migrate.revision_of(connection) != migrate.head():
        raise SchemaError(f"{db.label} is not at revision {migrate.head()}; first 'cajanegra db upgrade'")
    for table in tables:
        wrong = [item for item in compare_tables(connection, [table]) if item.state != "present"]
        if wrong:
            raise SchemaError(
                f"{table.name} is not as it must be ({some(f'{item.kind} {item.item}' for item in wrong)}); "
                "'cajanegra doctor' says what to do"
            )


def refuse(connection: Connection, table: str, *, is_partitioned: bool = False, copied: bool = False) -> None:
    """Raise where something of somebody else's hangs on a table.

    Args:
        connection: of the database.
        table: its name.
        is_partitioned: whether it has partitions already.
        copied: whether a copy takes its place, and not a table that it is attached to.

    Raises:
        SchemaError: says what.
    """
    obstacles = [*_OF_EACH]
    obstacles += _OF_PARTITIONED if table == _LOGS else ()
    obstacles += () if is_partitioned else _OF_PLAIN
    obstacles += _OF_COPIED if copied else ()
    these = connection.scalars(_THESE, {"table": table}).all()
    values = {"table": table, "these": these, "ours": TRIGGER, "copied": copied}
    for obstacle in obstacles:
        found = connection.scalars(text(obstacle.query), values).all()
        if found:
            raise SchemaError(f"{table} has {obstacle.words.format(some(found))}")


def refuse_future(connection: Connection, now: datetime) -> None:
    """Raise where calls were begun after tomorrow, for which no partition would be kept.

    Raises:
        SchemaError: says how many.
    """
    latest = fit_time(now + timedelta(days=1))
    query = f"SELECT count(*), max(created_at) FROM {_LOGS} WHERE created_at > :latest"  # noqa: S608 - a constant
    count, last = connection.execute(text(query), {"latest": latest}).one()
    if count:
        raise SchemaError(
            f"{count} calls were begun in the future, the last at {last}: give them another created_at"
        )
