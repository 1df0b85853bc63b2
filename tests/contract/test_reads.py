from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.domain.record import CallRecord
from cajanegra.errors import SchemaError, UsageError
from cajanegra.storage import reads
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from records import NOW, call_record, recovered_call, step_record, write

EVERYTHING = CallFilter(ALL_TENANTS)


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
        (CallFilter(ALL_TENANTS, tenant_id="globex"), ["c"]),
        (CallFilter(ALL_TENANTS, tenant_id="t" * 60), []),
        (CallFilter(ALL_TENANTS, module="imports"), ["b"]),
        (CallFilter(ALL_TENANTS, task="analysis"), ["b"]),
        (CallFilter(ALL_TENANTS, provider="ollama"), ["c"]),
        (CallFilter(ALL_TENANTS, model="gpt-4o"), ["a", "b"]),
        (CallFilter(ALL_TENANTS, status="error"), ["c"]),
        (CallFilter(ALL_TENANTS, error_code="timeout"), ["c"]),
        (CallFilter(ALL_TENANTS, pattern="ollama_timeout"), ["b"]),
        (CallFilter(ALL_TENANTS, pattern="ollama"), []),
        (CallFilter(ALL_TENANTS, user_id="u1"), ["a"]),
        (CallFilter(ALL_TENANTS, since=NOW - timedelta(minutes=1)), ["a", "b"]),
        (CallFilter(ALL_TENANTS, until=NOW - timedelta(minutes=1)), ["c"]),
        (CallFilter(ALL_TENANTS, since=NOW - timedelta(minutes=2), until=NOW), ["b", "c"]),
        (CallFilter(ALL_TENANTS, min_ms=500), ["b"]),
        (CallFilter(ALL_TENANTS, q="SLOW%"), ["c"]),
        (CallFilter(ALL_TENANTS, q="doc-7"), ["a"]),
        (CallFilter(ALL_TENANTS, q="no such words"), []),
        (CallFilter(ALL_TENANTS, module="imports", status="fallback", min_ms=1), ["b"]),
        (CallFilter(ALL_TENANTS, status="success", q="'; DROP TABLE ai_request_logs; --"), []),
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
    detail = reads.call(database, ALL_TENANTS, "r")
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
    theirs = reads.call(database, "globex", "order-1")
    assert theirs is not None
    assert theirs.call["task"] == "theirs"
    assert reads.call(database, "initech", "order-1") is None
    assert reads.call(database, ALL_TENANTS, "nothing") is None


def test_an_id_that_did_not_fit_is_found_by_what_the_application_gave(database: Database) -> None:
    _write(database, call_record("x" * 80))
    assert reads.call(database, ALL_TENANTS, "x" * 80) is not None


def _cursor_of(database: Database, where: CallFilter) -> str:
    cursor = reads.calls(database, where, limit=1).next_cursor
    assert cursor is not None
    return cursor


@pytest.mark.parametrize(
    "cursor", ["", "x", "ñ", "bm90IGpzb24=", "WzEsIDJd", "W251bGwsICJ4Il0=", "A" * 5_000]
)
def test_a_cursor_that_was_not_given_out_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(UsageError, match="the cursor is not one that was given out"):
        reads.calls(database, EVERYTHING, cursor=cursor)


@pytest.mark.parametrize(
    "change", [(3, "\x00"), (3, "\ud800"), (4, -1), (4, 1e99), (2, "yesterday"), (1, "up")]
)
def test_a_cursor_that_was_changed_is_refused(database: Database, change: tuple[int, Any]) -> None:
    _write(database, call_record("a"), call_record("b"))
    parts = json.loads(base64.urlsafe_b64decode(_cursor_of(database, EVERYTHING) + "=="))
    parts[change[0]] = change[1]
    forged = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()
    with pytest.raises(UsageError, match="the cursor is not one that was given out"):
        reads.calls(database, EVERYTHING, cursor=forged)


def test_a_cursor_holds_for_its_own_list_alone(database: Database) -> None:
    _write(database, *(call_record(f"r-{i}", tenant_id=("acme", "globex")[i % 2]) for i in range(8)))
    cursor = _cursor_of(database, EVERYTHING)
    for other in (
        CallFilter(ALL_TENANTS, status="error"),
        CallFilter("acme"),
        CallFilter(ALL_TENANTS, q="x"),
    ):
        with pytest.raises(UsageError, match="belongs to a list with other filters"):
            reads.calls(database, other, cursor=cursor)
    # A time that is reckoned from now differs from page to page.
    assert reads.calls(database, CallFilter(ALL_TENANTS, since=NOW - timedelta(days=1)), cursor=cursor).items


def test_a_forged_cursor_shows_no_more_than_the_scope_has(database: Database) -> None:
    _write(database, *(call_record(f"r-{i}", tenant_id=("acme", "globex")[i % 2]) for i in range(8)))
    ours = CallFilter("acme")
    parts = json.loads(base64.urlsafe_b64decode(_cursor_of(database, ours) + "=="))
    parts[2:4] = ["2999-01-01T00:00:00", "zzz"]
    forged = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()
    assert sorted(_ids(reads.calls(database, ours, cursor=forged).items)) == ["r-0", "r-2", "r-4", "r-6"]


def test_a_list_is_read_in_both_directions(database: Database) -> None:
    _write(
        database, *(call_record(f"r-{i:02d}", created_at=NOW - timedelta(seconds=i // 3)) for i in range(11))
    )
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE ai_request_logs SET created_at = NULL WHERE request_id IN ('r-03', 'r-08')")
        )
    down = list(_pages(database, EVERYTHING, 3))
    up = [reads.calls(database, EVERYTHING, limit=3, cursor=down[-1].previous_cursor)]
    while up[-1].items:
        up.append(reads.calls(database, EVERYTHING, limit=3, cursor=up[-1].previous_cursor))
    rows = [_ids(page.items) for page in down]
    assert [_ids(page.items) for page in up[:-1]] == rows[-2::-1]
    again = reads.calls(database, EVERYTHING, limit=3, cursor=up[-2].next_cursor)
    assert _ids(again.items) == rows[1]
    _write(database, call_record("r-new", created_at=NOW + timedelta(minutes=1)))
    newer = reads.calls(database, EVERYTHING, limit=3, cursor=up[-1].previous_cursor)
    assert _ids(newer.items) == ["r-new"]


@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_page_looks_at_so_many_calls_and_no_more(database: Database, direction: str) -> None:
    _write(
        database,
        *(
            call_record(
                f"r-{i:02d}", created_at=NOW - timedelta(seconds=i // 2), user_id=("u", "v")[i % 9 == 0]
            )
            for i in range(40)
        ),
    )
    where = CallFilter(ALL_TENANTS, user_id="v")
    page = reads.calls(database, where, limit=3, scan=6)
    found, pages = [page], 0
    while page.next_cursor:
        page = reads.calls(database, where, limit=3, cursor=page.next_cursor, scan=6)
        found.append(page)
    rows = [row for page in found for row in page.items]
    assert _ids(rows) == ["r-00", "r-09", "r-18", "r-27", "r-36"]
    assert len(found) > 5
    if direction == "up":
        back: list[Any] = [*found[-1].items]
        while page.previous_cursor and pages < 20:
            page = reads.calls(database, where, limit=3, cursor=page.previous_cursor, scan=6)
            back = [*page.items, *back]
            pages += 1
        assert _ids(back) == _ids(rows)


def test_a_look_gets_past_a_moment_with_more_calls_than_are_looked_at(database: Database) -> None:
    users = {0: "v", 15: "v", 39: "v"}
    _write(
        database,
        call_record("r-later", created_at=NOW + timedelta(seconds=1), user_id="v"),
        *(call_record(f"r-{i:02d}", created_at=NOW, user_id=users.get(i, "u")) for i in range(40)),
        call_record("r-earlier", created_at=NOW - timedelta(seconds=1), user_id="v"),
    )
    where = CallFilter(ALL_TENANTS, user_id="v")
    found = [reads.calls(database, where, limit=2, scan=6)]
    while (cursor := found[-1].next_cursor) and len(found) < 10:
        found.append(reads.calls(database, where, limit=2, cursor=cursor, scan=6))
    down = [row for page in found for row in page.items]
    assert _ids(down) == ["r-later", "r-39", "r-15", "r-00", "r-earlier"]
    page, back = found[-1], [*found[-1].items]
    for _ in range(10):
        assert page.previous_cursor is not None
        page = reads.calls(database, where, limit=2, cursor=page.previous_cursor, scan=6)
        back = [*page.items, *back]
    assert _ids(back) == _ids(down)


def test_what_others_have_changes_nothing_that_a_tenant_sees(database: Database) -> None:
    later = NOW + timedelta(seconds=1)
    ours = [
        recovered_call("a", request_metadata={"given_request_id": "mine"}),
        recovered_call("b"),
        call_record("b", created_at=later, task="again"),
        call_record("c", request_metadata={"given_request_id": "c", "x": 1}),
    ]
    with_others: list[Any] = []
    for others in ([], [call_record(name, tenant_id="globex") for name in "abc"]):
        with database.transaction() as connection:
            connection.execute(text("DELETE FROM ai_request_logs"))
            connection.execute(text("DELETE FROM ai_error_recovery"))
        _write(database, *others)
        _write(database, *ours)
        rows = [dict(row) for row in reads.calls(database, CallFilter("acme"), limit=2).items]
        for row in rows:
            del row["id"]
        details = [reads.call(database, "acme", row["request_id"]) for row in rows]
        first = reads.calls(database, CallFilter("acme"), limit=2)
        with_others.append((rows, first.next_cursor, [detail and detail.call["task"] for detail in details]))
        assert all(details)
    assert with_others[0] == with_others[1]


def test_nobody_finds_out_by_a_derived_id_who_else_has_one(database: Database) -> None:
    _write(database, call_record("a", tenant_id="globex"), call_record("a"))
    (row,) = [row for row in reads.iterate(database, EVERYTHING) if row["tenant_id"] == "acme"]
    assert row["request_id"].startswith("~")
    assert reads.call(database, ALL_TENANTS, row["request_id"]) is not None
    assert reads.call(database, "acme", row["request_id"]) is None
    assert reads.call(database, "acme", "a") is not None


def test_what_cannot_be_meant_is_refused(database: Database) -> None:
    with pytest.raises(UsageError, match="'broken' is not a status; choose one of success, fallback"):
        reads.calls(database, CallFilter(ALL_TENANTS, status="broken"))
    with pytest.raises(UsageError, match="limit must be between 1 and 500"):
        reads.calls(database, EVERYTHING, limit=501)


def test_missing_tables_are_named_with_the_command_that_makes_them(empty_database: Database) -> None:
    with pytest.raises(SchemaError, match="cajanegra db upgrade"):
        reads.calls(empty_database, EVERYTHING)
