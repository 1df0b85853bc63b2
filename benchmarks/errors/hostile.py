"""What a message made to cost much costs, and what a million different ones keep in memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

from benchmarks.errors.readers import Reader, Row, ours
from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.analysis.patterns import PatternBook

MEGABYTE = 1_000_000
PIECES = (
    *(
        "a",
        " ",
        "\n",
        ".",
        "'",
        '"',
        "`",
        "\\",
        "{",
        "[",
        "(",
        "<",
        "1",
        "model ",
        "error: ",
        "Error: ",
        "a/b ",
    ),
    *(
        '{"message":"',
        '\\"message\\":\\"',
        "(Caused by ",
        "[x] ",
        "messages.1 ",
        "rate limit of tokens ",
        "'a' ",
    ),
)
DISTINCT = 1_000_000
_LETTERS = "abcdefghij"


def hostile() -> Iterator[str]:
    """The longest time that a message of a megabyte takes."""
    reader = ours()
    slowest, worst = 0.0, ""
    for piece in PIECES:
        message = (piece * (MEGABYTE // len(piece) + 1))[:MEGABYTE]
        row = {"message": message, "provider": "acme", "http_status": None, "exception_type": None}
        seconds = min(_timed(reader, row) for _ in range(3))
        if seconds > slowest:
            slowest, worst = seconds, piece
    yield f"slowest message of 1 MB: {slowest * 1000:.1f} ms ({worst!r} repeated)"


def many() -> Iterator[str]:
    """The most memory that a million different messages take, beside a tenth of them."""
    book = PatternBook(KnowledgeBase())
    names, peaks = set(), []
    for number in range(DISTINCT):
        word = "".join(_LETTERS[int(digit)] for digit in str(number))
        names.add(book.explain(provider="acme", kind="unknown", message=f"the {word} is bent").name)
        if number in (DISTINCT // 10, DISTINCT - 1):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    yield (
        f"{DISTINCT:,} different messages: {len(names):,} patterns, {book.overflowed:,} in the rest; "
        f"the process took {peaks[0]:.0f} MB after a tenth of them and {peaks[1]:.0f} MB at the end"
    )


def _timed(reader: Reader, row: Row) -> float:
    begin = time.perf_counter()
    reader(row)
    return time.perf_counter() - begin
