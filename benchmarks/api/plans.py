"""Which index each statement of a request uses, as the database says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from cajanegra.storage.database import Database

_INDEX = re.compile(
    r"(?:using|USING)(?: COVERING)? (?:INDEX )?([a-z_]\w+)|Bitmap Index Scan on (\w+)|(INTEGER PRIMARY KEY)"
    r"|(?:Seq Scan on|SCAN) (\w+)"
)
_EXPLAIN = {"postgresql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN "}


@contextmanager
def plans_of(database: Database) -> Iterator[list[str]]:
    """Indexes of the statements that are run meanwhile; a table's name in capitals is a scan of it."""
    found: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")) and "ai_" in statement:
            other = cursor.connection.cursor()
            other.execute(_EXPLAIN[database.dialect] + statement, values)
            for row in other.fetchall():
                for index, bitmap, key, table in _INDEX.findall(str(row)):
                    found.append(index or bitmap or (key and "primary key") or table.upper())
            other.close()

    event.listen(database.engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", explain)
