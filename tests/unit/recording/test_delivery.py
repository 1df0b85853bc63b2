from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from cajanegra.domain.record import CallRecord, FeedbackRecord
from cajanegra.errors import SchemaError, SettingsError, StorageError
from cajanegra.recording.assembler import Record
from cajanegra.recording.delivery import Delivery
from memory_store import AWAY, MemoryStore, opening

NOW = datetime(2026, 2, 16, 9, tzinfo=UTC)


def calls(*tasks: str) -> list[Record]:
    return [
        CallRecord(f"req-{number}", task, "openai", "success", NOW, NOW) for number, task in enumerate(tasks)
    ]


class Clock:
    """A monotonic clock that waiting moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def delivery_to(clock: Clock, *results: MemoryStore | Exception) -> Delivery:
    return Delivery(opening(*results), clock.wait, clock)


def test_records_are_written_in_one_batch() -> None:
    store, clock = MemoryStore(), Clock()
    delivery = delivery_to(clock, store)
    feedback = FeedbackRecord("req-0", "acme", "thumbs_up", None, NOW)
    delivery.deliver([*calls("chat", "chat"), feedback])
    (batch,) = store.batches
    assert [call.request_id for call in batch.calls] == ["req-0", "req-1"]
    assert batch.feedback == [feedback]
    assert (delivery.written, delivery.lost, clock.waits) == (2, 0, [])
    delivery.close()
    assert store.closed


def test_nothing_to_write_opens_nothing() -> None:
    delivery = delivery_to(Clock(), AssertionError("opened"))
    delivery.deliver([])
    delivery.close()
    assert delivery.written == 0


def test_a_store_that_is_away_is_tried_again_with_growing_waits() -> None:
    store, clock = MemoryStore(*[AWAY] * 12), Clock()
    delivery = delivery_to(clock, store)
    delivery.deliver(calls("chat", "chat"))
    assert len(store.calls) == 2
    assert (delivery.written, delivery.lost) == (2, 0)
    assert len(clock.waits) == 12
    doubled = [min(0.2 * 2**number, 30) for number in range(12)]
    for wait, most in zip(clock.waits, doubled, strict=True):
        assert most / 2 <= wait <= most


@pytest.mark.parametrize("problem", [AWAY, SettingsError("the URL is malformed"), ImportError("no driver")])
def test_a_store_that_cannot_be_opened_is_tried_again(problem: Exception) -> None:
    store, clock = MemoryStore(), Clock()
    delivery = delivery_to(clock, problem, problem, store)
    delivery.deliver(calls("chat"))
    assert len(store.calls) == 1
    assert len(clock.waits) == 2


def test_missing_tables_are_waited_for() -> None:
    store, clock = MemoryStore(SchemaError("no tables; run: cajanegra db upgrade")), Clock()
    delivery = delivery_to(clock, store)
    delivery.deliver(calls("chat"))
    assert (delivery.written, delivery.lost) == (1, 0)


def test_a_refused_record_is_isolated_and_the_others_are_written(caplog: pytest.LogCaptureFixture) -> None:
    store, clock = MemoryStore(), Clock()
    delivery = delivery_to(clock, store)
    tasks = ["chat"] * 40
    tasks[7] = tasks[31] = "poison"
    delivery.deliver(calls(*tasks))
    assert set(store.calls) == {f"req-{number}" for number in range(40)} - {"req-7", "req-31"}
    assert (delivery.written, delivery.lost, clock.waits) == (38, 2, [])
    (line,) = caplog.messages
    assert "the row has a value that its column does not take" in line


def test_an_unexpected_error_costs_the_record_and_says_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Faulty(MemoryStore):
        def write(self, batch: object) -> int:
            raise OverflowError("the prompt said: 1234567890")

    clock = Clock()
    delivery = delivery_to(clock, Faulty())
    delivery.deliver(calls("chat"))
    assert delivery.lost == 1
    assert "OverflowError" in caplog.text
    assert "prompt" not in caplog.text


def test_an_outage_in_the_middle_of_isolating_loses_and_repeats_nothing() -> None:
    class Shaky(MemoryStore):
        tries = 0

        def write(self, batch: object) -> int:
            self.tries += 1
            if self.tries % 2 == 0:
                raise AWAY
            return super().write(batch)  # type: ignore[arg-type]  # passed on as it is

    store, clock = Shaky(), Clock()
    delivery = delivery_to(clock, store)
    delivery.deliver(calls("chat", "poison", "chat", "chat"))
    assert set(store.calls) == {"req-0", "req-2", "req-3"}
    assert (delivery.written, delivery.lost) == (3, 1)
    written = [call.request_id for batch in store.batches for call in batch.calls]
    assert sorted(written) == ["req-0", "req-2", "req-3"]


def test_at_the_end_it_gives_up_in_time_and_counts_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    store, clock = MemoryStore(*[AWAY] * 1000), Clock()
    delivery = delivery_to(clock, store)
    delivery.give_up_in(5.0)
    delivery.deliver(calls("chat", "chat"))
    assert clock.now == pytest.approx(5.0)
    assert (delivery.written, delivery.lost) == (0, 2)
    tries = len(clock.waits)
    delivery.deliver(calls("chat"))
    assert delivery.lost == 3
    assert len(clock.waits) == tries
    assert "connection refused" in caplog.messages[-1]


def test_an_outage_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    store, clock = MemoryStore(*[AWAY] * 30), Clock()
    delivery = delivery_to(clock, store)
    delivery.deliver(calls("chat"))
    assert clock.now > 60
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert 2 <= len(warnings) <= clock.now / 60 + 1
    assert warnings[0].message == f"calls wait to be written: {AWAY}"


def test_a_new_outage_is_said_at_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    store = MemoryStore(AWAY)
    delivery = delivery_to(clock, store)
    delivery.deliver(calls("chat"))
    store.fail_with(StorageError("again"))
    delivery.deliver(calls("chat", "chat"))
    assert [message.rsplit(": ", 1)[1] for message in caplog.messages] == ["connection refused", "again"]
