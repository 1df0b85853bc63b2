"""Lines of the access log are written together, in order, and each once."""

from __future__ import annotations

import io
import logging
import select
import time
import weakref

import pytest

from cajanegra.server.access_log import LineFormatter, LineHandler


class Out(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        return super().write(text)


def record(text: str, created: float = 1_700_000_000.25) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "created": created, "msecs": created % 1 * 1000})


def test_lines_that_come_together_are_written_at_once() -> None:
    out = Out()
    handler = LineHandler(out)
    for number in range(3):
        handler.handle(record(f"{number}"))
    assert not out.written
    handler.flush()
    handler.handle(record("later"))
    logging.shutdown([weakref.ref(handler)])  # as the interpreter does
    assert (out.getvalue(), len(out.written)) == ("0\n1\n2\nlater\n", 2)


def test_what_cannot_be_formatted_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    out = Out()
    handler = LineHandler(out)
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    handler.handle(record("next"))
    handler.flush()
    assert out.getvalue() == "next\n"


def test_each_write_is_of_whole_lines_that_a_pipe_takes_at_once() -> None:
    out = Out()
    handler = LineHandler(out)
    texts = [f"{number} {'ñ' * (number % 300)}" for number in range(400)] + ["x" * 10_000]
    for text in texts:
        handler.handle(record(text))
    handler.flush()
    written = out.written
    assert "".join(written).splitlines() == texts
    assert all(piece.endswith("\n") for piece in written)
    assert all(len(piece.encode()) <= select.PIPE_BUF for piece in written if piece.count("\n") > 1)
    assert len(written) < len(texts) / 5


def test_a_stream_that_is_broken_stops_nobody() -> None:
    out = Out()
    out.close()
    handler = LineHandler(out)
    handler.handle(record("nobody reads it"))
    handler.flush()


def test_times_read_as_the_librarys() -> None:
    layout = "%(asctime)s %(message)s"
    own, usual = LineFormatter(layout), logging.Formatter(layout)
    for created in (0.0, 1_700_000_000.25, 1_700_000_000.9996, 1_700_000_001.0, time.time()):
        one = record("x", created)
        assert own.format(one) == usual.format(one)
    assert LineFormatter(layout, "%H").format(record("x")) == logging.Formatter(layout, "%H").format(
        record("x")
    )
