"""Files of objects: NDJSON or CSV, compressed or not."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.cli import lines
from cajanegra.cli.lines import Entry, objects
from cajanegra.domain.spreadsheet import escaped, unescaped


def read(data: bytes) -> list[Entry]:
    return list(objects(io.BytesIO(data)))


def test_lines_are_numbered_and_empty_ones_passed_over() -> None:
    assert read(b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": 2}') == [(1, {"a": 1}), (3, {"a": 2})]


def test_csv_keeps_what_is_quoted_and_leaves_out_what_is_empty() -> None:
    assert read(b'\xef\xbb\xbfa,b\n1,"x\ny, ""z"""\n,2\n') == [
        (3, {"a": "1", "b": 'x\ny, "z"'}),
        (4, {"b": "2"}),
    ]


@pytest.mark.parametrize("data", [b'{"a": "1"}\n', b"a\n1\n"])
def test_gzip_is_read_as_what_it_holds(data: bytes) -> None:
    assert read(gzip.compress(data, mtime=0)) == read(data)


@pytest.mark.parametrize(
    ("data", "number", "reason"),
    [
        (b'{"a": 1}\n{"a": \n', 2, "is not a JSON object"),
        (b'[{"a": 1}]\n', 1, "one object a line"),
        (b'[\n{"a": 1}]\n', 1, "one object a line"),
        (b'{"a": "\xff"}\n', 1, "is not a JSON object"),
        (b"a,b\n1\n", 2, "has 1 cells, and the heading 2"),
        (b'a,b\n1,"2\n', 2, "is not CSV: unexpected end of data"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_with_its_number(data: bytes, number: int, reason: str) -> None:
    told = [(at, found) for at, found in read(data) if isinstance(found, str)]
    assert told[0][0] == number
    assert reason in told[0][1]


def test_a_line_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 20)
    long = json.dumps({"a": "x" * 100}).encode()
    assert read(long + b'\n{"a": 1}\n') == [(1, "is longer than 20 bytes"), (2, {"a": 1})]


def test_compressed_data_that_are_cut_are_told_behind_what_was_read() -> None:
    whole = gzip.compress(b"".join(b'{"a": %d}\n' % number for number in range(10_000)))
    *before, last = read(whole[: len(whole) // 2])
    assert len(before) > 100
    assert last == (before[-1][0] + 1, "cannot be read: the compressed data are cut or damaged")


@pytest.mark.parametrize("data", [b"a\n1\n", b'{"a": 1}\n', gzip.compress(b"a\n1\n", mtime=0)])
def test_a_file_stays_open_and_says_how_far_it_was_read(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "calls"
    path.write_bytes(data)
    with path.open("rb") as file:
        assert len(list(objects(file))) == 1
        assert file.tell() == len(data)


@given(st.text(alphabet="'=+-@\t\rab"))
def test_cells_come_back_as_they_were(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not escaped(text).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_to_their_end(data: bytes) -> None:
    found: list[Any] = read(data)
    assert all(isinstance(entry, dict | str) for _number, entry in found)
