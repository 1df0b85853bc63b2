from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from cajanegra.cli import render
from cajanegra.cli.logs import csv_cell
from cajanegra.cli.options import Moment


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_is_never_a_formula(cell: str) -> None:
    assert csv_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["plain", "a=b", "", None, -1, 0.5])
def test_other_cells_stay_as_they_are(cell: object) -> None:
    assert csv_cell(cell) == cell


def _moment(text: str) -> datetime:
    return Moment().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "ago"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("1w", 604_800)]
)
def test_so_long_ago_is_a_time(text: str, ago: int) -> None:
    assert abs(datetime.now(UTC) - timedelta(seconds=ago) - _moment(text)) < timedelta(seconds=5)


def test_a_time_without_a_zone_is_utc() -> None:
    assert _moment("2026-11-24T10:00") == datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert _moment("2026-11-24T10:00+01:00") == datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "2x", "h2", "99999999h"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time; write 2026-11-24T10:00, 2h or 7d"):
        _moment(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_340_000, "2.3 MB"), (5e12, "5.0 TB")],
)
def test_bytes_are_shown_in_the_unit_that_fits(number: int, text: str) -> None:
    assert render.size(number) == text


def test_a_long_text_is_cut_to_one_line() -> None:
    assert render.cut("two\nlines and more", 9) == "two line…"
    assert render.cut(None, 9) is None


def test_a_table_shows_what_is_not_known_as_a_dash() -> None:
    columns = [render.Column("name"), render.Column("ms", number=True)]
    assert render.table(columns, [["a", None], ["", "12"]]).splitlines()[2:] == [
        "a      -",
        "-     12",
    ]


def test_a_narrow_terminal_gets_fewer_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [render.Column("id"), render.Column("task", drop=1), render.Column("module", drop=2)]
    row = ["i" * 10, "t" * 10, "m" * 10]
    for size, shown in [(34, row), (33, [row[0], row[2]]), (21, row[:1]), (5, row[:1])]:
        monkeypatch.setenv("COLUMNS", str(size))
        assert render.table(columns, [row]).splitlines()[2].split() == shown


def test_colours_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "15")
    columns = [render.Column("status"), render.Column("task", drop=1)]
    assert "listing" in render.table(columns, [[render.state("error"), "listing"]])


def test_a_long_value_is_wrapped_under_itself_and_an_id_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert render.facts([("name", "one two three four"), ("x", "i" * 20), ("none", None)]).splitlines() == [
        "  name  one two",
        "        three four",
        "  x     " + "i" * 20,
    ]


def test_a_text_keeps_its_own_line_ends() -> None:
    assert render.wrap("one\n\ntwo").splitlines() == ["  one", "", "  two"]


def test_bars_stand_for_parts_of_the_counts() -> None:
    assert render.sparkline([0, 0, 1, 0, 40, 40, 10, 10], 4) == "·▁█▂"
    assert render.sparkline([0] * 24, 12) == "·" * 12
