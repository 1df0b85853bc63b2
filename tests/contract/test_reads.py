from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cajanegra.domain.record import CallRecord
from cajanegra.errors import SchemaError, UsageError
from cajanegra.storage import reads
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from records import NOW, call_record, recovered_call, step_record, write

EVERYTHING = CallFilter()


def _write(database: Database, *calls: CallRecord) -> None:
    write(database, *calls)


def _ids(rows: Any) -> list[str]:
    return [row["request_id"] for row in rows]


def _pages(database: Database, where: CallFilter, limit: int) -> Iterator[reads.Page]:
    page = reads.calls(database, where, limit=limit)
    yield page
    while page.next_cursor:
        page = reads.calls(database, where, limit=limit, cursor=page.next_cursor)
        yield page


def test_pages_show_every_call_once_newest_first(database: Database) -> None:
    # Several calls share a moment, as they do in a burst.
    _write(
        database, *(call_record(f"r-{i:02d}", created_at=NOW - timedelta(seconds=i // 4)) for i in range(23))
    )
    pages = list(_pages(database, EVERYTHING, 5))
    rows = [row for page in pages for row in page.items]
    assert len(rows) == len(set(_ids(rows))) == 23
    assert [row["created_at"] for row in rows] == sorted((row["created_at"] for row in rows), reverse=True)
    assert [len(page.items) for page in pages] == [5, 5, 5, 5, 3]


def test_rows_of_others_without_a_time_are_shown_too(database: Database) -> None:
    _write(database, *(call_record(f"r-{i}", created_at=NOW - timedelta(minutes=i)) for i in range(7)))
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE ai_request_logs SET created_at = NULL WHERE request_id IN ('r-2', 'r-3', 'r-5')")
        )
    rows = [row for page in _pages(database, EVERYTHING, 2) for row in page.items]
    assert sorted(_ids(rows)) == [f"r-{i}" for i in range(7)]
    assert [name for name in _ids(rows) if name in ("r-0", "r-1", "r-4", "r-6")] == [
        "r-0",
        "r-1",
        "r-4",
        "r-6",
    ]


def test_calls_that_arrive_do_not_shift_a_page(database: Database) -> None:
    _write(database, *(call_record(f"r-{i}", created_at=NOW - timedelta(minutes=i)) for i in range(6)))
    first = reads.calls(database, EVERYTHING, limit=3)
    _write(database, *(call_record(f"new-{i}", created_at=NOW + timedelta(minutes=i + 1)) for i in range(3)))
    second = reads.calls(database, EVERYTHING, limit=3, cursor=first.next_cursor)
    assert _ids(first.items) + _ids(second.items) == [f"r-{i}" for i in range(6)]
    assert second.next_cursor is None


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (EVERYTHING, ["a", "b", "c"]),
        (CallFilter(tenant_id="globex"), ["c"]),
        (CallFilter(tenant_id="t" * 60), []),
        (CallFilter(module="imports"), ["b"]),
        (CallFilter(task="analysis"), ["b"]),
        (CallFilter(provider="ollama"), ["c"]),
        (CallFilter(model="gpt-4o"), ["a", "b"]),
        (CallFilter(status="error"), ["c"]),
        (CallFilter(error_code="timeout"), ["c"]),
        (CallFilter(pattern="ollama_timeout"), ["b"]),
        (CallFilter(pattern="ollama"), []),
        (CallFilter(user_id="u1"), ["a"]),
        (CallFilter(since=NOW - timedelta(minutes=1)), ["a", "b"]),
        (CallFilter(until=NOW - timedelta(minutes=1)), ["c"]),
        (CallFilter(since=NOW - timedelta(minutes=2), until=NOW), ["b", "c"]),
        (CallFilter(min_ms=500), ["b"]),
        (CallFilter(q="SLOW%"), ["c"]),
        (CallFilter(q="doc-7"), ["a"]),
        (CallFilter(q="no such words"), []),
        (CallFilter(module="imports", status="fallback", min_ms=1), ["b"]),
        (CallFilter(status="success", q="'; DROP TABLE ai_request_logs; --"), []),
    ],
)
def test_a_filter_finds_what_it_says(database: Database, where: CallFilter, found: list[str]) -> None:
    earlier = NOW - timedelta(minutes=2)
    a = call_record("a", model_requested="gpt-4o", user_id="u1", request_metadata={"document": "DOC-7"})
    b = recovered_call(
        "b",
        module="imports",
        task="analysis",
        provider_model="gpt-4o",
        processing_time_ms=900,
        created_at=NOW - timedelta(seconds=30),
    )
    c = call_record(
        "c",
        tenant_id="globex",
        provider_used="ollama",
        status="error",
        error_code="timeout",
        error_message="slow% by 5_s",
        created_at=earlier,
    )
    _write(database, a, b, c)
    assert sorted(_ids(reads.calls(database, where).items)) == found
    assert sorted(_ids(reads.iterate(database, where))) == found


def test_a_call_comes_with_all_that_belongs_to_it(database: Database) -> None:
    steps = [step_record(1, was_successful=False), step_record(2)]
    _write(database, recovered_call("r", steps=steps, prompt="hi", answer="hello"), recovered_call("other"))
    detail = reads.call(database, "r")
    assert detail is not None
    assert detail.call["request_id"] == "r"
    assert [(step["step_number"], step["was_successful"]) for step in detail.steps] == [
        (1, "false"),
        (2, "true"),
    ]
    assert [pattern["error_pattern"] for pattern in detail.patterns] == ["ollama_timeout"]
    assert (detail.prompt, detail.answer) == ("hi", "hello")


def test_a_call_is_found_by_tenant_and_original_id(database: Database) -> None:
    _write(database, call_record("order-1"), call_record("order-1", tenant_id="globex", task="theirs"))
    theirs = reads.call(database, "order-1", "globex")
    assert theirs is not None
    assert theirs.call["task"] == "theirs"
    assert reads.call(database, "order-1", "initech") is None
    assert reads.call(database, "nothing") is None


def test_an_id_that_did_not_fit_is_found_by_what_the_application_gave(database: Database) -> None:
    _write(database, call_record("x" * 80))
    assert reads.call(database, "x" * 80) is not None


def test_a_tail_shows_what_came_after_in_order(database: Database) -> None:
    _write(database, call_record("r-0"))
    last = reads.newest_id(database)
    assert reads.after(database, EVERYTHING, last) == []
    _write(database, call_record("r-1"), call_record("r-2", tenant_id="globex"), call_record("r-3"))
    assert _ids(reads.after(database, EVERYTHING, last)) == ["r-1", "r-2", "r-3"]
    assert _ids(reads.after(database, CallFilter(tenant_id="acme"), last, limit=1)) == ["r-1"]


def test_a_cursor_with_an_id_beyond_all_ids_is_no_more_than_that(database: Database) -> None:
    write(database, call_record("r1"))
    cursor = base64.urlsafe_b64encode(f'["2036-11-24T12:00:00", {"9" * 30}]'.encode()).decode()
    assert len(reads.calls(database, EVERYTHING, cursor=cursor).items) == 1


@pytest.mark.parametrize("cursor", ["", "x", "bm90IGpzb24=", "WzEsIDJd", "W251bGwsICJ4Il0="])
def test_a_cursor_that_was_not_given_out_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(UsageError, match="the cursor is not one that was given out"):
        reads.calls(database, EVERYTHING, cursor=cursor)


def test_what_cannot_be_meant_is_refused(database: Database) -> None:
    with pytest.raises(UsageError, match="'broken' is not a status; choose one of success, fallback"):
        reads.calls(database, CallFilter(status="broken"))
    with pytest.raises(UsageError, match="limit must be between 1 and 500"):
        reads.calls(database, EVERYTHING, limit=501)


def test_missing_tables_are_named_with_the_command_that_makes_them(empty_database: Database) -> None:
    with pytest.raises(SchemaError, match="cajanegra db upgrade"):
        reads.calls(empty_database, EVERYTHING)
