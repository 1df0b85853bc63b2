"""Requests that have ended are counted and logged together, soon, in order, and each once."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import Iterator
from unittest import mock

import pytest

from cajanegra.server import visits
from cajanegra.server.access_log import LineFormatter, LineHandler, access_log
from cajanegra.server.metrics import Metrics
from cajanegra.server.visits import Visit, Visits

COUNTED = 'cajanegra_http_requests_total{method="GET",operation="listing",status="200"}'


def visit(name: str) -> Visit:
    return Visit(1_700_000_000.25, "192.0.2.1", "GET", f"/{name}", "listing", 200, 12, 0.0015, name)


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the access log has written."""
    stream = io.StringIO()
    handler = LineHandler(stream)
    handler.setFormatter(LineFormatter("%(levelname)s %(name)s: %(message)s"))
    monkeypatch.setattr(access_log, "handlers", [handler])
    level = access_log.level
    access_log.setLevel(logging.INFO)
    yield stream
    access_log.setLevel(level)


def lines(out: io.StringIO) -> list[str]:
    return [line.rpartition(" ")[2] for line in out.getvalue().splitlines()]


def test_a_line_says_what_was_asked_and_how_it_ended(out: io.StringIO) -> None:
    Visits(Metrics()).note(visit("r-1"))  # without an event loop none waits
    assert out.getvalue() == "INFO cajanegra.access: 192.0.2.1 GET /r-1 200 12 bytes 1.5 ms r-1\n"


def test_those_that_end_together_are_noted_together(out: io.StringIO) -> None:
    metrics = Metrics()
    noted = Visits(metrics)

    async def story() -> None:
        for number in range(3):
            noted.note(visit(f"{number}"))
        assert lines(out) == []
        await asyncio.sleep(2 * visits.LATE)
        assert lines(out) == ["0", "1", "2"]
        noted.note(visit("later"))
        await asyncio.sleep(2 * visits.LATE)

    asyncio.run(story())
    assert lines(out) == ["0", "1", "2", "later"]
    assert f"{COUNTED} 4.0" in metrics.text(None, database_up=True).decode()


def test_whoever_reads_the_metrics_is_told_of_all_that_have_ended(out: io.StringIO) -> None:
    metrics = Metrics()

    async def story() -> bytes:
        Visits(metrics).note(visit("last"))
        return metrics.text(None, database_up=True)

    assert f"{COUNTED} 1.0" in asyncio.run(story()).decode()
    assert lines(out) == ["last"]


def test_a_loop_that_ends_early_keeps_nobody_waiting(out: io.StringIO) -> None:
    noted = Visits(Metrics())

    async def note(name: str) -> None:
        noted.note(visit(name))

    async def note_and_stay() -> None:
        noted.note(visit("second"))
        await asyncio.sleep(2 * visits.LATE)

    asyncio.run(note("first"))
    asyncio.run(note_and_stay())
    assert lines(out) == ["first", "second"]


def test_a_broken_handler_of_the_host_stops_nobody(out: io.StringIO) -> None:
    broken = io.StringIO()
    broken.close()
    access_log.addHandler(logging.StreamHandler(broken))
    with mock.patch.object(logging, "raiseExceptions", new=False):
        Visits(Metrics()).note(visit("r-1"))
    assert lines(out) == ["r-1"]


def test_how_many_wait_is_bounded(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "MOST", 2)
    noted = Visits(Metrics())

    async def story() -> None:
        for number in range(3):
            noted.note(visit(f"{number}"))
        assert lines(out) == ["0", "1"]

    asyncio.run(story())
    noted.flush()
    assert lines(out) == ["0", "1", "2"]


def test_a_process_that_ends_notes_those_that_wait_and_all_that_come(out: io.StringIO) -> None:
    noted = Visits(Metrics())

    async def story() -> None:
        noted.note(visit("waiting"))
        noted.hurry()
        assert lines(out) == ["waiting"]
        noted.note(visit("late"))
        assert lines(out) == ["waiting", "late"]

    asyncio.run(story())


def test_none_is_lost_or_noted_twice_whoever_flushes_meanwhile(out: io.StringIO) -> None:
    metrics = Metrics()
    noted = Visits(metrics)
    stopped = threading.Event()

    def read() -> None:
        while not stopped.is_set():
            noted.flush()

    async def story() -> None:
        for number in range(5_000):
            noted.note(visit(f"{number}"))
            if number % 100 == 0:
                await asyncio.sleep(0)

    reader = threading.Thread(target=read)
    reader.start()
    asyncio.run(story())
    stopped.set()
    reader.join()
    noted.flush()
    assert sorted(map(int, lines(out))) == [*range(5_000)]
    assert f"{COUNTED} 5000.0" in metrics.text(None, database_up=True).decode()
