from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cajanegra.domain.events import Begin, Event, Feedback, Finish
from cajanegra.ports import CallStore
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.writer import Writer, WriterStats
from memory_store import AWAY, BlockedStore, Knowledge, MemoryStore, opening


def begin(call: str, task: str = "chat") -> Begin:
    return Begin(call, 1_000.0, call, task, "openai")


def finish(call: str) -> Finish:
    return Finish(call, 1_001.0, "success")


def record(writer: Writer, *calls: str, task: str = "chat") -> None:
    for call in calls:
        writer.append(begin(call, task))
        writer.append(finish(call))


def writer_to(*results: MemoryStore | Exception, capacity: int = 1000) -> Writer:
    return Writer(opening(*results), Assembler(Knowledge()), capacity=capacity, wait=lambda _seconds: None)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "cajanegra-writer"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threads()
    yield
    assert threads() == before


def test_what_was_recorded_before_a_flush_is_in_the_store_after_it() -> None:
    store = MemoryStore()
    writer = writer_to(store)
    record(writer, "a", "b")
    writer.append(Feedback(1_002.0, "a", "thumbs_up"))
    assert writer.flush(5)
    assert set(store.calls) == {"a", "b"}
    assert [found.request_id for found in store.feedback] == ["a"]
    assert writer.stats == WriterStats(waiting=0, written=2, lost=0)
    writer.close(5)
    assert store.closed


def test_calls_are_written_without_a_flush() -> None:
    written = threading.Event()

    class Telling(MemoryStore):
        def write(self, batch: object) -> int:
            count = super().write(batch)  # type: ignore[arg-type]  # passed on as it is
            written.set()
            return count

    store = Telling()
    writer = writer_to(store)
    for call in ["a", "b", "c"]:
        written.clear()
        record(writer, call)
        assert written.wait(5)
        assert call in store.calls
    writer.close(5)


def test_nothing_is_opened_and_no_thread_is_started_before_the_first_event() -> None:
    before = threads()
    writer = writer_to(AssertionError("opened"))
    assert writer.flush(5)
    assert threads() == before
    writer.close(5)


def test_the_store_is_opened_used_and_closed_by_one_thread() -> None:
    seen: set[str] = set()

    class Watching(MemoryStore):
        def write(self, batch: object) -> int:
            seen.add(threading.current_thread().name)
            return super().write(batch)  # type: ignore[arg-type]  # passed on as it is

        def close(self) -> None:
            seen.add(threading.current_thread().name)

    def open_store() -> CallStore:
        seen.add(threading.current_thread().name)
        return Watching()

    writer = Writer(open_store, Assembler(Knowledge()))
    record(writer, "a")
    writer.close(5)
    assert seen == {"cajanegra-writer"}


def test_a_flush_waits_while_the_store_is_away_and_says_so() -> None:
    store = BlockedStore()
    writer = writer_to(store)
    record(writer, "a")
    assert not writer.flush(0.01)
    store.released.set()
    assert writer.flush(5)
    writer.close(5)
    assert set(store.calls) == {"a"}


def test_a_flush_says_when_something_was_lost() -> None:
    store = MemoryStore()
    writer = writer_to(store)
    record(writer, "a")
    record(writer, "bad", task="poison")
    assert not writer.flush(5)
    assert set(store.calls) == {"a"}
    record(writer, "b")
    assert writer.flush(5)
    assert writer.stats == WriterStats(waiting=0, written=2, lost=1)
    writer.close(5)


def test_close_writes_what_is_waiting_and_interrupts_what_is_open() -> None:
    store = MemoryStore()
    writer = writer_to(store)
    record(writer, "a")
    writer.append(begin("open"))
    writer.close(5)
    assert set(store.calls) == {"a", "open"}
    assert (store.calls["open"].status, store.calls["open"].error_code) == ("error", "interrupted")


def test_what_comes_after_close_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    writer = writer_to(MemoryStore())
    record(writer, "a")
    writer.close(5)
    writer.close(5)
    record(writer, "late", "later")
    assert writer.stats == WriterStats(waiting=0, written=1, lost=2)
    assert writer.flush(5)
    assert len(caplog.messages) == 1
    assert "not recorded" in caplog.text


def test_close_gives_up_in_time_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(opening(AWAY), Assembler(Knowledge()))
    record(writer, "a", "b")
    writer.close(0.2)
    assert writer.stats == WriterStats(waiting=0, written=0, lost=2)
    assert "connection refused" in caplog.text


def test_close_does_not_wait_for_a_store_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    store = BlockedStore()
    writer = writer_to(store)
    record(writer, "a")
    assert store.entered.wait(5)
    record(writer, "b")
    writer.close(0.01)
    assert writer.stats.waiting == 2
    assert "2 events" in caplog.text
    store.released.set()
    for thread in threads():
        thread.join(5)


def test_a_full_queue_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    store = BlockedStore()
    writer = writer_to(store, capacity=10)
    record(writer, "first")
    assert store.entered.wait(5)
    record(writer, *(str(number) for number in range(100)))
    lost = writer.stats.lost
    assert lost >= 90
    store.released.set()
    assert writer.flush(5)
    writer.close(5)
    assert len(store.calls) + lost == 101
    assert sum("not recorded" in message for message in caplog.messages) == 1


def test_many_threads_lose_nothing() -> None:
    store = MemoryStore(AWAY, AWAY)
    writer = writer_to(store, capacity=100_000)

    def work(name: str) -> None:
        record(writer, *(f"{name}-{number}" for number in range(500)))

    workers = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    writer.close(10)
    assert len(store.calls) == 4000
    assert writer.stats == WriterStats(waiting=0, written=4000, lost=0)


def test_one_strange_event_does_not_end_the_recording(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    writer = writer_to(store)
    strange: Event = Begin("x", 1.0, "x", "chat", "openai", metadata=5)  # type: ignore[arg-type]  # strange
    writer.append(strange)
    writer.append(finish("x"))
    record(writer, "a")
    writer.close(5)
    assert set(store.calls) == {"a"}
    assert writer.stats.lost == 1
    assert "TypeError" in caplog.text
