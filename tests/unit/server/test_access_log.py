"""Lines of the access log are written together, soon, in order, and each once."""

from __future__ import annotations

import asyncio
import io
import logging
import time
import weakref

import pytest

from cajanegra.server import access_log
from cajanegra.server.access_log import LineFormatter, LineHandler


class Counting(io.StringIO):
    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def record(text: str, created: float = 1_700_000_000.25) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "created": created, "msecs": created % 1 * 1000})


def test_lines_that_come_together_are_written_at_once() -> None:
    out = Counting()
    handler = LineHandler(out)

    async def story() -> None:
        for number in range(3):
            handler.handle(record(f"{number}"))
        assert out.writes == 0
        await asyncio.sleep(2 * access_log.LATE)
        handler.handle(record("later"))
        await asyncio.sleep(2 * access_log.LATE)

    asyncio.run(story())
    assert (out.getvalue(), out.writes) == ("0\n1\n2\nlater\n", 2)


def test_what_waits_is_bounded_and_is_written_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "MOST", 2)
    out = Counting()
    handler = LineHandler(out)

    async def story() -> None:
        for number in range(3):
            handler.handle(record(f"{number}"))
        assert out.getvalue() == "0\n1\n"

    asyncio.run(story())
    logging.shutdown([weakref.ref(handler)])  # as the interpreter does
    assert out.getvalue() == "0\n1\n2\n"


def test_without_an_event_loop_a_line_does_not_wait() -> None:
    out = Counting()
    LineHandler(out).handle(record("now"))
    assert out.getvalue() == "now\n"


def test_what_cannot_be_formatted_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    out = Counting()
    handler = LineHandler(out)
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    handler.handle(record("next"))
    assert out.getvalue() == "next\n"


def test_times_read_as_the_librarys() -> None:
    layout = "%(asctime)s %(message)s"
    own, usual = LineFormatter(layout), logging.Formatter(layout)
    for created in (0.0, 1_700_000_000.25, 1_700_000_000.9996, 1_700_000_001.0, time.time()):
        one = record("x", created)
        assert own.format(one) == usual.format(one)
    assert LineFormatter(layout, "%H").format(record("x")) == logging.Formatter(layout, "%H").format(
        record("x")
    )
