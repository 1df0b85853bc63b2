"""A database whose ids are made 64 bits wide, for the tests that say what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from cajanegra.domain.record import CallRecord, FeedbackRecord
from cajanegra.storage.database import Database
from cajanegra.storage.partitioning import partition
from cajanegra.storage.verify import verify
from records import NOW, recovered_call, write

DAY = timedelta(days=1)
TABLES = (
    "ai_request_logs",
    "ai_error_recovery",
    "cajanegra_contents",
    "cajanegra_occurrences",
    "cajanegra_waiting",
)
"""Those that are copied."""


def fill(database: Database, layout: str) -> None:
    """Rows in all tables, and a call of each of the last nine days."""
    write(database, *(full_call(f"old-{age}", age) for age in range(4, 9)))
    write(database, FeedbackRecord("early", "acme", "thumbs_up", None, NOW))
    if layout == "partitioned":
        partition(database, now=NOW - 4 * DAY)
    write(database, *(full_call(f"new-{age}", age) for age in range(5)))


def full_call(request_id: str, age: float = 0) -> CallRecord:
    """A call of so many days ago with a step, a content and a pattern."""
    return recovered_call(request_id, created_at=NOW - age * DAY, prompt="p", answer="a")


def ask(database: Database, query: str, **values: Any) -> list[Any]:
    with database.engine.connect() as connection:
        return list(connection.execute(text(query), values))


def run(database: Database, *statements: str, **values: Any) -> None:
    """Statements in one transaction."""
    with database.transaction() as connection:
        for statement in statements:
            connection.execute(text(statement), values)


def rows(database: Database) -> dict[str, list[Any]]:
    """All that is copied; across partitions an id may be there twice."""
    found = {name: ask(database, f"SELECT * FROM {name}") for name in TABLES}  # noqa: S608
    return {name: sorted(those, key=lambda row: (row.id, str(row))) for name, those in found.items()}


def widen(database: Database, meanwhile: Callable[[int], None] = lambda _done: None) -> None:
    """Convert, and do something each time that it says how far it is."""
    partition(database, bigint=True, now=NOW, on_progress=lambda done, _of: meanwhile(done))


def wrong(database: Database) -> list[Any]:
    """What is not as it must be."""
    return [finding for finding in verify(database) if finding.state != "present"]


def left_over(database: Database) -> list[Any]:
    """What a conversion needs while it goes on."""
    return ask(
        database,
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'cajanegra%'"
        " UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE 'cajanegra%'",
    )


def widths(database: Database) -> set[str]:
    """The types of ids."""
    query = (
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid::regclass::text = ANY (:tables)"
        " AND attname IN ('id', 'request_log_id')"
    )
    return {width for (width,) in ask(database, query, tables=list(TABLES))}
