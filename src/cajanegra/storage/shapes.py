"""How a PostgreSQL table is made, as far as another one like it has to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

_TABLE = text(
    "SELECT quote_ident(nspname) AS schema, quote_ident(pg_get_userbyid(relowner)) AS owner,"
    " relkind = 'p' AS is_partitioned, array_to_string(reloptions, ', ') AS options,"
    " quote_literal(obj_description(c.oid, 'pg_class')) AS comment"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = to_regclass(:table)"
)
_COLUMNS = text(
    "SELECT quote_ident(attname), format_type(atttypid, atttypmod), attnotnull, attgenerated <> '',"
    " pg_get_expr(adbin, adrelid) FROM pg_attribute"
    " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
    " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_KEYS = text(
    "SELECT quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid = to_regclass(:table) AND contype IN ('p', 'u', 'x') ORDER BY contype, conname"
)
_CHECKS = text(
    "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid = to_regclass(:table) AND contype = 'c' ORDER BY conname"
)
_INDEXES = text(
    "SELECT quote_ident(relname), indisunique,"
    " substring(definition FROM position(' USING ' IN definition) + 1) FROM pg_index"
    " JOIN pg_class c ON c.oid = indexrelid CROSS JOIN pg_get_indexdef(indexrelid) AS of(definition)"
    " WHERE indrelid = to_regclass(:table) AND indisvalid"
    " AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))"
    " ORDER BY relname"
)
_SEQUENCE = text(
    "SELECT quote_ident(nspname) || '.' || quote_ident(relname) AS name,"
    " pg_get_serial_sequence(:table, 'id')::regclass IS NOT DISTINCT FROM c.oid AS is_owned"
    " FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum AND attname = 'id'"
    " JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid"
    " JOIN pg_class c ON c.oid = refobjid AND relkind = 'S' JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE adrelid = to_regclass(:table)"
)


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column; the name is quoted where it has to be."""

    name: str
    type: str
    is_required: bool
    is_generated: bool
    default: str | None


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key or another unique constraint, and the SQL behind its name."""

    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class TableIndex:
    """An index that is no key, and the SQL behind the name of its table."""

    name: str
    is_unique: bool
    definition: str

    @property
    def kind(self) -> str:
        """What is created."""
        return "UNIQUE INDEX" if self.is_unique else "INDEX"


@dataclass(frozen=True, slots=True)
class IdSource:
    """Where the ids come from, and whether it goes with the table."""

    name: str
    is_owned: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A table.

    Attributes:
        name: its own.
        schema: that it is in.
        owner: the role.
        is_partitioned: whether it has partitions.
        options: storage parameters, as SQL.
        comment: a literal; ``None`` where it has none.
        columns: in their order.
        keys: the primary one first.
        checks: conditions that each row has to meet, as SQL.
        indexes: that are valid and no keys.
        sequence: of the ids; ``None`` where somebody else gives them.
    """

    name: str
    schema: str
    owner: str
    is_partitioned: bool
    options: str | None
    comment: str | None
    columns: Sequence[TableColumn]
    keys: Sequence[Key]
    checks: Sequence[str]
    indexes: Sequence[TableIndex]
    sequence: IdSource | None


def read(connection: Connection, table: str) -> Shape:
    """The shape of a table that is there."""
    values = {"table": table}
    of_table = connection.execute(_TABLE, values).mappings().one()
    sequence = connection.execute(_SEQUENCE, values).first()
    return Shape(
        name=table,
        **of_table,
        columns=[TableColumn(*row) for row in connection.execute(_COLUMNS, values)],
        keys=[Key(*row) for row in connection.execute(_KEYS, values)],
        checks=connection.scalars(_CHECKS, values).all(),
        indexes=[TableIndex(*row) for row in connection.execute(_INDEXES, values)],
        sequence=None if sequence is None else IdSource(*sequence),
    )
