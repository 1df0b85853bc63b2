"""Reads and writes rows of ``cajanegra_rollups``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, String, cast, literal, select

from cajanegra.domain import sketch
from cajanegra.storage import loading
from cajanegra.storage.rollups.cubes import Key, text_of
from cajanegra.storage.sums import Sums, details_of
from cajanegra.storage.tables import ROLLUPS

KEYS = tuple(column.name for column in ROLLUPS.primary_key.columns)
_VALUES = tuple(column.name for column in ROLLUPS.columns if column.name not in KEYS)
_ALL = (*KEYS, *_VALUES)
_BINARY = ("latency", "first_token")
_JSON = ("statuses", "costs")
_TYPES = {
    **dict.fromkeys(KEYS, "text"),
    **dict.fromkeys(("start", "last_at"), "timestamp"),
    **dict.fromkeys(_JSON, "jsonb"),
    **dict.fromkeys(_BINARY, "bytea"),
}
"""Of PostgreSQL; all others are numbers."""
_SETTING = f"INSERT INTO {ROLLUPS.name} ({', '.join(_ALL)})"
_REPLACING = (
    f"ON CONFLICT ({', '.join(KEYS)}) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in _VALUES)}"
)
_ASKED_AT_ONCE = 50
"""Rows in one statement: half a millisecond of work."""
_COLUMNS = ROLLUPS.c
read_json = msgspec.json.Decoder(dict[str, int]).decode
_json = msgspec.json.Encoder().encode

_DETAILS = (
    _COLUMNS.detailed,
    _COLUMNS.input_tokens,
    _COLUMNS.output_tokens,
    _COLUMNS.cached_tokens,
    _COLUMNS.reasoning_tokens,
    _COLUMNS.unpriced_calls,
    _COLUMNS.unpriced_tokens,
)

KEY_COLUMNS: Sequence[ColumnElement[Any]] = tuple(ROLLUPS.primary_key.columns)
SELECTED: Sequence[ColumnElement[Any]] = (
    *KEY_COLUMNS,
    _COLUMNS.calls,
    _COLUMNS.answered,
    _COLUMNS.recovered,
    _COLUMNS.tokens,
    cast(_COLUMNS.statuses, String).label("statuses"),
    cast(_COLUMNS.costs, String).label("costs"),
    _COLUMNS.latency,
    _COLUMNS.first_token,
    _COLUMNS.last_at,
    *_DETAILS,
)
"""The columns, in the order in which ``sums_of`` takes them; behind the keys."""
WITHOUT_TIMES: Sequence[ColumnElement[Any]] = tuple(
    literal(b"").label(column.name) if column.name in _BINARY else column for column in SELECTED
)
"""The same for who does not ask for percentiles, whose sketches are most of what there is to read."""


def sums_of(row: Sequence[Any]) -> Sums:
    """What the columns behind the keys come to."""
    calls, answered, recovered, tokens, statuses, costs, latency, first_token, last_at, *details = row
    return Sums(
        calls,
        answered,
        recovered,
        tokens,
        read_json(statuses),
        read_json(costs),
        sketch.decode(latency),
        sketch.decode(first_token),
        last_at if last_at is None or isinstance(last_at, str) else text_of(last_at),
        *details,
    )


def key_of(row: Sequence[Any]) -> Key:
    """The key of a row of the columns of the primary key."""
    cube, tenant, grain, start, *keys = row
    key1, key2, key3 = keys
    return Key(cube, tenant, grain, text_of(start), (key1, key2, key3))


def stored(connection: Connection, *conditions: ColumnElement[bool]) -> Iterator[tuple[Key, Sums]]:
    """The rows that meet the conditions."""
    return _rows(connection.execute(select(*SELECTED).where(*conditions)))


def add(
    connection: Connection, found: Mapping[Key, Sums], give_way: Callable[[], object] = lambda: None
) -> None:
    """Count in the rows, whether they are there or not; nobody else may change them meanwhile.

    Args:
        connection: in the transaction of it all.
        found: what is to be counted.
        give_way: called between small pieces of work.
    """
    keys = list(found)
    for begin in range(0, len(keys), _ASKED_AT_ONCE):
        merged = {key: found[key] for key in keys[begin : begin + _ASKED_AT_ONCE]}
        for key, sums in _there(connection, list(merged)):
            both = Sums()
            both.add(sums)
            both.add(found[key])
            merged[key] = both
            give_way()
        write(connection, merged)
        give_way()


def write(connection: Connection, found: Mapping[Key, Sums]) -> None:
    """Give the rows these values."""
    rows = [(*key.row(), *_values(sums)) for key, sums in found.items()]
    if rows and connection.dialect.name == "postgresql":
        columns = tuple(map(list, zip(*rows, strict=True)))
        rows_of = f"SELECT * FROM unnest({_arrays(_ALL)})"  # noqa: S608 - our own names
        connection.exec_driver_sql(f"{_SETTING} {rows_of} {_REPLACING}", columns)
    elif rows:
        connection.exec_driver_sql(f"{_SETTING} VALUES ({_marks(_ALL)}) {_REPLACING}", rows)


def insert(connection: Connection, found: Mapping[Key, Sums]) -> None:
    """Write rows that are not there."""
    if found:
        rows = [(*key.row(), *_values(sums)) for key, sums in found.items()]
        columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
        if connection.dialect.name == "postgresql":
            columns = [
                [f"\\x{value.hex()}" for value in values] if name in _BINARY else values
                for name, values in zip(_ALL, columns, strict=True)
            ]
        loading.load_columns(connection, ROLLUPS.name, _ALL, columns)


def _values(sums: Sums) -> tuple[Any, ...]:
    return (
        sums.calls,
        sums.answered,
        sums.recovered,
        sums.tokens,
        _json(sums.statuses).decode(),
        _json(sums.costs).decode(),
        sketch.encode(sums.latency),
        sketch.encode(sums.first_token),
        sums.last_at,
        *details_of(sums),
    )


def _there(connection: Connection, keys: Sequence[Key]) -> Iterator[tuple[Key, Sums]]:
    """Those of the rows that are there; few enough for one statement."""
    rows = [key.row() for key in keys]
    if connection.dialect.name == "postgresql":
        columns = tuple(map(list, zip(*rows, strict=True)))
        wanted = f"unnest({_arrays(KEYS)}) AS wanted ({', '.join(KEYS)})"
        yield from _rows(connection.exec_driver_sql(_asking("", wanted, "::text"), columns))
        return
    values = ", ".join([f"({_marks(KEYS)})"] * len(rows))
    before = f"WITH wanted ({', '.join(KEYS)}) AS (VALUES {values}) "
    asked = tuple(itertools.chain.from_iterable(rows))
    yield from _rows(connection.exec_driver_sql(_asking(before, "wanted", ""), asked), texts=True)


def _asking(before: str, wanted: str, as_text: str) -> str:
    """The statement that reads rows by their keys."""
    values = ", ".join(f"{name}{as_text if name in _JSON else ''}" for name in _VALUES)
    return (
        f"{before}SELECT {', '.join(KEYS)}, {values} "  # noqa: S608 - our own names
        f"FROM {wanted} JOIN {ROLLUPS.name} USING ({', '.join(KEYS)})"
    )


def _arrays(names: Sequence[str]) -> str:
    """Parameters of PostgreSQL that are columns."""
    return ", ".join(f"%s::{_TYPES.get(name, 'bigint')}[]" for name in names)


def _marks(names: Sequence[str]) -> str:
    return ", ".join("?" * len(names))


def _rows(rows: Iterable[Any], *, texts: bool = False) -> Iterator[tuple[Key, Sums]]:
    """Rows, in which times may be texts."""
    width = len(KEYS)
    for row in rows:
        values = list(row[width:])
        if not texts:
            yield key_of(row[:width]), sums_of(values)
            continue
        cube, tenant, grain, start, key1, key2, key3 = row[:width]
        yield Key(cube, tenant, grain, start, (key1, key2, key3)), sums_of(values)
