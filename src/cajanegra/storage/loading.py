"""Inserts rows in bulk: by COPY into PostgreSQL, by statements of many rows into SQLite."""

from __future__ import annotations

import functools
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

Columns = Sequence[Sequence[Any]]
"""Columns of equal length; times and JSON are text, as the drivers pass them on."""


@dataclass(frozen=True, slots=True)
class Load:
    """Rows as the database takes them.

    Attributes:
        rows: how many.
        text: in the text format of COPY, for PostgreSQL.
        statements: with their parameters, for SQLite; they pass over rows that are there already.
    """

    rows: int
    text: bytes = b""
    statements: Sequence[tuple[str, Sequence[Any]]] = ()


_NULL = r"\N"
_SPECIAL = b"\\\t\n\r"
_MAX_ROWS = 1_000
"""Rows at most in one statement for SQLite, which is run to its end without the interpreter's lock."""
MAX_PARAMETERS = 32_766 if sqlite3.sqlite_version_info >= (3, 32) else 999
"""Of one statement (SQLite's manual, Limits, "Maximum Number Of Host Parameters")."""


def prepare(dialect: str, table: str, names: Sequence[str], columns: Columns) -> Load:
    """Do what can be done without the database to insert rows."""
    if dialect == "postgresql":
        return Load(len(columns[0]), text=_copy_text(columns))
    return Load(len(columns[0]), statements=_statements(table, names, columns))


def load(connection: Connection, table: str, names: Sequence[str], parts: Iterable[Load]) -> int:
    """Insert rows; how many are new.

    Raises:
        IntegrityError: in PostgreSQL, that one is there already (see ``is_duplicate``).
        DBAPIError: what the database says; the transaction is to be rolled back.
    """
    if connection.dialect.name == "postgresql":
        return _copy(connection, table, names, parts)
    return _execute(connection, parts)


def load_columns(connection: Connection, table: str, names: Sequence[str], columns: Columns) -> int:
    """Insert rows that nothing was prepared for, as ``load`` does."""
    return load(connection, table, names, [prepare(connection.dialect.name, table, names, columns)])


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


def _copy_text(columns: Columns) -> bytes:
    """The rows in the text format of COPY (PostgreSQL's manual, COPY, "Text Format")."""
    rows = len(columns[0])
    if not rows:
        return b""
    missing = [values.count(None) for values in columns]
    try:
        text = _lines([*_texts(columns, missing)])
    except TypeError:  # a column is not of one type
        return _lines([*map(_escaped, columns)])
    # A tab or a newline stands behind each value, and a backslash begins each null.
    special = rows * len(columns) + sum(missing)
    if len(text) - len(text.translate(None, _SPECIAL)) > special:
        return _lines([*map(_escaped, columns)])
    return text


def _texts(columns: Columns, missing: Sequence[int]) -> Iterator[Sequence[str]]:
    """Columns as text, as far as nothing in it has to be escaped; empty neighbours are one column."""
    rows = len(columns[0])
    for is_empty, some in itertools.groupby(zip(columns, missing, strict=True), lambda one: one[1] == rows):
        if is_empty:
            yield ["\t".join(_NULL for _column in some)] * rows
            continue
        for values, nulls in some:
            if nulls:
                yield [_NULL if value is None else str(value) for value in values]
            else:
                yield values if isinstance(values[0], str) else [*map(str, values)]


def _copy(connection: Connection, table: str, names: Sequence[str], parts: Iterable[Load]) -> int:
    statement = f"COPY {table} ({', '.join(names)}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    rows = 0
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copying:
            for part in parts:
                copying.write(part.text)
                rows += part.rows
    except psycopg.Error as error:
        raise DBAPIError.instance(statement, None, error, psycopg.Error) from error
    return rows


def _statements(table: str, names: Sequence[str], columns: Columns) -> Sequence[tuple[str, Sequence[Any]]]:
    size = len(columns[0])
    # A column without a single value is not bound row by row.
    given = tuple(values.count(None) < size for values in columns)
    columns = [values for values, is_given in zip(columns, given, strict=True) if is_given]
    rows = [*zip(*columns, strict=True)]
    most = max(1, min(_MAX_ROWS, MAX_PARAMETERS // max(1, len(columns))))
    return [
        (
            _insert(table, tuple(names), given, len(some := rows[start : start + most])),
            [*itertools.chain.from_iterable(some)],
        )
        for start in range(0, size, most)
    ]


def _execute(connection: Connection, parts: Iterable[Load]) -> int:
    driver: Any = connection.connection.driver_connection
    inserted = 0
    for part in parts:
        for statement, parameters in part.statements:
            try:
                inserted += driver.execute(statement, parameters).rowcount
            except sqlite3.Error as error:
                raise DBAPIError.instance(statement, None, error, sqlite3.Error) from error
    return inserted


def _lines(columns: Sequence[Sequence[str]]) -> bytes:
    return "\n".join([*map("\t".join, zip(*columns, strict=True)), ""]).encode()


def _escaped(values: Sequence[Any]) -> Sequence[str]:
    texts = ["" if value is None else str(value) for value in values]
    together = "".join(texts)
    if len(_escape(together)) > len(together):
        texts = [*map(_escape, texts)]
    return [_NULL if value is None else text for value, text in zip(values, texts, strict=True)]


def _escape(text: str) -> str:
    # Of long texts, which have hardly one of these, several times as fast as translate().
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


@functools.lru_cache(maxsize=512)
def _insert(table: str, names: tuple[str, ...], given: tuple[bool, ...], rows: int) -> str:
    row = f"({', '.join('?' if is_given else 'NULL' for is_given in given)})"
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([row] * rows)} "  # noqa: S608 - our own names
        "ON CONFLICT DO NOTHING"
    )
