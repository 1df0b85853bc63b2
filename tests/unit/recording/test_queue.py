from __future__ import annotations

from cajanegra.domain.events import Begin, Event, Feedback, Finish, Step
from cajanegra.recording.queue import EventQueue


def begin(call: str) -> Begin:
    return Begin(call, 0.0, call, "chat", "openai")


def step(call: str) -> Step:
    return Step(call, 0.0, "retry", "openai again", successful=True)


def finish(call: str) -> Finish:
    return Finish(call, 0.0, "success")


def filled(capacity: int) -> EventQueue:
    queue = EventQueue(capacity)
    for number in range(capacity):
        queue.append(begin(f"kept-{number}"))
    return queue


def taken(queue: EventQueue) -> list[Event]:
    entries = queue.take(1000)
    assert all(isinstance(entry, Begin | Step | Finish | Feedback) for entry in entries)
    return entries  # type: ignore[return-value]  # no barrier was put in


def test_events_come_out_in_order_and_once() -> None:
    queue = EventQueue(10)
    events: list[Event] = [begin("a"), step("a"), begin("b"), finish("a")]
    for event in events:
        queue.append(event)
    assert queue.take(3) == events[:3]
    assert queue.take(3) == events[3:]
    assert queue.take(3) == []


def test_a_full_queue_takes_no_new_calls_and_counts_them() -> None:
    queue = filled(3)
    queue.append(begin("late"))
    queue.append(Feedback(0.0, "kept-0", "thumbs_up"))
    assert queue.dropped == 2
    assert len(queue) == 3


def test_a_full_queue_still_takes_the_rest_of_the_calls_it_has() -> None:
    queue = filled(3)
    queue.append(step("kept-1"))
    queue.append(finish("kept-1"))
    assert taken(queue)[3:] == [step("kept-1"), finish("kept-1")]
    assert queue.dropped == 0


def test_nothing_of_a_call_that_was_not_taken_gets_in_later() -> None:
    queue = filled(2)
    queue.append(begin("late"))
    queue.take(2)
    queue.append(step("late"))
    queue.append(finish("late"))
    assert len(queue) == 0
    queue.append(begin("next"))
    queue.append(finish("next"))
    assert taken(queue) == [begin("next"), finish("next")]
    assert queue.dropped == 1


def test_memory_is_bounded_even_when_one_call_never_stops_stepping() -> None:
    queue = filled(4)
    for _ in range(100):
        queue.append(step("kept-0"))
    assert len(queue) == 8


def test_a_closed_queue_takes_nothing_and_counts_the_calls() -> None:
    queue = filled(1)
    queue.close()
    queue.append(finish("kept-0"))
    queue.append(begin("late"))
    queue.append(finish("late"))
    assert taken(queue) == [begin("kept-0")]
    assert queue.dropped == 1
