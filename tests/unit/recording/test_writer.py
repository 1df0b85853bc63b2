from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cajanegra.domain.events import Begin, Event, Feedback, Finish, Trigger
from cajanegra.domain.pattern import Pattern
from cajanegra.ports import Prepared
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.spool import Spool
from cajanegra.recording.writer import Writer
from memory_store import AWAY, BlockedStore, MemoryStore, PatternsByKind, new_writer, opening


def begin(call: str, task: str = "chat") -> Begin:
    return Begin(call, 1_000.0, call, task, "openai")


def finish(call: str) -> Finish:
    return Finish(call, 1_001.0, "success")


def record(writer: Writer, *calls: str, task: str = "chat") -> None:
    for call in calls:
        writer.spool.append(begin(call, task))
        writer.spool.append(finish(call))


@pytest.fixture
def writer_to(tmp_path: Path) -> Callable[..., Writer]:
    def make(*results: MemoryStore | Exception, **limits: int) -> Writer:
        return new_writer(
            opening(*results), directory=tmp_path / "spool", wait=lambda _seconds: None, **limits
        )

    return make


MakeWriter = Callable[..., Writer]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("cajanegra-")]


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "spool").iterdir())


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threads()
    yield
    for thread in threads():
        if thread not in before:
            thread.join(5)
    assert threads() == before


def test_what_was_recorded_before_a_flush_is_in_the_store_after_it(writer_to: MakeWriter) -> None:
    store = MemoryStore()
    writer = writer_to(store)
    record(writer, "a", "b")
    writer.spool.append(Feedback(1_002.0, "a", "thumbs_up"))
    assert writer.flush(5)
    assert set(store.calls) == {"a", "b"}
    assert [found.request_id for found in store.feedback] == ["a"]
    assert (writer.stats.waiting, writer.stats.written, writer.stats.lost) == (0, 2, 0)
    writer.close(5)
    assert store.closed


def test_calls_are_written_without_a_flush(writer_to: MakeWriter) -> None:
    written = threading.Event()

    class Telling(MemoryStore):
        def write(self, parts: Iterable[Prepared], track: str = "") -> int:
            count = super().write(parts, track)
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


def test_nothing_is_opened_made_or_started_before_the_first_event(
    writer_to: MakeWriter, tmp_path: Path
) -> None:
    before = threads()
    writer = writer_to(AssertionError("opened"))
    assert writer.flush(5)
    assert threads() == before
    writer.close(5)
    assert not (tmp_path / "spool").exists()


def test_what_is_in_the_store_takes_no_room_on_the_disk(writer_to: MakeWriter, tmp_path: Path) -> None:
    writer = writer_to(MemoryStore())
    for number in range(20):
        record(writer, *(f"{number}-{call}" for call in range(1_000)))
        assert writer.flush(10)
    assert len(files(tmp_path)) <= 3, "the control file, the segment being written and the next one"
    writer.close(5)
    assert files(tmp_path) == []


def test_the_store_is_used_by_one_thread_at_a_time_and_closed_once(tmp_path: Path) -> None:
    using = threading.Lock()
    closed: list[bool] = []

    class Watching(MemoryStore):
        def write(self, parts: Iterable[Prepared], track: str = "") -> int:
            assert using.acquire(blocking=False)
            try:
                return super().write(parts, track)
            finally:
                using.release()

        def close(self) -> None:
            closed.append(using.acquire(blocking=False))
            super().close()

    store = Watching()
    writer = new_writer(opening(store), directory=tmp_path)
    for number in range(50):
        record(writer, *(f"{number}-{call}" for call in range(100)))
        if number % 10 == 0:
            assert writer.flush(10)
    writer.close(5)
    assert len(store.calls) == 5_000
    assert closed == [True]


def test_a_flush_waits_while_the_store_is_away_and_says_so(writer_to: MakeWriter) -> None:
    store = BlockedStore()
    writer = writer_to(store)
    record(writer, "a")
    assert not writer.flush(0.01)
    store.released.set()
    assert writer.flush(5)
    writer.close(5)
    assert set(store.calls) == {"a"}


def test_a_flush_says_when_something_was_refused(writer_to: MakeWriter, tmp_path: Path) -> None:
    store = MemoryStore()
    writer = writer_to(store)
    record(writer, "a")
    record(writer, "bad", task="poison")
    assert not writer.flush(5)
    assert set(store.calls) == {"a"}
    record(writer, "b")
    assert writer.flush(5)
    assert (writer.stats.written, writer.stats.refused, writer.stats.lost) == (2, 1, 0)
    writer.close(5)
    kept = (tmp_path / "spool" / "quarantine" / "refused.ndjson").read_text(encoding="utf-8")
    assert kept.count("\n") == 1
    assert '"poison"' in kept
    assert "a value that its column does not take" in kept


def test_close_writes_what_is_waiting_and_interrupts_what_is_open(writer_to: MakeWriter) -> None:
    store = MemoryStore()
    writer = writer_to(store)
    record(writer, "a")
    writer.spool.append(begin("open"))
    writer.close(5)
    assert set(store.calls) == {"a", "open"}
    assert (store.calls["open"].status, store.calls["open"].error_code) == ("error", "interrupted")


def test_what_comes_after_close_is_counted_and_said(
    writer_to: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer = writer_to(MemoryStore())
    record(writer, "a")
    writer.close(5)
    writer.close(5)
    assert not writer.spool.append(begin("late"))
    record(writer, "later")
    assert (writer.stats.written, writer.stats.dropped) == (1, 3)
    assert writer.flush(5)
    assert len(caplog.messages) == 1
    assert "not recorded" in caplog.text


def test_what_could_not_be_written_before_the_end_is_adopted_by_the_next(
    writer_to: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer = writer_to(AWAY)
    record(writer, "a", "b")
    writer.spool.append(begin("open"))
    writer.close(5)
    assert writer.stats.written == 0
    assert "stay in the spool" in caplog.text
    assert "connection refused" in caplog.text
    store = MemoryStore()
    successor = writer_to(store)
    record(successor, "c")
    successor.close(5)
    assert set(store.calls) == {"a", "b", "c", "open"}
    assert store.calls["open"].error_code == "interrupted"
    assert store.calls["a"].error_code is None


def test_close_does_not_wait_for_a_store_that_hangs(
    writer_to: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    store = BlockedStore()
    writer = writer_to(store)
    record(writer, "a")
    assert store.entered.wait(5)
    record(writer, "b")
    writer.close(0.01)
    assert writer.stats.waiting > 0
    assert "stay in the spool" in caplog.text
    store.released.set()


def test_many_threads_lose_nothing(writer_to: MakeWriter) -> None:
    store = MemoryStore(AWAY, AWAY)
    writer = writer_to(store, segment_size=2**16)

    def work(name: str) -> None:
        record(writer, *(f"{name}-{number}" for number in range(500)))

    workers = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    writer.close(10)
    assert len(store.calls) == 4000
    assert {call.error_code for call in store.calls.values()} == {None}
    assert (writer.stats.written, writer.stats.dropped, writer.stats.lost) == (4000, 0, 0)


def test_one_strange_event_does_not_end_the_recording(
    writer_to: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    writer = writer_to(store)
    strange: Event = Begin("x", 1.0, "x", "chat", "openai", metadata=5)  # type: ignore[arg-type]  # strange
    writer.spool.append(strange)
    writer.spool.append(finish("x"))
    record(writer, "a")
    writer.close(5)
    assert set(store.calls) == {"a"}
    assert writer.stats.lost == 1


def test_a_call_that_stays_open_keeps_no_segment_for_itself(writer_to: MakeWriter, tmp_path: Path) -> None:
    store = MemoryStore()
    writer = writer_to(store, segment_size=2**16)
    writer.spool.append(begin("long"))
    for number in range(30):
        record(writer, *(f"{number}-{call}" for call in range(300)))
        assert writer.flush(10)
    assert len(files(tmp_path)) < 10
    writer.spool.append(finish("long"))
    writer.close(5)
    assert store.calls["long"].error_code is None
    assert len(store.calls) == 9_001


def test_a_store_that_cannot_be_opened_is_tried_again(writer_to: MakeWriter) -> None:
    store = MemoryStore()
    writer = writer_to(AWAY, ImportError("no driver"), store)
    record(writer, "a")
    assert writer.flush(5)
    assert set(store.calls) == {"a"}
    writer.close(5)


def test_a_directory_that_cannot_be_written_is_said_and_events_stay_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = MemoryStore()
    writer = new_writer(opening(store), directory=tmp_path / "file" / "spool")
    record(writer, "a", "b")
    assert writer.flush(5)
    assert set(store.calls) == {"a", "b"}
    assert "in memory only" in caplog.text
    assert "[spool] dir" in caplog.text
    writer.close(5)


class _OutOfFiles(PatternsByKind):
    """Patterns on a machine that is out of files for the first failures of each process."""

    def __init__(self, times: float) -> None:
        self.left = times

    def explain(self, **known: Any) -> Pattern:
        if self.left > 0:
            self.left -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().explain(**known)


def _failed(writer: Writer, *calls: str) -> None:
    for call in calls:
        writer.spool.append(begin(call))
        trigger = Trigger("timeout", "no answer", "ollama")
        writer.spool.append(Finish(call, 1_001.0, "timeout", failure=trigger))


def test_a_machine_that_is_out_of_files_costs_no_event(tmp_path: Path) -> None:
    store, patterns = MemoryStore(), _OutOfFiles(5)
    spool = Spool(tmp_path / "spool")
    writer = Writer(spool, lambda: store, lambda: Assembler(patterns), wait=lambda _seconds: None)
    _failed(writer, "a", "b", "c")
    assert writer.flush(10)
    assert {call: record.status for call, record in store.calls.items()} == dict.fromkeys("abc", "timeout")
    assert writer.stats.lost == 0
    writer.close(5)


def test_events_that_cannot_be_taken_before_the_end_wait_for_another_process(tmp_path: Path) -> None:
    directory, first, second = tmp_path / "spool", MemoryStore(), MemoryStore()
    writer = Writer(
        Spool(directory), lambda: first, lambda: Assembler(_OutOfFiles(math.inf)), wait=lambda _seconds: None
    )
    _failed(writer, "a", "b")
    writer.close(0.5)
    assert first.calls == {}
    other = new_writer(opening(second), directory=directory)
    record(other, "c")
    other.close(5)
    assert set(second.calls) == {"a", "b", "c"}
