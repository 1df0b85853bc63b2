"""How things look on a terminal: tables, times, numbers, states."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

WIDE = 110
"""Columns from which a table shows more."""

_COLOURS = {
    "success": "green",
    "ok": "green",
    "present": "green",
    "resolved": "green",
    "true": "green",
    "fallback": "cyan",
    "timeout": "yellow",
    "warning": "yellow",
    "different": "yellow",
    "wontfix": "yellow",
    "error": "red",
    "failed": "red",
    "missing": "red",
    "open": "red",
    "false": "red",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading with the unit, and whether numbers stand in it."""

    heading: str
    number: bool = False


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def table(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> str:
    """A table for people; what is not known is a dash."""
    from tabulate import tabulate

    cells = [["-" if cell is None or cell == "" else cell for cell in row] for row in rows]
    return tabulate(
        cells,
        headers=[column.heading for column in columns],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["right" if column.number else "left" for column in columns],
    )


def facts(pairs: Sequence[tuple[str, Any]]) -> str:
    """Names and values under one another; what is not known is left out."""
    known = [(name, value) for name, value in pairs if value is not None and value != ""]
    size = max((len(name) for name, _value in known), default=0)
    return "\n".join(f"  {name:<{size}}  {value}" for name, value in known)


def heading(text: str) -> str:
    """A title above something."""
    return click.style(text, bold=True)


def state(word: str | None) -> str:
    """A status in its colour; the word itself says it too."""
    return click.style(word, fg=_COLOURS.get(word)) if word else "-"


def moment(time: datetime | None) -> str | None:
    """A stored time, which is UTC; the headings say so."""
    return time.strftime("%Y-%m-%d %H:%M:%S") if time else None


def short_moment(time: datetime | None) -> str | None:
    """A stored time without its year."""
    return time.strftime("%m-%d %H:%M:%S") if time else None


def count(number: float | None) -> str | None:
    """A number with its thousands apart."""
    return None if number is None else f"{number:,.0f}"


def share(part: int, whole: int) -> str:
    """A part in percent of the whole."""
    return f"{part / whole:.1%}" if whole else "-"


def size(number: int | None) -> str | None:
    """Bytes in the unit that fits."""
    if number is None:
        return None
    amount, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:  # noqa: PLR2004 - SI units
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def cut(text: str | None, length: int) -> str | None:
    """A text on one line, at most so long."""
    if text is None:
        return None
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: max(length - 1, 1)]}…"


def wrap(text: str | None, indent: int = 2) -> str:
    """A paragraph that fits the terminal."""
    return click.wrap_text(text or "-", width(), " " * indent, " " * indent)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar where standard error is a terminal; to be told what is done, and of how much."""
    with click.progressbar(length=0, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield on_progress


def fields(value: Any) -> dict[str, Any]:
    """A dataclass as names and values."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def to_json(value: Any, *, lines: bool = False) -> str:
    """JSON for programs; times are ISO 8601 in UTC."""
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=None if lines else 2)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z" if value.tzinfo is None else value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__dataclass_fields__"):
        return fields(value)
    return list(value)
