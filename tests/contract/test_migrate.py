from __future__ import annotations

from sqlalchemy import inspect

from cajanegra.storage import migrate
from cajanegra.storage.database import Database


def test_a_database_has_the_newest_revision(database: Database) -> None:
    assert migrate.current(database) == "0001"
    assert inspect(database.engine).has_table("ai_request_logs")


def test_an_empty_database_has_none(empty_database: Database) -> None:
    assert migrate.current(empty_database) is None
