"""What is kept, for how long, in whichever storage; what is held stays, and what is erased is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.errors import UsageError
from cajanegra.storage import erasure, holds, leases, partitions, runs
from cajanegra.storage.database import Database
from cajanegra.storage.keeping import Policy, Rule
from cajanegra.storage.partitioning import partition
from cajanegra.storage.retention import CleanupReport, cleanup
from cajanegra.storage.tables import VERSION_TABLE, Base
from databases import Databases
from records import NOW, call_record, recovered_call, write

DAY = timedelta(days=1)
WEEK = 7 * DAY
LAYOUTS = [
    "sqlite",
    pytest.param("plain", marks=pytest.mark.postgres),
    pytest.param("partitioned", marks=pytest.mark.postgres),
]


@pytest.fixture(scope="module", params=LAYOUTS)
def storage(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A record in each storage, for all tests of the module."""
    if request.param == "sqlite":
        yield request.getfixturevalue("module_database")
        return
    databases: Databases = request.getfixturevalue("postgres_databases")
    with databases.migrated() as url, Database(url) as found:
        if request.param == "partitioned":
            partition(found, now=NOW - 60 * DAY)
        yield found


@pytest.fixture
def database(storage: Database) -> Database:
    """The same, empty."""
    names = [name for name in Base.metadata.tables if name != VERSION_TABLE]
    with storage.transaction() as connection:
        if storage.dialect == "sqlite":
            for name in names:
                connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608
        else:
            connection.execute(text(f"TRUNCATE {', '.join(names)}"))
    return storage


def is_partitioned(database: Database) -> bool:
    with database.engine.connect() as connection:
        return partitions.is_partitioned(connection)


def ids(database: Database, table: str = "ai_request_logs", column: str = "request_id") -> list[Any]:
    with database.engine.connect() as connection:
        return list(connection.execute(text(f"SELECT {column} FROM {table} ORDER BY 1")).scalars())  # noqa: S608


def count(database: Database, table: str) -> int:
    return len(ids(database, table, "request_log_id"))


def rows_of(report: CleanupReport) -> CleanupReport:
    """Without the empty partitions that were dropped."""
    return replace(report, partitions=0, freed_bytes=0)


def test_each_status_module_and_tenant_is_kept_for_its_own_time(database: Database) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "ok": {},
        "bad": {"status": "error", "error_code": "timeout"},
        "billed": {"module": "billing"},
        "theirs": {"tenant_id": "globex", "module": "billing"},
        "nobody's": {"tenant_id": None, "module": None},
    }
    days = (1, 3, 10, 40)
    write(
        database,
        *(
            call_record(f"{name[:6]}-{age}".replace("'", ""), created_at=NOW - age * DAY, **known)
            for name, known in kinds.items()
            for age in days
        ),
    )
    policy = Policy(
        WEEK,
        [
            Rule(2 * DAY, tenant_id="globex"),
            Rule(100 * DAY, module="billing"),
            Rule(20 * DAY, statuses=("error", "timeout")),
        ],
    )
    counted = cleanup(database, ALL_TENANTS, policy=policy, now=NOW, dry_run=True)
    report = cleanup(database, ALL_TENANTS, policy=policy, now=NOW)
    assert (counted.calls, report.calls) == (8, 8)
    kept = "ok-1 ok-3 bad-1 bad-3 bad-10 billed-1 billed-3 billed-10 billed-40 theirs-1 nobody-1 nobody-3"
    assert ids(database) == sorted(kept.split())
    assert rows_of(cleanup(database, ALL_TENANTS, policy=policy, now=NOW)) == CleanupReport()


def test_contents_and_samples_may_go_before_their_calls(database: Database) -> None:
    write(
        database,
        *(recovered_call(f"c{age}", created_at=NOW - age * DAY, prompt="p", answer="a") for age in (0, 3, 5)),
    )
    policy = Policy(WEEK, contents=2 * DAY)
    assert cleanup(database, ALL_TENANTS, policy=policy, now=NOW, dry_run=True).contents == 2
    assert rows_of(cleanup(database, ALL_TENANTS, policy=policy, now=NOW)) == CleanupReport(contents=2)
    assert (count(database, "cajanegra_contents"), count(database, "cajanegra_occurrences")) == (1, 3)
    later = NOW + DAY
    assert cleanup(database, ALL_TENANTS, policy=Policy(WEEK, samples=DAY / 2), now=later).links == 3
    assert ids(database) == ["c0", "c3", "c5"]


def test_what_is_held_stays_until_the_hold_is_lifted(database: Database) -> None:
    old = NOW - 30 * DAY
    names = ("a", "b", "c")
    write(database, *(recovered_call(name, created_at=old, prompt="p", answer="x") for name in names))
    write(database, recovered_call("d", tenant_id="globex", created_at=old))
    one = holds.place(database, request_id="b", reason="case 17", by="ana", now=NOW)
    all_theirs = holds.place(database, tenant_id="globex", reason="case 18", now=NOW)
    assert [(hold.tenant_id, hold.request_id) for hold in holds.listed(database)] == [
        ("globex", None),
        ("acme", "b"),
    ]
    policy = Policy(WEEK, contents=DAY)
    assert cleanup(database, ALL_TENANTS, policy=policy, now=NOW, dry_run=True).calls == 2
    assert cleanup(database, ALL_TENANTS, policy=policy, now=NOW).calls == 2
    assert ids(database) == ["b", "d"]
    assert count(database, "cajanegra_contents") == 1
    receipt = erasure.erase(database, "globex", now=NOW)
    assert (receipt.counts["calls"], receipt.counts["held"]) == (0, 1)
    assert holds.lift(database, one.id)
    assert holds.lift(database, all_theirs.id)
    assert not holds.lift(database, all_theirs.id)
    assert cleanup(database, ALL_TENANTS, policy=policy, now=NOW).calls == 2
    assert ids(database) == []


def test_a_hold_names_something_that_is_there_and_why(database: Database) -> None:
    with pytest.raises(UsageError, match="there is no call 'x'"):
        holds.place(database, request_id="x", reason="why", now=NOW)
    with pytest.raises(UsageError, match="name a request or a tenant"):
        holds.place(database, reason="why", now=NOW)
    with pytest.raises(UsageError, match="say why"):
        holds.place(database, tenant_id="acme", reason=" ", now=NOW)


def test_a_user_is_erased_and_a_receipt_stays(database: Database) -> None:
    write(
        database,
        recovered_call("a", user_id="u1", prompt="p", answer="x"),
        recovered_call("b", user_id="u1", tenant_id="globex"),
        recovered_call("c", user_id="u2"),
    )
    receipt = erasure.erase(database, "acme", user_id="u1", by="ana", now=NOW, clock=lambda: NOW)
    assert {name: number for name, number in receipt.counts.items() if number} == {
        "calls": 1,
        "steps": 1,
        "contents": 1,
        "links": 1,
        "counts": 2,  # of the hour, for the tenant and for all
    }
    assert "u1" not in ids(database, "cajanegra_rollups WHERE tenant_id IN ('acme', '')", "key1")
    assert (receipt.subject, receipt.tenant_id, receipt.ended_at) == ("user", "acme", NOW)
    assert "u1" not in repr(receipt)
    assert ids(database) == ["b", "c"]
    assert erasure.erase(database, ALL_TENANTS, user_id="u1", now=NOW).counts["calls"] == 1
    assert [one.id for one in erasure.receipts(database, "acme")] == [receipt.id]
    assert len(erasure.receipts(database, ALL_TENANTS)) == 2
    with pytest.raises(UsageError, match="name a user or a tenant"):
        erasure.erase(database, ALL_TENANTS, now=NOW)


def test_a_tenant_is_erased_with_what_is_counted_for_it(database: Database) -> None:
    write(
        database,
        *(recovered_call(f"a{i}") for i in range(5)),
        recovered_call("b", tenant_id="globex"),
    )
    shown: list[tuple[int, int]] = []
    tell = lambda done, of: shown.append((done, of))  # noqa: E731
    receipt = erasure.erase(database, "acme", now=NOW, batch_size=2, on_progress=tell)
    assert (receipt.subject, receipt.tenant_id) == ("tenant", None)
    assert (receipt.counts["calls"], receipt.counts["steps"]) == (5, 5)
    assert shown == [(2, 5), (4, 5), (5, 5), (5, 5)]
    for table in ("pattern_tenants", "pattern_hours", "pattern_facets", "occurrences"):
        assert set(ids(database, f"cajanegra_{table}", "tenant_id")) == {"globex"}
    assert "acme" not in [
        *ids(database, "cajanegra_rollups", "tenant_id"),
        *ids(database, "cajanegra_rollups", "key1"),
    ]
    assert ids(database) == ["b"]
    assert [one.id for one in erasure.receipts(database, "acme")] == [receipt.id]
    assert erasure.receipts(database, "globex") == []


def test_an_erasure_that_is_cut_short_says_so(database: Database) -> None:
    write(database, *(call_record(f"a{i}") for i in range(4)))
    left = iter([True, False])
    cut = erasure.erase(database, "acme", now=NOW, batch_size=2, goes_on=lambda: next(left))
    assert (cut.counts["calls"], cut.ended_at) == (2, None)
    assert erasure.erase(database, "acme", now=NOW).counts["calls"] == 2


def test_a_run_is_remembered_with_what_it_did(database: Database) -> None:
    write(database, *(recovered_call(f"o{age}", created_at=NOW - age * DAY) for age in (1, 9, 10)))
    done = runs.run(database, Policy(WEEK), started_by="command", clock=lambda: NOW)
    assert done is not None
    assert (done.state, done.counts["calls"], done.counts["steps"]) == ("done", 2, 2)
    assert (done.began_at, done.ended_at) == (NOW, NOW)
    assert runs.history(database) == [done]
    assert not runs.is_due(database, timedelta(hours=1), NOW + timedelta(minutes=59))
    assert runs.is_due(database, timedelta(hours=1), NOW + timedelta(minutes=61))
    if is_partitioned(database):
        with database.engine.connect() as connection:
            there = partitions.partitions(connection)
        assert partitions.name_of((NOW + partitions.AHEAD * DAY).date()) in [one.name for one in there]


def test_a_run_ends_when_its_time_is_up_and_the_next_goes_on(database: Database) -> None:
    write(database, *(call_record(f"o{n}", created_at=NOW - 9 * DAY) for n in range(3)))
    ticks = iter(range(0, 100_000, 40))
    cut = runs.run(
        database,
        Policy(WEEK),
        started_by="server",
        budget=timedelta(seconds=60),
        clock=lambda: NOW,
        timer=lambda: float(next(ticks)),
    )
    assert cut is not None
    assert cut.state == "cut_short"
    again = runs.run(database, Policy(WEEK), started_by="server", clock=lambda: NOW)
    assert again is not None
    assert again.state == "done"
    assert ids(database) == []
    assert [run.state for run in runs.history(database)] == ["done", "cut_short"]


def test_one_run_at_a_time_and_a_dead_one_is_not_waited_for(database: Database) -> None:
    assert leases.take(database, runs.LEASE, "another", NOW, NOW + runs.HELD)
    assert runs.run(database, Policy(WEEK), started_by="command", clock=lambda: NOW) is None
    later = NOW + runs.HELD + timedelta(seconds=1)
    assert runs.run(database, Policy(WEEK), started_by="command", clock=lambda: later) is not None


@pytest.mark.parametrize("storage", LAYOUTS[2:], indirect=True)
def test_days_in_which_nothing_stays_are_dropped_whole(database: Database) -> None:
    ages = (9, 10, 11, 12)
    write(
        database,
        *(recovered_call(f"c{age}", created_at=NOW - age * DAY, prompt="p", answer="a") for age in ages),
        recovered_call("late", created_at=NOW - 200 * DAY),
    )
    holds.place(database, request_id="c11", reason="case", now=NOW)
    report = cleanup(database, ALL_TENANTS, policy=Policy(WEEK), now=NOW)
    assert report.calls == 4
    assert report.partitions >= 4  # some of the days were empty
    assert report.freed_bytes > 4 * 8192
    assert ids(database) == ["c11"]
    assert (count(database, "ai_error_recovery"), count(database, "cajanegra_contents")) == (1, 1)
    with database.engine.connect() as connection:
        names = [one.name for one in partitions.partitions(connection)]
    assert partitions.name_of((NOW - 11 * DAY).date()) in names
    assert partitions.name_of((NOW - 9 * DAY).date()) not in names
    write(database, call_record("very late", created_at=NOW - 9 * DAY))  # and a day that is gone comes again
