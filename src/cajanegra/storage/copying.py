"""Bulk insert into PostgreSQL: COPY into a staging table, then INSERT what is new."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from cajanegra.storage.rows import CALL_COLUMNS, Row

_COLUMNS = ", ".join(CALL_COLUMNS)
# Made in the transaction that uses it, and gone with it: behind a transaction pooler nothing else is ours.
_STAGE = (
    "CREATE TEMPORARY TABLE cajanegra_staging ON COMMIT DROP AS "  # noqa: S608 - constants
    f"SELECT {_COLUMNS} FROM ai_request_logs WITH NO DATA"
)
_COPY = f"COPY cajanegra_staging ({_COLUMNS}) FROM STDIN"
_INSERT = (
    f"INSERT INTO ai_request_logs ({_COLUMNS}) SELECT {_COLUMNS} FROM cajanegra_staging "  # noqa: S608 - constants
    "ON CONFLICT (request_id) DO NOTHING RETURNING request_id, id"
)
_JSON_COLUMNS = frozenset({"request_metadata", "response_metadata"})


def insert_new(connection: Connection, rows: list[Row]) -> dict[str, int]:
    """Insert the rows whose ``request_id`` is new; the ids of those by ``request_id``."""
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS pg_temp.cajanegra_staging")
            cursor.execute(_STAGE)
            with cursor.copy(_COPY) as copy:
                for row in rows:
                    copy.write_row([_value(name, row[name]) for name in CALL_COLUMNS])
            cursor.execute(_INSERT)
            return dict(cursor.fetchall())
    except psycopg.Error as error:
        raise DBAPIError.instance(_INSERT, None, error, psycopg.Error) from error


def _value(name: str, value: Any) -> Any:
    return json.dumps(value) if name in _JSON_COLUMNS and value is not None else value
