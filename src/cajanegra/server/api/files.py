"""Calls as files, piece by piece."""

from __future__ import annotations

import csv as csv_writer
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from cajanegra.domain.spreadsheet import escaped
from cajanegra.server.api.models import Call, Step
from cajanegra.server.problems import ProblemError

Row = Mapping[str, Any]
AT_ONCE = 500
"""Calls in one piece."""
_GROUP = 10_000
"""Calls in one row group of a Parquet file: its readers skip whole groups."""
_COLUMNS = tuple(Call.model_fields)
_JSON = ("request_metadata", "response_metadata", "steps")
_encode = msgspec.json.Encoder().encode


def ndjson(rows: Iterable[Row]) -> Iterator[bytes]:
    """One JSON object a line."""
    for some in _batches(rows, AT_ONCE):
        yield b"".join(_encode(_plain(row)) + b"\n" for row in some)


def csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """Comma-separated values with a heading (RFC 4180); objects and lists are JSON in one cell."""
    text = io.StringIO()
    writer = csv_writer.writer(text)
    writer.writerow((*_COLUMNS, "steps"))
    for some in _batches(rows, AT_ONCE):
        for row in some:
            writer.writerow([_cell(value) for value in _plain(row).values()])
        yield _taken(text)
    yield _taken(text)


def parquet(rows: Iterable[Row]) -> Iterator[bytes]:
    """Apache Parquet; objects and lists are JSON in a text column.

    Raises:
        ProblemError: 422, the library for it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ProblemError(
            422, "the server writes no Parquet: it needs pip install 'cajanegra[parquet]'"
        ) from None
    kinds = {int: pa.int64(), float: pa.float64(), str: pa.string()}
    kinds[datetime] = pa.timestamp("us", "UTC")
    schema = pa.schema([(name, kinds[_kind_of(name)]) for name in (*_COLUMNS, "steps")])
    sink = _Sink()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for some in _batches(rows, _GROUP):
            columns: dict[str, list[Any]] = {name: [] for name in schema.names}
            for row in some:
                for name, value in _plain(row).items():
                    columns[name].append(_packed(name, value))
            writer.write_table(pa.table(columns, schema=schema))
            yield sink.taken()
    yield sink.taken()


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    coming = iter(rows)
    while some := list(itertools.islice(coming, size)):
        yield some


def _plain(row: Row) -> dict[str, Any]:
    """A row as it is exported: without numbers of rows, times with their zone."""
    steps = [{name: _time(step[name]) for name in Step.model_fields} for step in row["steps"]]
    return {**{name: _time(row[name]) for name in _COLUMNS}, "steps": steps}


def _time(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return _encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return escaped(value) if isinstance(value, str) else value


def _packed(name: str, value: Any) -> Any:
    return value if value is None or name not in _JSON else _encode(value).decode()


def _kind_of(name: str) -> type:
    from cajanegra.storage.rows import column_kind

    return str if name in _JSON else column_kind(name)


def _taken(text: io.StringIO) -> bytes:
    taken = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return taken


class _Sink(io.RawIOBase):
    """A file that is handed on piece by piece; places in it are those of the whole."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        """What was written since it was last asked."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
