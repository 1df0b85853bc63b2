"""Inserts rows in bulk: by COPY into PostgreSQL, by statements of many rows into SQLite."""

from __future__ import annotations

import functools
import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

Columns = Sequence[Sequence[Any]]
"""Columns of equal length; times and JSON are text, as the drivers pass them on."""

_NULL = r"\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_MAX_ROWS = 250
"""Rows at most in one statement for SQLite, which is run to its end without the interpreter's lock."""


def load(connection: Connection, table: str, names: Sequence[str], columns: Columns) -> None:
    """Insert rows.

    Raises:
        DBAPIError: what the database says.
    """
    if connection.dialect.name == "postgresql":
        copy(connection, table, names, [copy_text(columns)])
    else:
        insert_many(connection, table, names, columns)


def overwrite(connection: Connection, table: str, values: Mapping[str, Any], row_id: int) -> None:
    """Give the columns of a row other values, in the form in which rows are inserted."""
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    settings = ", ".join(f"{name} = {mark}" for name in values)
    statement = f"UPDATE {table} SET {settings} WHERE id = {mark}"  # noqa: S608 - our own names
    connection.exec_driver_sql(statement, (*values.values(), row_id))


def is_duplicate(error: IntegrityError) -> bool:
    """Whether a row is there already, and not whether a value is missing or forbidden."""
    state = getattr(error.orig, "sqlstate", None)
    return state == _UNIQUE_VIOLATION if state else "UNIQUE constraint" in str(error.orig)


_UNIQUE_VIOLATION = "23505"


def copy_text(columns: Columns) -> bytes:
    """The rows in the text format of COPY (PostgreSQL's manual, COPY, "Text Format")."""
    rows = len(columns[0])
    if not rows:
        return b""
    nulls = 0
    texts: list[Sequence[str]] = []
    for values in columns:
        kinds = {*map(type, values)}
        if kinds == {str}:
            texts.append(values)
        elif kinds == {int}:
            texts.append([*map(str, values)])
        elif kinds == {type(None)}:
            texts.append([_NULL] * rows)
            nulls += rows
        else:
            texts.append([_NULL if value is None else str(value) for value in values])
            nulls += values.count(None)
    text = _lines(texts)
    separators = rows * (len(columns) - 1), rows
    if (text.count("\t"), text.count("\n")) != separators or text.count("\\") != nulls or "\r" in text:
        text = _lines([_escaped(values) for values in columns])
    return text.encode()


def copy(connection: Connection, table: str, names: Sequence[str], texts: Iterable[bytes]) -> None:
    """Insert rows by COPY.

    Raises:
        DBAPIError: what PostgreSQL says; the transaction is to be rolled back.
    """
    statement = f"COPY {table} ({', '.join(names)}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copying:
            for text in texts:
                copying.write(text)
    except psycopg.Error as error:
        raise DBAPIError.instance(statement, None, error, psycopg.Error) from error


def insert_many(connection: Connection, table: str, names: Sequence[str], columns: Columns) -> int:
    """Insert rows into a table of SQLite, but for those that are there already; how many were new."""
    rows = list(zip(*columns, strict=True))
    driver: Any = connection.connection.driver_connection
    variables = driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    most = max(1, min(_MAX_ROWS, variables // len(names)))
    inserted = 0
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        statement = _insert(table, tuple(names), len(some))
        inserted += connection.exec_driver_sql(statement, tuple(itertools.chain.from_iterable(some))).rowcount
    return inserted


def insert_stream(connection: Connection, table: str, names: Sequence[str], parts: Iterable[Columns]) -> int:
    """Insert as ``insert_many`` does, while the next part is prepared; how many rows were new."""
    inserted = 0
    running: _Background | None = None
    try:
        for columns in parts:
            if running is not None:
                inserted += running.result()
            running = _Background(functools.partial(insert_many, connection, table, names, columns))
    finally:
        if running is not None:
            running.join()
    return inserted + (running.result() if running is not None else 0)


class _Background:
    """Work on another thread; on this one where no thread can be started any more."""

    def __init__(self, work: Callable[[], int]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._count = 0
        self._thread: threading.Thread | None = threading.Thread(target=self._run, name="cajanegra-sqlite")
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is about to end
            self._thread = None
            self._run()

    def join(self) -> None:
        """Wait for its end."""
        if self._thread is not None:
            self._thread.join()

    def result(self) -> int:
        """Wait for its end; what it raised is raised."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._count

    def _run(self) -> None:
        try:
            self._count = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error


def _lines(columns: Iterable[Sequence[str]]) -> str:
    return "\n".join([*map("\t".join, zip(*columns, strict=True)), ""])


def _escaped(values: Sequence[Any]) -> Sequence[str]:
    return [
        value.translate(_ESCAPES) if type(value) is str else _NULL if value is None else str(value)
        for value in values
    ]


@functools.lru_cache(maxsize=512)
def _insert(table: str, names: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * len(names))})"
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([row] * rows)} "  # noqa: S608 - our own names
        "ON CONFLICT DO NOTHING"
    )
