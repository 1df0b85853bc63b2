"""Which ids of a PostgreSQL database are still ``INTEGER``, and end at 2^31."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table, text

from cajanegra.storage.growing_ids import GrowingId
from cajanegra.storage.tables import Base

_NARROW = text(
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:table) AND atttypid = 'int4'::regtype"
    " AND attname = ANY (:names) ORDER BY attnum"
)


def growing(table: Table) -> Sequence[str]:
    """The columns of a table with ids that go up with every call."""
    return [column.name for column in table.columns if isinstance(column.type, GrowingId)]


def narrow(connection: Connection) -> Mapping[str, Sequence[str]]:
    """The columns with such ids that are ``INTEGER``, by table; a table without them is left out."""
    found = {
        name: connection.scalars(_NARROW, {"table": name, "names": growing(table)}).all()
        for name, table in Base.metadata.tables.items()
        if growing(table)
    }
    return {name: columns for name, columns in found.items() if columns}
