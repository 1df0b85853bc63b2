from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.events import Begin, Event, Feedback, Finish, Step, Trigger
from cajanegra.domain.record import CallRecord, FeedbackRecord, Record
from cajanegra.domain.redactor import Redactor
from cajanegra.recording.assembler import Assembler
from memory_store import PatternsByKind

KEY = "sk-proj-abcdefghijklmnop1234"
BEGIN = Begin(
    "call-1",
    1_000.0,
    "req-1",
    "chat",
    "ollama",
    "llama3.2",
    "acme",
    "copilot",
    "u1",
    prompt_length=5,
    prompt_hash="ab" * 32,
    temperature=0.2,
    max_tokens=50,
    metadata={"ticket": 7},
)
TIMEOUT = Trigger("timeout", "no answer in 30 s", "ollama", "llama3.2", exception_type="ReadTimeout")
BUSY = Trigger("overloaded", "try later", "openai", "gpt-4o", http_status=503, code="busy", retry_after=2.0)


def step(number: int, strategy: str = "retry", trigger: Trigger | None = TIMEOUT, **details: Any) -> Step:
    values: dict[str, Any] = {"action": f"{strategy} {number}", "successful": False, "time_ms": 40} | details
    return Step("call-1", 1_000.0 + number, strategy, trigger=trigger, **values)


def assembled(*events: Event, **options: Any) -> list[Record]:
    assembler = Assembler(PatternsByKind(), **options)
    return [record for event in events for record in assembler.add(event)]


def call_of(*events: Event, **options: Any) -> CallRecord:
    (record,) = assembled(*events, **options)
    assert isinstance(record, CallRecord)
    return record


def test_an_answered_call_fills_its_row() -> None:
    finish = Finish(
        "call-1",
        1_001.5,
        "success",
        "ollama",
        "llama3.2:3b",
        duration_ms=1500,
        answer_length=12,
        tokens_used=30,
        confidence=0.9,
        metadata={"finish_reason": "stop", "input_tokens": 10, "output_tokens": 20},
    )
    record = call_of(BEGIN, finish)
    assert record == CallRecord(
        request_id="req-1",
        task="chat",
        provider_used="ollama",
        status="success",
        created_at=1_000.0,
        updated_at=1_001.5,
        tenant_id="acme",
        module="copilot",
        user_id="u1",
        prompt_length=5,
        prompt_hash="ab" * 32,
        temperature=0.2,
        max_tokens=50,
        model_requested="llama3.2",
        provider_model="llama3.2:3b",
        response_content_length=12,
        tokens_used=30,
        processing_time_ms=1500,
        error_message=None,
        error_code=None,
        retry_count=0,
        fallback_used=None,
        confidence_score=0.9,
        user_feedback=None,
        correction_applied=None,
        request_metadata={"ticket": 7},
        response_metadata={
            "finish_reason": "stop",
            "input_tokens": 10,
            "output_tokens": 20,
            "attempts": 1,
        },
        steps=(),
        occurrences=(),
    )


def test_what_is_not_known_is_null_and_not_a_guess() -> None:
    record = call_of(
        Begin("call-1", 1_000.0, "req-1", "chat", "openai"), Finish("call-1", 1_001.0, "success")
    )
    unknown = (
        record.prompt_hash,
        record.temperature,
        record.max_tokens,
        record.model_requested,
        record.provider_model,
        record.response_content_length,
        record.tokens_used,
        record.processing_time_ms,
        record.error_message,
        record.error_code,
        record.fallback_used,
        record.confidence_score,
        record.user_feedback,
    )
    assert unknown == (None,) * 13
    assert record.prompt_length == 0
    assert record.request_metadata == {"prompt_unknown": True}


def test_a_call_saved_by_a_fallback() -> None:
    record = call_of(
        BEGIN,
        step(1),
        step(
            2, "fallback", successful=True, action="ollama -> openai", time_ms=640, result={"why": "timeout"}
        ),
        Finish("call-1", 1_003.0, "fallback", "openai", "gpt-4o", on_fallback=True),
    )
    assert (record.status, record.provider_used, record.fallback_used) == ("fallback", "openai", "openai")
    assert (record.error_code, record.error_message) == (None, None)
    assert record.retry_count == 1
    assert [found.step_number for found in record.steps] == [1, 2]
    saved = record.steps[1]
    assert (saved.strategy_name, saved.action_taken, saved.was_successful) == (
        "fallback",
        "ollama -> openai",
        True,
    )
    assert saved.recovery_time_ms == 640
    assert saved.created_at == datetime.fromtimestamp(1_002, UTC)
    assert saved.recovery_result == {
        "why": "timeout",
        "trigger": {
            "provider": "ollama",
            "model": "llama3.2",
            "kind": "timeout",
            "pattern": "ollama_timeout",
            "exception_type": "ReadTimeout",
            "message": "no answer in 30 s",
        },
    }
    assert [(found.pattern, found.error_code) for found in record.occurrences] == [
        ("ollama_timeout", "timeout")
    ] * 2
    assert record.response_metadata["patterns"] == ["ollama_timeout"]
    assert record.response_metadata["attempts"] == 3


def test_a_call_that_was_given_up() -> None:
    record = call_of(
        BEGIN,
        step(1, "fallback", action="ollama -> openai"),
        Finish("call-1", 1_003.0, "error", "openai", "gpt-4o", failure=BUSY, on_fallback=True),
    )
    assert (record.status, record.error_code, record.error_message) == ("error", "overloaded", "try later")
    assert (record.provider_used, record.provider_model, record.fallback_used) == (
        "openai",
        "gpt-4o",
        "openai",
    )
    assert [found.pattern for found in record.occurrences] == ["ollama_timeout", "openai_overloaded"]
    assert record.occurrences[1].probable_cause == "overloaded at openai"
    assert record.occurrences[1].suggested_action == "look at openai"
    assert record.response_metadata == {
        "attempts": 2,
        "patterns": ["ollama_timeout", "openai_overloaded"],
        "pattern": "openai_overloaded",
        "http_status": 503,
        "provider_error_code": "busy",
        "retry_after": 2.0,
    }


def test_a_call_that_failed_where_it_began_used_no_fallback() -> None:
    record = call_of(BEGIN, step(1), Finish("call-1", 1_002.0, "timeout", "ollama", failure=TIMEOUT))
    assert record.fallback_used is None
    assert record.retry_count == 1


def test_secrets_are_masked_wherever_text_is_kept() -> None:
    begin = Begin(
        "call-1", 1.0, "req-1", "chat", "openai", metadata={"api_key": "hunter2", "note": f"with {KEY}"}
    )
    trigger = Trigger("auth", f"Incorrect API key provided: {KEY}", "openai", code=f"bad {KEY}")
    record = call_of(
        begin,
        step(1, trigger=trigger, action=f"with {KEY}", result={"header": f"Bearer {KEY}"}),
        Finish(
            "call-1", 2.0, "error", "openai", failure=trigger, metadata={"said": KEY, "password": "hunter2"}
        ),
    )
    assert KEY not in repr(record)
    assert "hunter2" not in repr(record)
    assert record.error_message is not None
    assert "Incorrect API key" in record.error_message


def test_personal_data_and_own_patterns_are_masked_in_errors_and_metadata() -> None:
    said = "EMP-123456 of ana@acme.example, card 4111 1111 1111 1111, DNI 12345678Z, +34 612 345 678"
    trigger = Trigger("invalid_request", said, "openai", code=said)
    record = call_of(
        Begin("call-1", 1.0, "req-1", "chat", "openai", metadata={"note": [said], "order": "612345678"}),
        step(1, trigger=trigger, action=said, result={"changed": said}),
        Finish("call-1", 2.0, "error", "openai", failure=trigger, metadata={"said": said}),
        redactor=Redactor({"employee": r"EMP-\d{6}"}),
    )
    masked = "[employee] of [email], card [card], DNI [national id], [phone]"
    assert record.error_message == masked
    assert record.request_metadata == {"note": [masked], "order": "612345678", "prompt_unknown": True}
    for survivor in ("EMP-", "ana@", "4111", "12345678Z", "+34"):
        assert survivor not in repr(record)


@pytest.mark.parametrize(("redacted", "expected"), [(True, "[email]"), (False, "ana@acme.example")])
def test_content_is_masked_unless_it_is_wanted_in_full(redacted: bool, expected: str) -> None:
    begin = Begin(
        "call-1", 1.0, "r", "chat", "openai", prompt=[{"role": "user", "content": "ana@acme.example"}]
    )
    finish = Finish("call-1", 2.0, "success", answer="ana@acme.example")
    record = call_of(begin, finish, redacted_content=redacted)
    assert record.prompt == [{"role": "user", "content": expected}]
    assert record.answer == expected


def test_two_calls_with_one_request_id_stay_apart() -> None:
    other = Begin("call-2", 1_000.0, "req-1", "chat", "openai")
    records = assembled(
        BEGIN, other, Finish("call-2", 1_001.0, "success"), Finish("call-1", 1_002.0, "success")
    )
    assert [record.provider_used for record in records if isinstance(record, CallRecord)] == [
        "openai",
        "ollama",
    ]


def test_what_belongs_to_no_open_call_is_left_out() -> None:
    finish = Finish("call-1", 1_002.0, "success")
    assert assembled(finish, step(1)) == []
    assert len(assembled(BEGIN, BEGIN, finish, finish, step(1))) == 1


def test_feedback_needs_no_call() -> None:
    assert assembled(Feedback(5.0, "req-9", "thumbs_down", "acme", "an invoice")) == [
        FeedbackRecord("req-9", "acme", "thumbs_down", "an invoice", datetime.fromtimestamp(5, UTC))
    ]


def test_calls_that_never_end_are_interrupted_when_the_recorder_closes() -> None:
    assembler = Assembler(PatternsByKind())
    assert list(assembler.add(BEGIN)) == list(assembler.add(step(1))) == []
    (record,) = assembler.interrupt_all(1_009.0)
    assert (record.status, record.error_code) == ("error", "interrupted")
    assert record.updated_at == 1_009
    assert len(record.steps) == 1
    assert [found.pattern for found in record.occurrences] == ["ollama_timeout", "ollama_interrupted"]
    assert list(assembler.add(Finish("call-1", 1_010.0, "success"))) == []


def test_open_calls_are_bounded() -> None:
    begins = [Begin(str(number), float(number), str(number), "chat", "openai") for number in range(5)]
    records = assembled(*begins, max_open=3)
    assert [
        (record.request_id, record.error_code) for record in records if isinstance(record, CallRecord)
    ] == [
        ("0", "interrupted"),
        ("1", "interrupted"),
    ]


def test_every_key_is_documented() -> None:
    failure = Trigger("overloaded", "busy", "openai", "gpt-4o", 503, "busy", "httpx.HTTPStatusError", 2.0)
    begin = Begin("call-1", 1.0, "req-1", "chat", "openai")
    record = call_of(
        begin, step(1, trigger=failure), Finish("call-1", 2.0, "error", "openai", failure=failure)
    )
    (result,) = (found.recovery_result for found in record.steps)
    page = (Path(__file__).parents[3] / "docs" / "reference" / "metadata.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    used = {*record.request_metadata, *record.response_metadata, *result, *result["trigger"]}
    assert used - documented == set()


TIMES = st.floats() | st.floats(0, 2e9)
KEYS = st.sampled_from(["a", "b", "c"])
JSON = st.dictionaries(
    st.text(max_size=5), st.text(max_size=5) | st.floats() | st.lists(st.integers()), max_size=2
)
TRIGGERS = st.none() | st.builds(Trigger, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
EVENTS = st.one_of(
    st.builds(
        Begin, KEYS, TIMES, st.text(max_size=5), st.text(), st.text(max_size=5), metadata=st.none() | JSON
    ),
    st.builds(
        Step,
        KEYS,
        TIMES,
        st.sampled_from(["retry", "fallback", "simplify", "prayer"]),
        st.text(max_size=5),
        st.booleans(),
        trigger=TRIGGERS,
        result=st.none() | JSON,
    ),
    st.builds(Finish, KEYS, TIMES, st.sampled_from(["success", "error", "fallback", ""]), failure=TRIGGERS),
    st.builds(Feedback, TIMES, st.text(max_size=5), st.text(max_size=5)),
)


@given(st.lists(EVENTS, max_size=40))
def test_any_sequence_of_events_gives_one_record_per_call(events: list[Event]) -> None:
    assembler = Assembler(PatternsByKind())
    records = [record for event in events for record in assembler.add(event)]
    records += assembler.interrupt_all(2e9)
    assert sum(isinstance(record, CallRecord) for record in records) == _lives(events)
    assert sum(isinstance(record, FeedbackRecord) for record in records) == sum(
        isinstance(event, Feedback) for event in events
    )
    assert assembler.open_calls == 0


def _lives(events: list[Event]) -> int:
    """Calls begun: a key that begins again after its end is another call."""
    open_calls: set[str] = set()
    count = 0
    for event in events:
        if isinstance(event, Begin) and event.call not in open_calls:
            open_calls.add(event.call)
            count += 1
        elif isinstance(event, Finish):
            open_calls.discard(event.call)
    return count
