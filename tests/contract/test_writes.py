from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cajanegra.domain.record import Batch, CallRecord, ContentRecord, FeedbackRecord
from cajanegra.errors import SchemaError, StorageError
from cajanegra.storage.database import Database
from cajanegra.storage.writes import Store
from records import NOW, call_record, occurrence, recovered_call, step_record, write


def _rows(database: Database, query: str) -> list[dict[str, Any]]:
    with database.engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def _snapshot(database: Database) -> list[list[dict[str, Any]]]:
    tables = ("ai_request_logs", "ai_error_recovery", "ai_error_analysis", "cajanegra_contents")
    return [_rows(database, f"SELECT * FROM {table} ORDER BY id") for table in tables]  # noqa: S608 - constants


def test_a_call_is_written_with_all_that_belongs_to_it(database: Database) -> None:
    call = recovered_call("r-1", prompt=[{"role": "user", "content": "hi"}], answer="hello")
    assert write(database, call) == 1
    (row,), (step,), (pattern,), (content,) = _snapshot(database)
    assert (row["request_id"], row["status"], row["fallback_used"]) == ("r-1", "fallback", "openai")
    assert step["request_log_id"] == row["id"] == content["request_log_id"]
    assert (step["step_number"], step["was_successful"], step["recovery_time_ms"]) == (1, "true", 100)
    assert (pattern["error_pattern"], pattern["occurrence_count"]) == ("ollama_timeout", 1)
    assert (pattern["probable_cause"], pattern["resolution_status"]) == ("It is slow.", "open")
    assert content["answer"] == "hello"


def test_unknown_is_null_and_not_a_default(database: Database) -> None:
    write(database, call_record("r-1"))
    ((row, *_), *_) = _snapshot(database)
    for column in ("temperature", "max_tokens", "tokens_used", "response_content_length", "confidence_score"):
        assert row[column] is None


def test_writing_a_batch_again_changes_nothing(database: Database) -> None:
    calls = [recovered_call(f"r-{i}") for i in range(20)] + [call_record("r-plain")]
    assert write(database, *calls) == 21
    before = _snapshot(database)
    assert write(database, *calls) == 0
    assert write(database, *calls[5:], recovered_call("r-new")) == 1
    after = _snapshot(database)
    assert after[0][:21] == before[0]
    assert after[1][:20] == before[1]
    assert [pattern["occurrence_count"] for pattern in after[2]] == [21]


def test_an_id_that_comes_twice_in_a_batch_is_written_once(database: Database) -> None:
    assert write(database, recovered_call("r-1", task="first"), recovered_call("r-1", task="second")) == 1
    (row,), (_step,), (pattern,), _contents = _snapshot(database)
    assert (row["task"], pattern["occurrence_count"]) == ("first", 1)


def test_no_tenant_can_take_anothers_request_id(database: Database) -> None:
    ours, theirs = recovered_call("order-1"), recovered_call("order-1", tenant_id="globex")
    nobodys = recovered_call("order-1", tenant_id=None)
    assert write(database, ours) == 1
    assert write(database, theirs, nobodys) == 2
    assert write(database, theirs, ours, nobodys) == 0
    rows, steps, (pattern,), _contents = _snapshot(database)
    assert [row["tenant_id"] for row in rows] == ["acme", "globex", None]
    assert len({row["request_id"] for row in rows}) == 3
    assert rows[1]["request_metadata"] in (
        {"given_request_id": "order-1"},
        '{"given_request_id":"order-1"}',
    )
    assert len(steps) == pattern["occurrence_count"] == 3


def test_two_tenants_in_one_batch_with_one_id_are_two_calls(database: Database) -> None:
    assert write(database, recovered_call("r"), recovered_call("r", tenant_id="globex")) == 2
    assert len(_snapshot(database)[1]) == 2


def test_no_value_loses_the_row(database: Database) -> None:
    call = call_record(
        "x" * 80,
        tenant_id="t" * 60,
        user_id="u\x00\ud800",
        task="a task with a very long name",
        module="m" * 100,
        prompt_hash="h" * 100,
        provider_used="",
        error_message="bad \x00 and \udfff",
        max_tokens=2**40,
        tokens_used=-(2**70),
        temperature=float("nan"),
        confidence_score=float("inf"),
        created_at=NOW + timedelta(days=400),
        request_metadata={
            "bytes": b"\x00",
            "set": {1},
            "nan": float("nan"),
            3: object,
            "big": 2**80,
            "nul": "\x00",
        },
        response_metadata={"deep": [[[[[[[[[[[[[[[["x"]]]]]]]]]]]]]]]]},
        steps=[step_record(action_taken="a" * 500, recovery_result={"x": "\x00\ud800"})],
        occurrences=[occurrence("p" * 300)],
    )
    assert write(database, call) == 1
    assert write(database, call) == 0
    (row,), (step,), (pattern,), _contents = _snapshot(database)
    assert len(row["request_id"]) == len(row["tenant_id"]) == 32
    assert row["task"] == "a task with a very l"
    assert row["error_message"] == "bad \ufffd and \ufffd"
    assert (row["max_tokens"], row["tokens_used"], row["temperature"], row["confidence_score"]) == (None,) * 4
    assert len(step["action_taken"]) == len(pattern["error_pattern"]) == 100
    changed = str(row["request_metadata"])
    for word in ("changed", "1099511627776", "a task with a very long name", "2027-12-29"):
        assert word in changed


def test_texts_that_have_to_be_escaped_are_stored_as_they_are(database: Database) -> None:
    texts = ["plain", "a\ttab", "two\nlines", "a\rreturn", "back\\slash", "\\N", "", None, "é\u2028"]
    write(database, *(call_record(f"c-{n}", module=one, error_message=one) for n, one in enumerate(texts)))
    rows = _rows(database, "SELECT module, error_message FROM ai_request_logs ORDER BY id")
    assert [*map(tuple, map(dict.values, rows))] == [(one, one) for one in texts]


def test_feedback_finds_the_call_of_its_tenant_alone(database: Database) -> None:
    def feedback(request_id: str, tenant_id: str | None, word: str) -> FeedbackRecord:
        return FeedbackRecord(request_id, tenant_id, word, None, NOW)

    write(database, call_record("r"), call_record("r", tenant_id="globex"), call_record("s", tenant_id=None))
    said = [feedback("r", "globex", "down"), feedback("r", "initech", "never"), feedback("s", None, "up")]
    write(database, *said)
    rows = _rows(database, "SELECT tenant_id, user_feedback FROM ai_request_logs")
    assert {row["tenant_id"]: row["user_feedback"] for row in rows} == {
        "acme": None,
        "globex": "down",
        None: "up",
    }


def test_feedback_without_a_correction_leaves_the_one_there_is(database: Database) -> None:
    write(database, call_record("r"))
    write(database, FeedbackRecord("r", "acme", "thumbs_down", "invoice", NOW))
    write(database, FeedbackRecord("r", "acme", "thumbs_up", None, NOW))
    (row,) = _rows(database, "SELECT user_feedback, correction_applied FROM ai_request_logs")
    assert row == {"user_feedback": "thumbs_up", "correction_applied": "invoice"}


def test_feedback_that_comes_late_does_not_undo_what_was_said_after_it(database: Database) -> None:
    write(database, call_record("r"))
    later = NOW + timedelta(seconds=30)
    write(database, FeedbackRecord("r", "acme", "thumbs_up", None, later))
    write(database, FeedbackRecord("r", "acme", "thumbs_down", "invoice", NOW))
    (row,) = _rows(database, "SELECT user_feedback, correction_applied FROM ai_request_logs")
    assert row == {"user_feedback": "thumbs_up", "correction_applied": None}


def test_feedback_and_texts_wait_for_their_call(database: Database) -> None:
    at = NOW - timedelta(seconds=5)
    write(database, FeedbackRecord("r", "acme", "thumbs_up", None, NOW))
    write(database, ContentRecord("r", "acme", "hola", "adiós", at))
    write(database, call_record("r", created_at=at))
    (row,) = _rows(database, "SELECT user_feedback FROM ai_request_logs")
    (content,) = _rows(database, "SELECT answer FROM cajanegra_contents")
    assert (row["user_feedback"], content["answer"]) == ("thumbs_up", "adiós")
    assert _rows(database, "SELECT * FROM cajanegra_waiting") == []


def test_an_end_replaces_an_interruption_and_its_counts(database: Database) -> None:
    interrupted = recovered_call(
        "r",
        status="error",
        error_code="interrupted",
        occurrences=[occurrence(), occurrence("openai_interrupted")],
        response_metadata={"attempts": 2, "pattern": "openai_interrupted"},
    )
    assert write(database, interrupted, track="a") == 1
    assert write(database, recovered_call("r"), track="b") == 0
    (row,), steps, (pattern,), _contents = _snapshot(database)
    assert (row["status"], row["error_code"], len(steps)) == ("fallback", None, 1)
    assert (pattern["error_pattern"], pattern["occurrence_count"]) == ("ollama_timeout", 1)
    assert write(database, interrupted, track="c") == 0
    assert _snapshot(database)[0] == [row]


def test_an_interrupted_call_with_an_id_that_was_used_before_has_a_row_of_its_own(database: Database) -> None:
    later = NOW + timedelta(seconds=1)
    assert write(database, call_record("job")) == 1
    assert (
        write(database, call_record("job", status="error", error_code="interrupted", created_at=later)) == 1
    )
    rows = _rows(database, "SELECT status, error_code FROM ai_request_logs ORDER BY id")
    assert [row["error_code"] for row in rows] == [None, "interrupted"]


def test_what_stands_before_the_position_of_its_track_is_passed_over(database: Database) -> None:
    first, second = recovered_call("r-1", position=10), recovered_call("r-2", position=20)
    assert write(database, first, track="t") == 1
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM ai_request_logs"))
    assert write(database, first, second, track="t") == 1
    assert [row["request_id"] for row in _snapshot(database)[0]] == ["r-2"]
    assert _snapshot(database)[2][0]["occurrence_count"] == 2


def test_two_finished_calls_of_a_tenant_with_one_id_are_both_kept(database: Database) -> None:
    later = NOW + timedelta(seconds=1)
    assert write(database, call_record("r"), call_record("r", created_at=later)) == 2
    rows = _snapshot(database)[0]
    assert [row["tenant_id"] for row in rows] == ["acme", "acme"]
    (derived,) = [row for row in rows if row["request_id"] != "r"]
    assert "'r'" in str(derived["request_metadata"]).replace('"', "'")


def test_what_somebody_decided_about_a_pattern_stays(database: Database) -> None:
    write(database, recovered_call("r-1"))
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE ai_error_analysis SET probable_cause = 'ours', resolution_status = 'wontfix'")
        )
    later = NOW + timedelta(minutes=5)
    write(database, recovered_call("r-2", occurrences=[occurrence(at=later), occurrence(at=NOW)]))
    (pattern,) = _snapshot(database)[2]
    assert (pattern["probable_cause"], pattern["resolution_status"]) == ("ours", "wontfix")
    assert pattern["occurrence_count"] == 3
    assert str(pattern["last_occurred"]).startswith("2026-11-24 12:05:00")


def _write_patiently(store: Store, calls: list[CallRecord]) -> None:
    """As the writer does: a deadlock or a busy file passes."""
    for _attempt in range(50):
        try:
            store.write([store.prepare(Batch(calls))])
        except StorageError:
            continue
        return
    store.write([store.prepare(Batch(calls))])


def test_several_writers_lose_and_double_nothing(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    errors: list[BaseException] = []

    def write(writer: int) -> None:
        with Database(url) as own:
            store = Store(own)
            for batch in range(5):
                calls = [recovered_call(f"shared-{batch}-{i}") for i in range(10)]
                calls += [
                    recovered_call(f"{writer}-{batch}-{i}", occurrences=[occurrence(f"p{i}")])
                    for i in range(10)
                ]
                try:
                    _write_patiently(store, calls[::-1] if writer % 2 else calls)
                except StorageError as error:
                    errors.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    rows, steps, patterns, _contents = _snapshot(database)
    assert len(rows) == len(steps) == 50 + 4 * 50
    counts = {pattern["error_pattern"]: pattern["occurrence_count"] for pattern in patterns}
    assert counts == {"ollama_timeout": 50, **{f"p{i}": 20 for i in range(10)}}


def test_missing_tables_are_named_with_the_command_that_makes_them(empty_postgres_url: str) -> None:
    with Database(empty_postgres_url) as database, pytest.raises(SchemaError, match="cajanegra db upgrade"):
        write(database, call_record("r"))


def test_a_new_sqlite_file_gets_its_tables(empty_sqlite_url: str) -> None:
    with Database(empty_sqlite_url) as database:
        assert write(database, call_record("r")) == 1


def test_a_database_that_is_away_is_one_clear_line() -> None:
    with Database("postgresql://nobody:s3cret@127.0.0.1:9/none") as database:
        with pytest.raises(StorageError, match="cannot be reached") as caught:
            write(database, call_record("r"))
        assert "s3cret" not in str(caught.value)
        assert "\n" not in str(caught.value)
