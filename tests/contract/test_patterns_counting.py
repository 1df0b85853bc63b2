from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cajanegra.domain.pattern import GROUPING_VERSION
from cajanegra.domain.record import CallRecord, Occurrence
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from cajanegra.storage.occurrences import OF_PATTERN, OF_TENANT
from cajanegra.storage.pattern_changes import merge, set_status, split
from cajanegra.storage.tallies import MAX_VALUES
from cajanegra.storage.writes import Store
from records import NOW, call_record, occurrence, recovered_call, write

HOUR = timedelta(hours=1)


def _rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def _failed(name: str, pattern: str = "ollama_timeout", at: datetime = NOW, **known: Any) -> CallRecord:
    usual: dict[str, Any] = {
        "status": "error",
        "error_code": "timeout",
        "occurrences": [occurrence(pattern, at)],
        "created_at": at,
        "updated_at": at,
        "response_metadata": {"attempts": 1, "pattern": pattern, "patterns": [pattern]},
    }
    return call_record(name, **(usual | known))


def _status(database: Database, pattern: str = "ollama_timeout") -> str:
    ((status,),) = _rows(
        database,
        f"SELECT resolution_status FROM ai_error_analysis WHERE error_pattern = '{pattern}'",  # noqa: S608
    )
    return str(status)


def test_failures_are_counted_by_tenant_and_by_hour(database: Database) -> None:
    write(database, _failed("r-1"), _failed("r-2", at=NOW - HOUR), recovered_call("r-3", tenant_id=None))
    write(database, _failed("r-4"))
    assert _rows(
        database, "SELECT tenant_id, failures, recovered FROM cajanegra_pattern_tenants ORDER BY tenant_id"
    ) == [("", 1, 1), ("acme", 3, 0)]
    found = _rows(database, "SELECT tenant_id, hour, failures FROM cajanegra_pattern_hours ORDER BY 1, 2")
    assert [(tenant, str(hour)[:19], count) for tenant, hour, count in found] == [
        ("", "2026-11-24 12:00:00", 1),
        ("acme", "2026-11-24 11:00:00", 1),
        ("acme", "2026-11-24 12:00:00", 2),
    ]
    ((failures, recovered, first, last, version),) = _rows(
        database,
        "SELECT failures, recovered, first_occurred, last_occurred, grouping_version FROM cajanegra_patterns",
    )
    assert (failures, recovered, version) == (4, 1, GROUPING_VERSION)
    assert (str(first)[:19], str(last)[:19]) == ("2026-11-24 11:00:00", "2026-11-24 12:00:00")


def test_where_it_failed_and_what_recovered_it_is_counted(database: Database) -> None:
    met = Occurrence("ollama_timeout", "timeout", "<*>", NOW, "slow", "wait", "ollama", "llama3.2")
    write(
        database,
        recovered_call("r-1", module="imports", occurrences=[met, met]),
        _failed("r-2", module="copilot", occurrences=[met]),
    )
    assert _rows(
        database, "SELECT facet, value, failures FROM cajanegra_pattern_facets ORDER BY facet, value"
    ) == [
        ("model", "llama3.2", 3),
        ("module", "copilot", 1),
        ("module", "imports", 2),
        ("provider", "ollama", 3),
        ("strategy", "fallback", 2),
    ]


def test_very_many_modules_of_one_batch_are_not_all_counted(database: Database) -> None:
    write(database, *(_failed(f"r-{i}", module=f"m-{i}") for i in range(MAX_VALUES + 10)))
    ((count,),) = _rows(database, "SELECT count(*) FROM cajanegra_pattern_facets WHERE facet = 'module'")
    assert count == MAX_VALUES


def test_an_end_that_replaces_another_leaves_nothing_of_it(database: Database) -> None:
    interrupted = _failed(
        "r",
        "openai_interrupted",
        module="imports",
        error_code="interrupted",
        occurrences=[occurrence(), occurrence("openai_interrupted")],
        steps=recovered_call("x").steps,
    )
    write(database, interrupted)
    write(database, recovered_call("r", module="imports"))
    for table in ("patterns", "pattern_tenants", "pattern_hours", "pattern_facets", "occurrences"):
        names = _rows(database, f"SELECT DISTINCT pattern FROM cajanegra_{table}")  # noqa: S608
        assert names == [("ollama_timeout",)], table
    assert _rows(database, "SELECT failures, recovered FROM cajanegra_patterns") == [(1, 1)]
    assert _rows(database, "SELECT failures, recovered FROM cajanegra_pattern_tenants") == [(1, 1)]
    assert _rows(database, "SELECT failures FROM cajanegra_pattern_hours") == [(1,)]
    assert _rows(database, "SELECT count(*) FROM cajanegra_occurrences") == [(1,)]


def test_a_time_that_cannot_be_is_counted_now(database: Database) -> None:
    write(database, _failed("r", occurrences=[occurrence(at=NOW + timedelta(days=900))]))
    ((hour,),) = _rows(database, "SELECT hour FROM cajanegra_pattern_hours")
    assert str(hour)[:19] == "2026-11-24 12:00:00"


def test_the_newest_calls_stay_linked_and_no_tenant_takes_all_the_room(database: Database) -> None:
    def at(minutes: int) -> datetime:
        return NOW - timedelta(minutes=minutes)

    write(database, _failed("rare", tenant_id="globex", at=at(5_000)))
    for start in range(0, 3 * OF_TENANT, 10):  # the oldest last: late events do not push out newer ones
        write(database, *(_failed(f"acme-{i}", at=at(i)) for i in range(start, start + 10)))
    linked = _rows(
        database,
        "SELECT request_id FROM ai_request_logs JOIN cajanegra_occurrences ON request_log_id = ai_request_logs.id"
        " ORDER BY occurred_at DESC",
    )
    assert [name for (name,) in linked] == [*(f"acme-{i}" for i in range(OF_TENANT)), "rare"]
    write(database, *(_failed(f"t-{i}", tenant_id=f"t{i % 50}", at=at(i)) for i in range(300)))
    assert _rows(database, "SELECT count(*) FROM cajanegra_occurrences") == [(OF_PATTERN,)]


def test_a_call_that_met_a_pattern_twice_is_linked_once(database: Database) -> None:
    write(database, recovered_call("r", occurrences=[occurrence(), occurrence(at=NOW + HOUR / 2)]))
    ((at,),) = _rows(database, "SELECT occurred_at FROM cajanegra_occurrences")
    assert str(at)[:19] == "2026-11-24 12:30:00"


def test_only_a_call_that_began_after_the_resolution_opens_a_pattern_again(database: Database) -> None:
    write(database, _failed("r-1"), track="a")
    set_status(database, "ollama_timeout", "resolved", NOW + HOUR / 2)
    write(database, _failed("r-1"), track="b")  # a replay that no position stops
    write(database, _failed("late", occurrences=[occurrence(at=NOW + HOUR)]))  # begun before, failed after
    assert _status(database) == "resolved"
    write(database, _failed("r-2", at=NOW + HOUR))
    assert _status(database) == "open"
    assert _rows(database, "SELECT count(*) FROM cajanegra_patterns WHERE regressed_at IS NOT NULL") == [(1,)]
    assert _rows(database, "SELECT change, before, after, changed_by FROM cajanegra_pattern_changes") == [
        ("status", "open", "resolved", None),
        ("regressed", "resolved", "open", None),
    ]
    assert _rows(database, "SELECT occurrence_count, resolved_at FROM ai_error_analysis") == [(3, None)]


def test_what_will_not_be_mended_stays_so(database: Database) -> None:
    write(database, _failed("r-1"))
    set_status(database, "ollama_timeout", "wontfix", NOW)
    write(database, _failed("r-2", at=NOW + HOUR))
    assert _status(database) == "wontfix"


def test_what_was_resolved_in_sql_without_a_time_comes_back_too(database: Database) -> None:
    write(database, _failed("r-1"))
    with database.transaction() as connection:
        connection.execute(text("UPDATE ai_error_analysis SET resolution_status = 'resolved'"))
    write(database, _failed("r-2", at=NOW - HOUR))
    assert _status(database) == "resolved"
    write(database, _failed("r-3", at=NOW + HOUR / 2))
    assert _status(database) == "open"


def test_a_time_of_resolution_that_is_none_stops_no_writer(sqlite_url: str) -> None:
    with Database(sqlite_url) as database:
        write(database, _failed("r-1"))
        with database.transaction() as connection:
            connection.execute(
                text(
                    "UPDATE ai_error_analysis SET resolution_status = 'resolved', resolved_at = 'last Tuesday'"
                )
            )
        assert write(database, _failed("r-2")) == 1
        assert _status(database) == "resolved"
        assert _rows(database, "SELECT resolved_at LIKE '2026-11-24%' FROM ai_error_analysis") == [(1,)]


@pytest.mark.parametrize("by_hand", ["2026-11-24 11:30:00", "2026-11-24 11:30:00.250000"])
def test_what_was_resolved_in_sql_comes_back(database: Database, by_hand: str) -> None:
    write(database, _failed("r-1", at=NOW - HOUR))
    with database.transaction() as connection:
        connection.execute(
            text(f"UPDATE ai_error_analysis SET resolution_status = 'resolved', resolved_at = '{by_hand}'")  # noqa: S608
        )
    write(database, _failed("r-2"))
    assert _status(database) == "open"


def test_a_database_of_an_earlier_revision_goes_on_counting(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    migrate.downgrade(database, "0003", drop_data=True)
    with caplog.at_level(logging.WARNING, logger="cajanegra"):
        write(database, recovered_call("r-1"), _failed("r-2"))
    assert "of error patterns nothing but the total is counted" in caplog.text
    assert "'cajanegra db upgrade' adds them" in caplog.text
    assert _rows(database, "SELECT error_pattern, occurrence_count FROM ai_error_analysis") == [
        ("ollama_timeout", 2)
    ]
    migrate.upgrade(database)
    write(database, _failed("r-3"))
    assert _rows(database, "SELECT occurrence_count FROM ai_error_analysis") == [(3,)]
    assert _rows(database, "SELECT failures FROM cajanegra_patterns") == [(1,)]


def test_many_patterns_of_one_batch(database: Database) -> None:
    write(database, *(_failed(f"r-{i}", f"ollama_p{i}") for i in range(350)))
    for table in (
        "ai_error_analysis",
        "cajanegra_patterns",
        "cajanegra_pattern_hours",
        "cajanegra_occurrences",
    ):
        assert _rows(database, f"SELECT count(*) FROM {table}") == [(350,)]  # noqa: S608


def test_the_store_does_not_ask_for_calls_that_it_does_not_link(database: Database) -> None:
    """A storm of failures of one kind costs few statements, however many calls there are."""
    from sqlalchemy import event

    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    store = Store(database, lambda: NOW)
    for batch in (20, 2_000):
        statements.clear()
        from cajanegra.domain.record import Batch

        store.write([store.prepare(Batch([_failed(f"{batch}-{i}") for i in range(batch)]))])
        counts = len(statements)
        assert counts < 40


def test_a_total_that_the_column_cannot_hold_stays_at_the_greatest(database: Database) -> None:
    greatest = 2**31 - 1
    write(database, _failed("r-1"), _failed("r-2", "openai_timeout"))
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE ai_error_analysis SET occurrence_count = {greatest - 1}"))  # noqa: S608
    write(database, _failed("r-3"), _failed("r-4"), _failed("r-5"))
    totals = "SELECT occurrence_count FROM ai_error_analysis WHERE error_pattern = 'ollama_timeout'"
    assert _rows(database, totals) == [(greatest,)]
    counted = "SELECT failures FROM cajanegra_patterns WHERE pattern = 'ollama_timeout'"
    assert _rows(database, counted) == [(4,)]
    merge(database, "openai_timeout", "ollama_timeout", NOW)
    assert _rows(database, totals) == [(greatest,)]
    with database.engine.begin() as connection:
        beyond = "UPDATE cajanegra_patterns SET failures = 3000000000 WHERE pattern = 'openai_timeout'"
        connection.execute(text(beyond))
    split(database, "openai_timeout", NOW)
    other = "SELECT occurrence_count FROM ai_error_analysis WHERE error_pattern = 'openai_timeout'"
    assert _rows(database, other) == [(greatest,)]


@pytest.mark.postgres
def test_counting_a_known_pattern_takes_no_number_of_the_sequence(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        write(database, _failed("r-1"))
        for i in range(5):
            write(database, _failed(f"s-{i}"), _failed(f"t-{i}", "openai_timeout"))
        write(database, _failed("u", "openai_dns"))
        found = _rows(database, "SELECT error_pattern, id FROM ai_error_analysis ORDER BY id")
    names = ["ollama_timeout", "openai_timeout", "openai_dns"]
    assert found == [(name, place) for place, name in enumerate(names, start=1)]
