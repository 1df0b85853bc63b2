"""Writes the lines of the access log together: each by itself would be a system call for every request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import time
from collections.abc import Iterable, Iterator
from typing import TextIO

access_log = logging.getLogger("cajanegra.access")

LATE = 0.05
"""Seconds that a line may wait."""
MOST = 1_000
"""Lines that may wait."""


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
    """For records that are made on an event loop."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._may_wait = True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record with those that come within a moment."""
        try:
            self._lines.append(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 - as the library does: what cannot be logged stops nobody
            self.handleError(record)
            return
        if len(self._lines) >= MOST or not self._may_wait:
            self.flush()
        elif len(self._lines) == 1:
            self._flush_soon()

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

    def hurry(self) -> None:
        """Write what waits, and from now on each record at once."""
        self._may_wait = False
        self.flush()

    def _flush_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_later(LATE, self.flush)
        except RuntimeError:  # nobody would come back to it
            self.flush()


def hurry() -> None:
    """Have no line wait any more: a process that a signal ends goes without a further word."""
    for handler in access_log.handlers:
        if isinstance(handler, LineHandler):
            handler.hurry()


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
