from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.errors import StorageError, UsageError
from cajanegra.storage.database import Database
from cajanegra.storage.keeping import Policy
from cajanegra.storage.pattern_changes import merge, set_status
from cajanegra.storage.pattern_detail import detail
from cajanegra.storage.pattern_retention import CHANGES_KEPT, HOURS_KEPT, VALUES_KEPT
from cajanegra.storage.retention import CleanupReport, cleanup
from records import NOW, occurrence, recovered_call, write

WEEK = timedelta(days=7)


def _write(database: Database, name: str, count: int, age: timedelta) -> None:
    calls = [
        recovered_call(f"{name}-{i}", created_at=NOW - age, prompt="hi", answer="x") for i in range(count)
    ]
    write(database, *calls)


def _counts(database: Database) -> list[int]:
    tables = ("ai_request_logs", "ai_error_recovery", "cajanegra_contents", "ai_error_analysis")
    with database.engine.connect() as connection:
        return [connection.execute(text(f"SELECT count(*) FROM {t}")).scalar_one() for t in tables]  # noqa: S608


def test_old_calls_go_with_all_that_belongs_to_them_and_patterns_stay(database: Database) -> None:
    _write(database, "old", 25, timedelta(days=8))
    _write(database, "new", 5, timedelta(days=6))
    seen: list[tuple[int, int]] = []
    report = cleanup(
        database,
        ALL_TENANTS,
        policy=Policy(WEEK),
        now=NOW,
        batch_size=10,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert report == CleanupReport(25, 25, 25, links=15)  # of 30 calls the 20 newest were linked
    assert _counts(database) == [5, 5, 5, 1]
    assert seen == [(10, 25), (20, 25), (25, 25), (25, 25)]


def test_a_dry_run_counts_and_deletes_nothing(database: Database) -> None:
    _write(database, "old", 3, timedelta(days=8))
    assert cleanup(database, ALL_TENANTS, policy=Policy(WEEK), now=NOW, dry_run=True) == CleanupReport(
        3, 3, 3, links=3
    )
    assert _counts(database) == [3, 3, 3, 1]


def test_the_oldest_go_first(database: Database) -> None:
    _write(database, "oldest", 2, timedelta(days=30))
    _write(database, "old", 2, timedelta(days=8))

    class Stop(Exception):  # noqa: N818 - it is no error
        pass

    def stop(_done: int, _total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        cleanup(database, ALL_TENANTS, policy=Policy(WEEK), now=NOW, batch_size=2, on_progress=stop)
    with database.engine.connect() as connection:
        left = connection.execute(text("SELECT request_id FROM ai_request_logs")).scalars().all()
    assert sorted(left) == ["old-0", "old-1"]


def test_what_somebody_elses_cleanup_left_behind_is_swept(database: Database) -> None:
    _write(database, "new", 4, timedelta(0))
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM ai_request_logs WHERE request_id IN ('new-0', 'new-1')"))
    assert cleanup(database, ALL_TENANTS, policy=Policy(WEEK), now=NOW, dry_run=True) == CleanupReport(
        0, 2, 2, links=2
    )
    assert cleanup(database, ALL_TENANTS, policy=Policy(WEEK), now=NOW) == CleanupReport(0, 2, 2, links=2)
    assert _counts(database) == [2, 2, 2, 1]


def _count(database: Database, table: str) -> int:
    with database.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


def test_details_of_patterns_stay_bounded_and_totals_stay(database: Database) -> None:
    long_ago = NOW - HOURS_KEPT - timedelta(hours=1)
    for number in range(3):  # a batch alone never has too many
        calls = [
            recovered_call(
                f"r-{number}-{i}",
                module=f"m-{number}-{i}",
                occurrences=[occurrence(at=long_ago + number * timedelta(hours=2))],
            )
            for i in range(40)
        ]
        write(database, *calls)
    for number in range(CHANGES_KEPT + 6):
        set_status(database, "ollama_timeout", ("resolved", "open")[number % 2], NOW)
    surplus = 1 + 3 * 40 - VALUES_KEPT + 6
    assert cleanup(database, ALL_TENANTS, policy=Policy(WEEK), now=NOW, dry_run=True).counts == surplus
    assert cleanup(database, ALL_TENANTS, policy=Policy(WEEK), now=NOW, batch_size=7).counts == surplus
    assert cleanup(database, ALL_TENANTS, policy=Policy(WEEK), now=NOW).counts == 0
    found = detail(database, ALL_TENANTS, "ollama_timeout", now=NOW)
    assert len(found.modules) == VALUES_KEPT
    assert "m-2-0" in found.modules
    assert "m-0-39" not in found.modules
    assert (found.pattern.occurrence_count, found.tenants[0].failures) == (120, 120)
    assert _count(database, "cajanegra_pattern_hours") == 2
    assert _count(database, "cajanegra_pattern_changes") == CHANGES_KEPT


def test_what_belongs_to_patterns_that_are_gone_is_swept(database: Database) -> None:
    names = ("a_timeout", "b_timeout", "c_timeout")
    write(database, *(recovered_call(name, occurrences=[occurrence(name)]) for name in names))
    merge(database, "b_timeout", "c_timeout", NOW)
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM ai_error_analysis WHERE error_pattern = 'a_timeout'"))
    assert cleanup(database, ALL_TENANTS, policy=Policy(WEEK), now=NOW).counts > 0
    tables = ("patterns", "pattern_tenants", "pattern_hours", "pattern_facets", "occurrences")
    with database.engine.connect() as connection:
        for table in tables:
            left = connection.execute(text(f"SELECT DISTINCT pattern FROM cajanegra_{table} ORDER BY 1"))  # noqa: S608
            assert left.scalars().all() == ["b_timeout", "c_timeout"], table


def test_two_cleanups_at_once_delete_each_call_once(database: Database) -> None:
    _write(database, "old", 400, timedelta(days=8))
    url = database.url.render_as_string(hide_password=False)
    reports: list[CleanupReport] = []

    def run() -> None:
        with Database(url) as own:
            for _attempt in range(20):
                try:
                    reports.append(cleanup(own, ALL_TENANTS, policy=Policy(WEEK), now=NOW, batch_size=20))
                except StorageError:  # the file was busy
                    continue
                return

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _counts(database) == [0, 0, 0, 1]
    assert sum(report.calls for report in reports) == 400


def test_a_negative_age_is_refused(database: Database) -> None:
    with pytest.raises(UsageError, match="days must be 0 or more, not -1"):
        cleanup(database, ALL_TENANTS, policy=Policy(timedelta(days=-1)), now=NOW)
