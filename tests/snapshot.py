"""What a database's own catalogue says about the product's tables, to compare one with another."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import text

from cajanegra.storage.database import Database

GUIDE = (Path(__file__).parent / "data" / "guide.sql").read_text(encoding="utf-8")
"""The SQL of the migration guide, to the letter."""

_COLUMNS = """
    SELECT c.relname, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)
    FROM pg_attribute
    JOIN pg_class c ON c.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped AND relnamespace = 'public'::regnamespace
    ORDER BY relname, attnum
"""
_CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1, 2
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
_SEQUENCES = "SELECT sequencename, data_type::text FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"


def snapshot(database: Database) -> dict[str, list[Any]]:
    """Columns in their order, constraints, indexes and sequences."""
    with database.engine.connect() as connection:
        if database.dialect == "postgresql":
            queries = {
                "columns": _COLUMNS,
                "constraints": _CONSTRAINTS,
                "indexes": _INDEXES,
                "sequences": _SEQUENCES,
            }
            return {
                name: [tuple(row) for row in connection.execute(text(query))]
                for name, query in queries.items()
            }
        tables = connection.scalars(
            text("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ).all()
        found: dict[str, list[Any]] = {}
        for table in tables:
            columns = connection.exec_driver_sql(f"PRAGMA table_xinfo({table})")
            found[table] = [tuple(row) for row in columns]
        made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master ORDER BY 1")
        found["sql"] = [(name, _words(sql)) for name, sql in made if sql]
        return found


def _words(sql: str) -> list[str]:
    """The words of a statement, in alphabetical order: which clause a table begins with says nothing."""
    return sorted(re.findall(r"[\w.']+", sql.replace('"', "")))


def run_script(database: Database, script: str) -> None:
    """Run a script of several statements, as psql and sqlite3 do."""
    if database.dialect == "sqlite":
        assert database.url.database
        connection = sqlite3.connect(database.url.database)
        connection.executescript(script)
        connection.close()
    else:
        url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as postgres:
            postgres.execute(script.encode())
