"""Writes the lines of the access log together: each by itself would be a system call for every request."""

from __future__ import annotations

import contextlib
import logging
import select
import time
from collections.abc import Iterable, Iterator
from typing import TextIO

access_log = logging.getLogger("cajanegra.access")


class LineFormatter(logging.Formatter):
    """The library's, which writes the same second out once."""

    _second = -1
    _text = ""

    def formatTime(  # noqa: N802 - the library's name
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """The record's time, to a millisecond."""
        if datefmt is not None:
            return super().formatTime(record, datefmt)
        second = int(record.created)
        if second != self._second:
            text = time.strftime(self.default_time_format, self.converter(second))
            self._second, self._text = second, text
        return f"{self._text},{int(record.msecs):03d}"


class LineHandler(logging.StreamHandler[TextIO]):
    """For records that come many at a time: their lines wait until it is flushed."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line of a record until the handler is flushed."""
        try:
            self._lines.append(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 - as the library does: what cannot be logged stops nobody
            self.handleError(record)

    def flush(self) -> None:
        """Write what waits."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            with contextlib.suppress(OSError, ValueError):  # a stream that is broken or closed stops nobody
                for piece in _pieces(lines):
                    self.stream.write(piece)
                super().flush()
        finally:
            self.release()


def _pieces(lines: Iterable[str]) -> Iterator[str]:
    """Lines joined to what a pipe takes at once, so that those of other processes do not come between."""
    together: list[str] = []
    size = 0
    for line in lines:
        length = len(line) if line.isascii() else len(line.encode(errors="replace"))
        if size + length > select.PIPE_BUF and together:
            yield "".join(together)
            together, size = [], 0
        together.append(line)
        size += length
    if together:
        yield "".join(together)
