"""How things look on a terminal: tables, times, numbers, states."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from typing import Any

import click

GAP = 2
"""Columns between two columns of a table."""

# What a terminal obeys instead of showing: controls, line separators, and marks that turn text around.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

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
    "regressed": "red",
    "escalating": "red",
    "new": "cyan",
    "quiet": "green",
    "false": "red",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: with the unit.
        number: whether numbers stand in it, which are aligned on the right.
        drop: when it goes where the terminal is too narrow for all: 1 goes first, 0 never.
    """

    heading: str
    number: bool = False
    drop: int = 0


class Coloured(str):
    """A text with colours of ours; any other text is shown without the controls that are in it."""

    __slots__ = ()


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def printable(text: str) -> str:
    """A text from elsewhere without what a terminal would obey; tabs and line ends stay."""
    return _CONTROLS.sub("\ufffd", text)


def table(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> str:
    """A table for people, less the columns that the terminal has no room for; an unknown value is a dash."""
    import tabulate

    tabulate.MIN_PADDING = 0  # else each heading takes two columns more than it has letters
    cells = [[_cell(value) for value in row] for row in rows]
    kept = _fitting(columns, cells)
    return tabulate.tabulate(
        [[row[index] for index in kept] for row in cells],
        headers=[columns[index].heading for index in kept],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["right" if columns[index].number else "left" for index in kept],
    )


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return value if isinstance(value, Coloured) else printable(str(value))


def _fitting(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[int]:
    """The columns that the terminal has room for."""
    sizes = [
        max(len(click.unstyle(text)) for text in (column.heading, *(row[index] for row in cells)))
        for index, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    for index in sorted(kept, key=lambda index: columns[index].drop):
        if sum(sizes[kept_index] + GAP for kept_index in kept) - GAP <= width():
            break
        if columns[index].drop:
            kept.remove(index)
    return kept


def columns_of(value: Any) -> int:
    """How wide a value is in a table."""
    return len(click.unstyle(_cell(value)))


def facts(pairs: Sequence[tuple[str, Any]], indent: int = 2) -> str:
    """Names and values under one another, wrapped to the terminal; what is not known is left out."""
    known = [(name, str(value)) for name, value in pairs if value is not None and value != ""]
    size = max((len(name) for name, _value in known), default=0)
    margin = " " * indent
    rest = " " * (indent + size + GAP)
    return "\n".join(_wrapped(value, f"{margin}{name:<{size}}  ", rest) for name, value in known)


def _wrapped(text: str, first: str, rest: str) -> str:
    """A text on as many lines as it needs; an id or a URL is never broken."""
    lines = textwrap.wrap(
        printable(text),
        width(),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) or first.rstrip()


def heading(text: str) -> str:
    """A title above something."""
    return click.style(printable(text), bold=True)


def state(word: str | None) -> Coloured:
    """A status in its colour; the word itself says it too."""
    return Coloured(click.style(printable(word), fg=_COLOURS.get(word))) if word else Coloured("-")


def moment(time: datetime | None) -> str | None:
    """A stored time, which is UTC; the headings say so."""
    return time.strftime("%Y-%m-%d %H:%M:%S") if time else None


def short_moment(time: datetime | None) -> str | None:
    """A stored time without its year."""
    return time.strftime("%m-%d %H:%M:%S") if time else None


def count(number: float | None) -> str | None:
    """A number with its thousands apart."""
    return None if number is None else f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 call``, ``2 calls``, ``2 processes``."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def share(part: int, whole: int) -> str:
    """A part in percent of the whole."""
    return f"{part / whole:.1%}" if whole else "-"


def sparkline(counts: Sequence[int], cells: int) -> str:
    """Counts as so many bars, each of a part of them; the highest is the greatest, a dot is nothing."""
    step = len(counts) // cells
    sums = [sum(counts[start : start + step]) for start in range(0, step * cells, step)]
    most = max(sums, default=0)
    return "".join(_BARS[-(-count * len(_BARS) // most) - 1] if count else "·" for count in sums)


_BARS = "▁▂▃▄▅▆▇█"


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
    line = printable(" ".join(text.split()))
    return line if len(line) <= length else f"{line[: max(length - 1, 1)]}…"


def wrap(text: str | None, indent: int = 2) -> str:
    """A text that fits the terminal, with its own line ends."""
    margin = " " * indent
    return "\n".join(_wrapped(line, margin, margin) for line in (text or "-").splitlines())


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar where standard error is a terminal; to be told what is done, and of how much."""
    with click.progressbar(length=0, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield on_progress


def fields(value: Any) -> dict[str, Any]:
    """A dataclass or struct as names and values."""
    names = value.__dataclass_fields__ if is_dataclass(value) else value.__struct_fields__
    return {name: getattr(value, name) for name in names}


def to_json(value: Any, *, lines: bool = False) -> str:
    """JSON for programs; times are ISO 8601 in UTC."""
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=None if lines else 2)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z" if value.tzinfo is None else value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) or hasattr(value, "__struct_fields__"):
        return fields(value)
    return list(value)
