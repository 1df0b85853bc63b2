from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import pytest

from cajanegra.domain.record import Batch, FeedbackRecord, Record
from cajanegra.errors import SchemaError, StorageError
from cajanegra.ports import Prepared
from cajanegra.recording.delivery import Delivery
from memory_store import AWAY, MemoryStore
from records import NOW, call_record


def calls(*tasks: str) -> list[Record]:
    return [call_record(f"req-{number}", task=task, position=number + 1) for number, task in enumerate(tasks)]


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


class Desk:
    """A delivery to a store, and what was set aside."""

    def __init__(self, store: MemoryStore, *, room: bool = True) -> None:
        self.store = store
        self.clock = Clock()
        self.aside: list[tuple[Record, str]] = []
        self.delivery = Delivery(self._set_aside, self.clock.wait, self.clock)
        self._room = room

    def _set_aside(self, record: Record, why: str) -> bool:
        self.aside.append((record, why))
        return self._room

    def deliver(self, *parts: Sequence[Record]) -> bool:
        prepared = [self.store.prepare(Batch.of(part)) for part in parts]
        return self.delivery.deliver(self.store, iter(prepared), "track")


def test_parts_are_written_in_one_transaction() -> None:
    desk = Desk(MemoryStore())
    feedback = FeedbackRecord("req-0", "acme", "thumbs_up", None, NOW, position=9)
    assert desk.deliver(calls("chat", "chat"), [feedback])
    (batch,) = desk.store.batches
    assert [call.request_id for call in batch.calls] == ["req-0", "req-1"]
    assert batch.feedback == [feedback]
    assert (desk.delivery.written, desk.delivery.lost, desk.clock.waits) == (2, 0, [])


def test_a_store_that_is_away_is_tried_again_with_growing_waits() -> None:
    desk = Desk(MemoryStore(*[AWAY] * 12))
    assert desk.deliver(calls("chat", "chat"))
    assert len(desk.store.calls) == 2
    assert (desk.delivery.written, desk.delivery.lost) == (2, 0)
    assert len(desk.clock.waits) == 12
    doubled = [min(0.2 * 2**number, 30) for number in range(12)]
    for wait, most in zip(desk.clock.waits, doubled, strict=True):
        assert most / 2 <= wait <= most


def test_missing_tables_are_waited_for() -> None:
    desk = Desk(MemoryStore(SchemaError("no tables; run: cajanegra db upgrade")))
    assert desk.deliver(calls("chat"))
    assert (desk.delivery.written, desk.delivery.lost) == (1, 0)


@pytest.mark.parametrize("size", [1, 7, 40])
def test_a_refused_record_is_isolated_and_the_others_are_written(size: int) -> None:
    desk = Desk(MemoryStore())
    tasks = ["chat"] * 40
    tasks[7] = tasks[31] = "poison"
    records = calls(*tasks)
    assert desk.deliver(*(records[start : start + size] for start in range(0, 40, size)))
    assert set(desk.store.calls) == {f"req-{number}" for number in range(40)} - {"req-7", "req-31"}
    assert (desk.delivery.written, desk.delivery.refused, desk.delivery.lost) == (38, 2, 0)
    assert desk.clock.waits == []
    assert [record.request_id for record, _why in desk.aside] == ["req-7", "req-31"]
    assert all("a value that its column does not take" in why for _record, why in desk.aside)


def test_records_of_one_position_are_refused_together() -> None:
    # The position of the first would say that the second is written.
    desk = Desk(MemoryStore())
    first, second = (
        call_record(name, task=task, position=5) for name, task in (("a", "chat"), ("b", "poison"))
    )
    assert desk.deliver([first, second])
    assert [record for record, _why in desk.aside] == [first, second]


def test_what_cannot_be_set_aside_is_counted_as_lost() -> None:
    desk = Desk(MemoryStore(), room=False)
    assert desk.deliver(calls("poison"))
    assert (desk.delivery.refused, desk.delivery.lost) == (0, 1)


def test_an_unexpected_error_costs_the_record_and_says_nothing_of_it() -> None:
    class Faulty(MemoryStore):
        def write(self, parts: Iterable[Prepared], track: str = "") -> int:
            raise OverflowError("the prompt said: 1234567890")

    desk = Desk(Faulty())
    assert desk.deliver(calls("chat"))
    ((_record, why),) = desk.aside
    assert "OverflowError" in why
    assert "prompt" not in why


def test_an_outage_in_the_middle_of_isolating_loses_and_repeats_nothing() -> None:
    class Shaky(MemoryStore):
        tries = 0

        def write(self, parts: Iterable[Prepared], track: str = "") -> int:
            self.tries += 1
            if self.tries % 2 == 0:
                raise AWAY
            return super().write(parts, track)

    desk = Desk(Shaky())
    assert desk.deliver(calls("chat", "poison", "chat", "chat"))
    assert set(desk.store.calls) == {"req-0", "req-2", "req-3"}
    assert (desk.delivery.written, desk.delivery.refused) == (3, 1)
    written = [call.request_id for batch in desk.store.batches for call in batch.calls]
    assert sorted(written) == ["req-0", "req-2", "req-3"]


def test_at_the_end_it_gives_up_in_time_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(MemoryStore(*[AWAY] * 1000))
    desk.delivery.give_up_in(5.0)
    assert not desk.deliver(calls("chat", "chat"))
    assert desk.clock.now == pytest.approx(5.0)
    assert (desk.delivery.written, desk.delivery.lost) == (0, 0)
    assert "stay in the spool" in caplog.messages[-1]
    assert "connection refused" in caplog.messages[-1]


def test_an_outage_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(MemoryStore(*[AWAY] * 30))
    desk.deliver(calls("chat"))
    assert desk.clock.now > 60
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert 2 <= len(warnings) <= desk.clock.now / 60 + 1
    assert warnings[0].message == f"calls wait to be written: {AWAY}"


def test_a_new_outage_is_said_at_once(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(MemoryStore(AWAY))
    desk.deliver(calls("chat"))
    desk.store.fail_with(StorageError("again"))
    desk.deliver(calls("chat", "chat"))
    assert [message.rsplit(": ", 1)[1] for message in caplog.messages] == ["connection refused", "again"]
