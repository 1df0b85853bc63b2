from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import inspect

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.errors import UsageError
from cajanegra.storage import optional_indexes, reads
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.verify import verify
from records import NOW, call_record, write


def _names(database: Database) -> set[str]:
    with database.engine.connect() as connection:
        return {index["name"] or "" for index in inspect(connection).get_indexes("ai_request_logs")}


def test_indexes_are_added_once_and_find_calls(database: Database) -> None:
    calls = [
        call_record(
            f"r-{i:03d}",
            user_id="ana" if i % 50 == 0 else "leo",
            module="imports",
            task="ocr" if i % 40 == 0 else "chat",
            created_at=NOW - timedelta(seconds=i),
        )
        for i in range(200)
    ]
    write(database, *calls)
    ana, ocr = CallFilter(ALL_TENANTS, user_id="ana"), CallFilter("acme", module="imports", task="ocr")
    before = reads.calls(database, ana, scan=10)
    assert [row["request_id"] for row in before.items] == ["r-000"]
    assert before.scanned_until == (NOW - timedelta(seconds=9)).replace(tzinfo=None)

    added = optional_indexes.add(database, ["user", "task"])
    assert added == ["cajanegra_logs_user", "cajanegra_logs_task"]
    assert optional_indexes.add(database, ["user"]) == []
    assert set(added) <= _names(database)
    assert all(finding.state == "present" for finding in verify(database))

    after = reads.calls(database, ana, scan=10)
    assert [row["request_id"] for row in after.items] == ["r-000", "r-050", "r-100", "r-150"]
    assert (after.next_cursor, after.scanned_until) == (None, None)
    assert len(reads.calls(database, ocr, scan=10).items) == 5
    # What no index serves is looked for among the calls that one finds.
    both = CallFilter(ALL_TENANTS, user_id="leo", min_ms=10)
    assert reads.calls(database, both, scan=10).scanned_until is not None


def test_the_status_of_one_tenants_calls(database: Database) -> None:
    write(database, *(call_record(f"r-{i}", created_at=NOW - timedelta(seconds=i)) for i in range(30)))
    failed = CallFilter("acme", status="timeout")
    assert reads.calls(database, failed, scan=10).scanned_until == (NOW - timedelta(seconds=9)).replace(
        tzinfo=None
    )
    assert reads.calls(database, CallFilter(ALL_TENANTS, status="timeout"), scan=10).scanned_until is None
    optional_indexes.add(database, ["status"])
    assert reads.calls(database, failed, scan=10).scanned_until is None


def test_all_that_a_database_can_have(database: Database) -> None:
    write(database, call_record("a", error_message="disk is full"), call_record("b"))
    names = ["status", "user", "provider", "module", "task", "error", "pattern"]
    if database.dialect == "sqlite":
        with pytest.raises(
            UsageError, match="there is no index 'pattern' for this database; choose of status, "
        ):
            optional_indexes.add(database, ["pattern"])
        names.remove("pattern")
    optional_indexes.add(database, names)
    found = reads.calls(database, CallFilter(ALL_TENANTS, q="FULL"), scan=1, seconds=5)
    assert [row["request_id"] for row in found.items] == ["a"]
    assert reads.calls(database, CallFilter(ALL_TENANTS, pattern="ollama_timeout"), scan=1).items == []


def test_a_page_is_looked_for_until_the_time_is_over(database: Database) -> None:
    write(database, *(call_record(f"r-{i:02d}", created_at=NOW - timedelta(seconds=i)) for i in range(30)))
    nobody = CallFilter(ALL_TENANTS, user_id="nobody")
    short = reads.calls(database, nobody, scan=5)
    assert short.scanned_until == (NOW - timedelta(seconds=4)).replace(tzinfo=None)
    assert short.next_cursor is not None
    whole = reads.calls(database, nobody, scan=5, seconds=60)
    assert (whole.items, whole.next_cursor, whole.scanned_until) == ([], None, None)
