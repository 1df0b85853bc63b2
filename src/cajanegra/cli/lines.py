"""Reads files of objects one at a time: NDJSON or CSV, compressed or not, in constant memory."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

import msgspec

MAX_LINE = 8_000_000
"""Bytes of a line that are read, and characters of a cell."""
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Fields = dict[str, Any]


class Cells(Fields):
    """An object that is a line of CSV: all its values are texts, and none is empty."""


Entry = tuple[int, Fields | str]
"""A line's number, counted from 1, with the object that it holds, or with what is wrong with it."""


def objects(file: IO[bytes]) -> Iterator[Entry]:
    """Each object of a file, in order; empty lines are passed over.

    What begins with a brace is NDJSON, anything else CSV with a heading; its cells are texts, and empty ones
    are left out. A file that ends within compressed data is told in its last entry.
    """
    plain = _uncompressed(file)
    number = 0
    try:
        start = plain.peek(1_000).removeprefix(_BYTE_ORDER_MARK).lstrip()[:1]
        for number, found in _json(plain) if start in (b"{", b"[") else _csv(plain):
            yield number, found
    except (EOFError, gzip.BadGzipFile, zlib.error):
        yield number + 1, "cannot be read: the compressed data are cut or damaged"


def lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | str]]:
    """Each line that is not empty, or what is wrong with it."""
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        whole = line.endswith(b"\n") or len(line) < MAX_LINE
        while not whole:
            rest = file.readline(MAX_LINE)
            whole = rest.endswith(b"\n") or not rest
            line = b""
        if not line:
            yield number, f"is longer than {MAX_LINE:,} bytes"
        elif line := line.removeprefix(_BYTE_ORDER_MARK).strip():
            yield number, line


def _uncompressed(file: IO[bytes]) -> io.BufferedReader:
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", file))
    if buffered.peek(len(_GZIP)).startswith(_GZIP):
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=buffered)))
    return buffered


def _json(file: IO[bytes]) -> Iterator[Entry]:
    decode = msgspec.json.Decoder().decode
    for number, line in lines(file):
        if isinstance(line, str):
            yield number, line
            continue
        try:
            found = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            hint = "; write one object a line: jq -c '.[]'" if line.startswith(b"[") else ""
            yield number, f"is not a JSON object: {error}{hint}"
            continue
        if isinstance(found, dict):
            yield number, found
        else:
            hint = ": write one object a line, as jq -c '.[]' does" if isinstance(found, list) else ""
            yield number, f"is not a JSON object{hint}"


def _csv(file: IO[bytes]) -> Iterator[Entry]:
    csv.field_size_limit(MAX_LINE)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    try:
        yield from _rows(text)
    finally:
        text.detach()  # else it would close the file with itself


def _rows(text: io.TextIOWrapper) -> Iterator[Entry]:
    reader = csv.reader(iter(lambda: text.readline(MAX_LINE), ""), strict=True)
    heading: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, f"is not CSV: {error}"
            if heading is None:
                return
            continue
        if not any(cells):
            continue
        if heading is None:
            heading = [name.strip() for name in cells]
        elif len(cells) != len(heading):
            yield reader.line_num, f"has {len(cells)} cells, and the heading {len(heading)}"
        else:
            row = zip(heading, cells, strict=True)
            yield reader.line_num, Cells({name: cell for name, cell in row if cell})
