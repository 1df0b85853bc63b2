"""Copies a table of a live PostgreSQL database into another one, which then takes its place.

A trigger notes the ids of rows that change. The rows are copied in the order of their ids, each batch in a
transaction of its own, and what was noted is copied again until hardly anything is left. So the writers never
meet the copy: what goes wrong with it cannot go wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from cajanegra.errors import StorageError
from cajanegra.storage.database import Database, reading, storage_error, writing
from cajanegra.storage.obstacles import TRIGGER
from cajanegra.storage.partitions import briefly
from cajanegra.storage.shapes import Key, Shape, TableIndex, read

COPIES, REPLACED = "cajanegra_copies", "cajanegra_replaced"
"""Schemas: of the copies, which have their final names there, and of the tables they replaced."""
LOCK_TIMEOUT = 200
"""Milliseconds to wait for a table, and writers behind it; then they have their turn."""
BATCH = 5_000


def noted_of(table: str) -> str:
    """Where the ids of rows are noted that changed since the copy began."""
    return f"{COPIES}.{table}_noted"


MakeRoom = Callable[[Connection, str, Mapping[str, Any]], None]
"""Sees to it that a copy has room for rows: given the condition of which rows, as SQL, and its values."""


def _no_matter(_connection: Connection, _condition: str, _values: Mapping[str, Any]) -> None:
    """A table without partitions has room for any row."""


@dataclass(slots=True)
class Copy:
    """A copy of a table.

    Attributes:
        shape: of the table.
        wide: columns that are ``BIGINT`` in the copy.
        keys: the primary one, by whose first column rows are found, and then others.
        indexes: of the copy, made when the rows are there.
        partition_by: a column; empty where the copy has no partitions.
        expressions: SQL for columns that are not copied as they are, with the values ``values``.
        values: what the expressions name.
        make_room: called before rows are copied, in the same transaction.
    """

    shape: Shape
    wide: Sequence[str]
    keys: Sequence[Key]
    indexes: Sequence[TableIndex]
    partition_by: str = ""
    expressions: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    make_room: MakeRoom = _no_matter
    _first: int = 0
    _last: int = -1
    """The ids of the rows that there were when it began to note what changes."""

    @property
    def table(self) -> str:
        """The table, with its schema."""
        return f"{self.shape.schema}.{self.shape.name}"

    @property
    def copy(self) -> str:
        """The copy, with its schema."""
        return f"{COPIES}.{self.shape.name}"

    @property
    def _noted(self) -> str:
        return noted_of(self.shape.name)

    def make(self, connection: Connection) -> None:
        """Make the copy, without rows."""
        for statement in self._making():
            connection.exec_driver_sql(statement.replace("%", "%%"))

    def _making(self) -> Iterator[str]:
        shape = self.shape
        parts = " ".join(f"INCLUDING {part}" for part in _INCLUDED)
        by = f" PARTITION BY RANGE ({self.partition_by})" if self.partition_by else ""
        options = f" WITH ({shape.options})" if shape.options and not by else ""
        yield f"CREATE TABLE {self.copy} (LIKE {self.table} {parts}){by}{options}"
        changes = [f"ALTER {name} TYPE bigint" for name in self.wide]
        changes += [f"ALTER {self.partition_by} SET NOT NULL"] if by else []
        changes += [f"ADD CONSTRAINT {self.keys[0].name} {self.keys[0].definition}"]
        yield f"ALTER TABLE {self.copy} {', '.join(changes)}"
        yield f"ALTER TABLE {self.copy} OWNER TO {shape.owner}"
        if shape.comment:
            yield f"COMMENT ON TABLE {self.copy} IS {shape.comment}"
        yield f"CREATE UNLOGGED TABLE {self._noted} (id bigint NOT NULL, is_new boolean NOT NULL)"
        yield _FUNCTION.format(copies=COPIES, name=shape.name, noted=self._noted)

    def follow(self, connection: Connection) -> None:
        """Begin to note what changes, which waits until those are done who write to the table just now."""
        function = f"EXECUTE FUNCTION {COPIES}.note_{self.shape.name}()"
        for name, event, each in (
            (TRIGGER, "INSERT OR UPDATE OR DELETE", "ROW"),
            (f"{TRIGGER}_truncate", "TRUNCATE", "STATEMENT"),
        ):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {name} AFTER {event} ON {self.table} FOR EACH {each} {function}"
            )
            # What comes by replication, too.
            connection.exec_driver_sql(f"ALTER TABLE {self.table} ENABLE ALWAYS TRIGGER {name}")

    def span(self, connection: Connection) -> int:
        """How many ids there are to go through, once it is noted what changes."""
        query = text(f"SELECT min(id), max(id) FROM {self.table}")  # noqa: S608 - names of the models
        first, last = connection.execute(query).one()
        if first is not None:
            self._first, self._last = first, last
        return self._last - self._first + 1

    def fill(self, db: Database, tell: Callable[[int], None]) -> None:
        """Copy the rows that there were.

        Args:
            db: the database.
            tell: told through how many more ids it has gone.

        Raises:
            StorageError: the database cannot be reached or refuses.
        """
        done, last = self._first - 1, self._last
        batch = text(
            f"SELECT max(id) FROM (SELECT id FROM {self.table} WHERE id > :done AND id <= :last"  # noqa: S608 - as above
            f" ORDER BY id LIMIT {BATCH}) AS batch"
        )
        where = "id > :done AND id <= :upto"
        while done < last:
            # In one snapshot, so that there is room for whatever is copied.
            with _unhurried(db, repeatable=True) as connection:
                upto = connection.execute(batch, {"done": done, "last": last}).scalar()
                upto = last if upto is None else upto
                values = {"done": done, "upto": upto}
                self.make_room(connection, where, values)
                self._insert(connection, where, values)
            tell(upto - done)
            done = upto
            self.catch_up(db)

    def finish(self, db: Database) -> None:
        """Make the other keys and the indexes, when the copy is as the table was at one moment.

        Raises:
            StorageError: the database cannot be reached or refuses.
        """
        self.catch_up(db)
        statements = [
            f"ALTER TABLE {self.copy} ADD CONSTRAINT {key.name} {key.definition}" for key in self.keys[1:]
        ]
        statements += [
            f"CREATE {index.kind} {index.name} ON {self.copy} {index.definition}" for index in self.indexes
        ]
        for statement in (*statements, f"ANALYZE {self.copy}"):
            with _unhurried(db) as connection:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    def catch_up(self, db: Database) -> int:
        """Copy again what was noted; how many changes that were.

        Raises:
            StorageError: the database cannot be reached or refuses.
        """
        # One snapshot: a change and its note are seen together, so that the copy is as the table is in it.
        with _unhurried(db, repeatable=True) as connection:
            return self.take_over(connection)

    def take_over(self, connection: Connection) -> int:
        """The same in a transaction that nobody writes to the table beside, or does not see it."""
        # There are few notes and many rows, which the planner cannot know of a table that is always emptied.
        connection.execute(text("SET LOCAL enable_hashjoin = off"))
        connection.execute(text("SET LOCAL enable_mergejoin = off"))
        changed = f"id IN (SELECT id FROM {self._noted})"  # noqa: S608 - as above
        self.make_room(connection, changed, {})
        if not connection.execute(text(f"SELECT EXISTS (SELECT 1 FROM {self._noted})")).scalar():  # noqa: S608 - as above
            return 0
        # What was inserted with a later id cannot be in the copy yet.
        stale = f"id IN (SELECT id FROM {self._noted} WHERE NOT is_new OR id <= :last)"  # noqa: S608 - as above
        connection.execute(text(f"DELETE FROM {self.copy} WHERE {stale}"), {"last": self._last})  # noqa: S608 - as above
        self._insert(connection, changed, {})
        return connection.execute(text(f"DELETE FROM {self._noted}")).rowcount  # noqa: S608 - as above

    def tidy(self, db: Database) -> None:
        """Free the room of notes that were taken over, which each look at notes would have to go through.

        Raises:
            StorageError: the database cannot be reached or refuses.
        """
        try:
            with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(f"VACUUM {self._noted}")
        except SQLAlchemyError as error:
            raise storage_error(db, error) from None

    def require_unchanged(self, connection: Connection) -> None:
        """Raise where the table is not what was copied any more.

        Raises:
            StorageError: says so.
        """
        query = text(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass(:table) AND tgenabled = 'A'"
            " AND tgname IN (:row, :truncate)"
        )
        names = {"row": TRIGGER, "truncate": f"{TRIGGER}_truncate"}
        count = connection.execute(query, {"table": self.table, **names}).scalar()
        if count != len(names) or read(connection, self.shape.name) != self.shape:
            raise StorageError(f"{self.shape.name} was altered while it was copied; do it again")

    def put_in_place(
        self, connection: Connection, partitions: Sequence[str], new_partitions: Sequence[str]
    ) -> None:
        """Exchange table and copy, which the transaction has locked; names are as they were.

        Args:
            connection: in a transaction.
            partitions: of the table.
            new_partitions: of the copy.
        """
        for statement in self._exchanging(partitions, new_partitions):
            connection.exec_driver_sql(statement)

    def _exchanging(self, partitions: Sequence[str], new_partitions: Sequence[str]) -> Iterator[str]:
        schema, sequence = self.shape.schema, self.shape.sequence
        if sequence is not None:
            if sequence.is_owned:
                yield f"ALTER SEQUENCE {sequence.name} OWNED BY NONE"
            yield f"ALTER SEQUENCE {sequence.name} AS bigint"
        for name in (self.shape.name, *partitions):
            yield f"ALTER TABLE {schema}.{name} SET SCHEMA {REPLACED}"
        for name in (self.shape.name, *new_partitions):
            yield f"ALTER TABLE {COPIES}.{name} SET SCHEMA {schema}"
        if sequence is not None and sequence.is_owned:
            yield f"ALTER SEQUENCE {sequence.name} OWNED BY {self.table}.id"

    def _insert(self, connection: Connection, condition: str, values: Mapping[str, Any]) -> None:
        """Copy rows, but those that are there as they are: were they not, their change would be noted."""
        key = self.keys[0].definition.removeprefix("PRIMARY KEY ")
        columns = [column.name for column in self.shape.columns if not column.is_generated]
        chosen = ", ".join(self.expressions.get(name, name) for name in columns)
        connection.execute(
            text(
                f"INSERT INTO {self.copy} ({', '.join(columns)})"  # noqa: S608 - names of the catalogue
                f" SELECT {chosen} FROM {self.table} WHERE {condition} ON CONFLICT {key} DO NOTHING"
            ),
            {**values, **self.values},
        )


@contextmanager
def _unhurried(db: Database, *, repeatable: bool = False) -> Iterator[Connection]:
    """A transaction that may take its time, since nobody waits for it."""
    with writing(db, repeatable=repeatable) as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        yield connection


_INCLUDED = ("DEFAULTS", "CONSTRAINTS", "GENERATED", "STORAGE", "COMMENTS")
_FUNCTION = """
CREATE FUNCTION {copies}.note_{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION '{name} is being copied (cajanegra db partition --bigint), and cannot be emptied'
            USING ERRCODE = 'object_in_use';
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {noted} (id, is_new) VALUES (NEW.id, true);
    ELSE
        INSERT INTO {noted} (id, is_new) VALUES (OLD.id, false);
        IF TG_OP = 'UPDATE' AND NEW.id <> OLD.id THEN
            INSERT INTO {noted} (id, is_new) VALUES (NEW.id, false);
        END IF;
    END IF;
    RETURN NULL;
END $$
"""
"""It writes with the rights of whoever copies: the writers know nothing of it."""


def discard(db: Database) -> None:
    """Drop what there is of copies, whoever has left it, and of the tables that were replaced.

    Raises:
        StorageError: the database cannot be reached or refuses, or somebody holds a table all the time.
    """
    with reading(db) as connection:
        schemas = connection.scalars(_SCHEMAS, {"names": [COPIES, REPLACED]}).all()
        values = {"schemas": schemas}
        triggers = connection.scalars(_TRIGGERS, values).all()
        tables = connection.scalars(_TABLES, values).all()
    for trigger in triggers:
        drop = text(f"DROP TRIGGER {trigger}")
        briefly(db, lambda connection, drop=drop: connection.execute(drop), lock_timeout=LOCK_TIMEOUT)  # type: ignore[misc]
    for table in tables:  # one by one: all together may take more locks than the server has
        with writing(db) as connection:
            connection.execute(text(f"DROP TABLE {table}"))
    for schema in schemas:
        with writing(db) as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))


_SCHEMAS = text("SELECT nspname FROM pg_namespace WHERE nspname = ANY (:names)")
_TRIGGERS = text(
    "SELECT quote_ident(tgname) || ' ON ' || tgrelid::regclass"
    " FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid"
    " WHERE tgparentid = 0 AND pronamespace::regnamespace::text = ANY (:schemas)"
    " AND tgrelid NOT IN (SELECT oid FROM pg_class WHERE relnamespace::regnamespace::text = ANY (:schemas))"
)
_TABLES = text(
    "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('r', 'p')"
    " AND relnamespace::regnamespace::text = ANY (:schemas) ORDER BY relispartition DESC"
)
"""Partitions before what they are partitions of."""
