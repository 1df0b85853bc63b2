"""What the metrics count of the record: each row once, whichever process is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cajanegra.server.counting import SETTLED, RecordCounting
from cajanegra.server.metrics import Metrics
from cajanegra.storage import migrate, totals
from cajanegra.storage.database import Database
from cajanegra.storage.totals import Mark
from records import call_record, step_record, write


def trigger(provider: str, kind: str) -> dict[str, Any]:
    return {"trigger": {"provider": provider, "kind": kind, "pattern": f"{provider}_{kind}"}}


def fill(database: Database) -> None:
    steps = [
        step_record(
            1, was_successful=False, strategy_name="retry", recovery_result=trigger("ollama", "timeout")
        ),
        step_record(2, recovery_result=trigger("ollama", "overloaded")),
    ]
    write(
        database,
        call_record("answered", processing_time_ms=1_500, tokens_used=10),
        call_record("recovered", status="fallback", processing_time_ms=500, steps=steps),
        call_record("failed", status="error", provider_used="ollama", error_code="auth"),
    )


def test_calls_failures_and_recoveries_are_counted(database: Database) -> None:
    start = totals.newest(database)
    fill(database)
    found, reached = totals.between(database, start, totals.newest(database))
    assert found.calls == {("openai", "success"): 1, ("openai", "fallback"): 1, ("ollama", "error"): 1}
    assert found.milliseconds["openai"] == 2_000
    assert found.tokens["openai"] == 10
    assert found.failures == {("ollama", "timeout"): 1, ("ollama", "overloaded"): 1, ("ollama", "auth"): 1}
    assert found.recoveries == {("retry", False): 1, ("fallback", True): 1}
    assert totals.between(database, reached, totals.newest(database))[0].calls == {}


def test_words_of_others_become_one(database: Database) -> None:
    write(database, call_record("odd", provider_used="Acme GmbH", status="fine", error_code="acme_secret"))
    found, _reached = totals.between(database, Mark(0, 0), totals.newest(database))
    assert found.calls == {("other", "other"): 1}
    assert found.failures == {("other", "other"): 1}


def test_only_so_much_is_counted_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST", 2)
    fill(database)
    end = totals.newest(database)
    first, reached = totals.between(database, Mark(0, 0), end)
    rest, reached = totals.between(database, reached, end)
    assert first.calls.total() == 2
    assert rest.calls.total() == 1
    assert reached.call == end.call


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def counted(metrics: Metrics) -> float:
    """All calls that the metrics tell of."""
    lines = metrics.text(None, database_up=True).decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("cajanegra_calls_total{"))


def test_what_is_there_at_the_start_is_not_counted_and_the_rest_once(database: Database) -> None:
    clock, metrics = Clock(), Metrics()
    write(database, call_record("before"))
    counting = RecordCounting(database, metrics, None, clock)
    assert counting.update()
    for number in range(3):
        write(database, call_record(f"later-{number}"))
        clock.now += SETTLED + 1
        counting.update()
        clock.now += SETTLED + 1
        counting.update()
        assert counted(metrics) == number + 1


def test_processes_that_share_a_directory_count_each_row_once(database: Database, tmp_path: Path) -> None:
    clock = Clock()
    many = [Metrics() for _ in range(3)]
    counting = [RecordCounting(database, metrics, tmp_path, clock) for metrics in many]
    counting[0].update()
    for number in range(6):
        write(database, call_record(f"call-{number}"))
        clock.now += SETTLED + 1
        counting[number % 3].update()
    clock.now += SETTLED + 1
    counting[1].update()
    counting[2].update()
    assert sum(counted(metrics) for metrics in many) == 6


@pytest.mark.postgres
def test_a_row_that_appears_late_before_others_is_counted(postgres_url: str) -> None:
    row = (
        "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used) "
        "VALUES ('{}', 'chat', 0, 'openai')"
    )
    clock, metrics = Clock(), Metrics()
    with Database(postgres_url) as database:
        counting = RecordCounting(database, metrics, None, clock)
        counting.update()
        with database.engine.connect() as slow:
            slow.execute(text(row.format("slow")))  # has its id, and is not there yet
            with database.engine.begin() as quick:
                quick.execute(text(row.format("quick")))
            clock.now += 2
            counting.update()
            slow.commit()
        clock.now += SETTLED + 1
        counting.update()
        assert counted(metrics) == 2


def test_an_outage_is_told_and_loses_no_count(empty_database: Database) -> None:
    clock, metrics = Clock(), Metrics()
    counting = RecordCounting(empty_database, metrics, None, clock)
    assert not counting.update()
    migrate.upgrade(empty_database)
    assert counting.update()
    write(empty_database, call_record("first"))
    for _ in range(2):
        clock.now += SETTLED + 1
        assert counting.update()
    assert counted(metrics) == 1
