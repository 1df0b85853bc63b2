from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.errors import UsageError
from cajanegra.ports import ProviderState
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.overview import providers, slowest
from cajanegra.storage.provider_states import ProviderStates
from cajanegra.storage.statistics import groups
from cajanegra.storage.steps import StepFilter, steps
from cajanegra.storage.timeseries import timeseries
from records import NOW, call_record, recovered_call, step_record, write

EVERYTHING = CallFilter(ALL_TENANTS)


def _some(database: Database) -> None:
    def told(**known: Any) -> dict[str, Any]:
        return {"attempts": 1, **known}

    write(
        database,
        call_record("a", module="imports", tokens_used=10, response_metadata=told(cost=0.1, cost_currency="USD", ttft_ms=40)),
        call_record("b", module="imports", response_metadata=told(cost=0.2, cost_currency="USD", ttft_ms=60)),
        call_record("c", module="copilot", response_metadata=told(cost=1, cost_currency="EUR", ttft_ms="soon")),
        recovered_call("d", module="imports", tenant_id="globex", response_metadata=told(cost="much")),
        call_record("e", status="error", error_code="auth", provider_used="ollama", provider_model=None),
        recovered_call("f", status="timeout", error_code="timeout", provider_used="ollama"),
    )  # fmt: skip


def test_all_calls_and_those_that_have_something_in_common(database: Database) -> None:
    _some(database)
    found = groups(database, EVERYTHING, "module", limit=1)
    assert (found.all.total, found.all.answered, found.all.failed, found.all.recovered) == (6, 4, 2, 1)
    assert found.all.costs == {"EUR": 1.0, "USD": 0.3}
    assert found.all.first_token.p50_ms == pytest.approx(40, rel=0.01)
    assert found.all.first_token.p99_ms == pytest.approx(60, rel=0.01)
    ((value, imports),) = found.groups
    assert (value, imports.total, imports.recovered, imports.costs) == ("imports", 3, 1, {"USD": 0.3})
    assert imports.by_status == {"success": 2, "fallback": 1}
    assert found.others == 3
    assert groups(database, CallFilter("globex"), None).all.total == 1
    assert [value for value, _entry in groups(database, CallFilter("globex"), "tenant").groups] == ["globex"]


@pytest.mark.parametrize("by", ["provider", "model", "module", "task", "tenant", "error_code"])
def test_groups_add_up_to_all(database: Database, by: Any) -> None:
    _some(database)
    found = groups(database, EVERYTHING, by)
    assert sum(entry.total for _value, entry in found.groups) == found.all.total == 6
    assert sum(entry.recovered for _value, entry in found.groups) == found.all.recovered
    assert found.others == 0


def test_calls_are_not_grouped_by_what_they_have_not(database: Database) -> None:
    with pytest.raises(UsageError, match="calls are not grouped by 'colour'; choose one of provider, model"):
        groups(database, EVERYTHING, "colour")  # type: ignore[arg-type]


def test_empty_buckets_are_there_too(database: Database) -> None:
    at = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    write(
        database,
        call_record("a", created_at=at),
        call_record("b", created_at=at + timedelta(minutes=59, seconds=59.999999)),
        call_record("c", created_at=at + timedelta(hours=2), status="error"),
        call_record("d", created_at=at + timedelta(hours=3)),
        call_record("before", created_at=at - timedelta(microseconds=1)),
    )
    found = timeseries(database, EVERYTHING, since=at, until=at + timedelta(hours=3), bucket="1h")
    assert found.bucket == "1h"
    assert [(start, entry.total, entry.failed) for start, entry in found.series[0].points] == [
        (at, 2, 0),
        (at + timedelta(hours=1), 0, 0),
        (at + timedelta(hours=2), 1, 1),
    ]


def test_the_first_bucket_is_a_full_one_and_holds_what_was_asked_for(database: Database) -> None:
    at = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
    write(
        database,
        call_record("a", created_at=at - timedelta(minutes=10)),
        call_record("b", created_at=at, module="x"),
        call_record("c", created_at=at + timedelta(minutes=40)),
    )
    until = at + timedelta(hours=1)
    where = CallFilter(ALL_TENANTS, until=until)
    (series,) = timeseries(database, where, since=at, until=until, bucket="1h").series
    assert [(start.hour, start.minute, entry.total) for start, entry in series.points] == [
        (10, 0, 1),
        (11, 0, 1),
    ]
    by_module = timeseries(database, where, since=at, until=until, bucket="1h", by="module")
    assert {one.value: [entry.total for _start, entry in one.points] for one in by_module.series} == {
        "": [0, 1],
        "x": [1, 0],
    }


def test_the_length_of_a_bucket_follows_from_the_time(database: Database) -> None:
    for window, bucket in (
        (timedelta(hours=1), "1m"),
        (timedelta(days=1), "1h"),
        (timedelta(days=365), "1d"),
    ):
        found = timeseries(database, EVERYTHING, since=NOW - window, until=NOW)
        assert found.bucket == bucket
        assert len(found.series[0].points) <= 366


def test_many_series_have_longer_buckets(database: Database) -> None:
    at = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
    write(
        database, *(call_record(f"call-{number}", module=f"m{number}", created_at=at) for number in range(20))
    )
    window: dict[str, Any] = {"since": at - timedelta(days=30), "until": at + timedelta(minutes=1)}
    assert timeseries(database, EVERYTHING, **window).bucket == "6h"
    found = timeseries(database, EVERYTHING, by="module", **window)
    assert found.bucket == "1d"
    assert {sum(entry.total for _start, entry in one.points) for one in found.series} == {1}
    assert timeseries(database, EVERYTHING, by="module", bucket="6h", **window).bucket == "6h"


def test_there_are_only_so_many_buckets(database: Database) -> None:
    with pytest.raises(UsageError, match=r"that would be 10,080 buckets of 1m, and at most 1,000 are shown"):
        timeseries(database, EVERYTHING, since=NOW - timedelta(days=7), until=NOW, bucket="1m")
    with pytest.raises(UsageError, match="ends before it begins"):
        timeseries(database, EVERYTHING, since=NOW, until=NOW)


def test_providers_are_shown_with_their_models_and_what_others_learned(database: Database) -> None:
    _some(database)
    ProviderStates(database).publish(
        [ProviderState("account", "", "ollama", "auth", NOW.timestamp() + 60, asked=False, observed_at=1.0)]
    )
    found = providers(database, EVERYTHING).uses
    assert [(use.name, use.figures.total, use.figures.failed) for use in found] == [
        ("openai", 4, 0),
        ("ollama", 2, 2),
    ]
    assert [state.kind for state in found[1].states] == ["auth"]
    assert sum(entry.total for _name, entry in found[0].models) == 4
    assert [list(use.states) for use in providers(database, CallFilter("acme")).uses] == [[], []]


def test_the_slowest_come_first(database: Database) -> None:
    write(database, *(call_record(f"r-{ms}", processing_time_ms=ms) for ms in (5, 900, 30)))
    write(database, call_record("unknown", processing_time_ms=None), call_record("x", tenant_id="globex"))
    found = slowest(database, CallFilter("acme"), limit=2)
    assert [row["request_id"] for row in found] == ["r-900", "r-30"]


def test_steps_are_listed_each_once(database: Database) -> None:
    for number in range(9):
        several = [step_record(i, was_successful=i == 3) for i in (1, 2, 3)]
        write(
            database,
            recovered_call(f"r-{number}", created_at=NOW - timedelta(seconds=number // 2), steps=several),
        )
    write(database, recovered_call("theirs", tenant_id="globex"))
    found: list[Any] = []
    page = steps(database, CallFilter("acme"), StepFilter(), limit=4)
    found += page.items
    while page.next_cursor:
        page = steps(database, CallFilter("acme"), StepFilter(), limit=4, cursor=page.next_cursor, scan=5)
        found += page.items
    names = [(row["request_id"], row["step_number"]) for row in found]
    assert len(names) == len(set(names)) == 27
    assert [number for _name, number in names] == [1, 2, 3] * 9
    write(database, *(call_record(f"plain-{i}", created_at=NOW + timedelta(seconds=1)) for i in range(20)))
    beneath, cursor = 0, None  # a moment with more calls than are looked at
    for _ in range(20):
        page = steps(database, CallFilter("acme"), StepFilter(), limit=4, cursor=cursor, scan=5)
        beneath, cursor = beneath + len(page.items), page.next_cursor
        if cursor is None:
            break
    assert (beneath, cursor) == (27, None)
    worked = steps(database, EVERYTHING, StepFilter(successful=True, strategy="fallback"), limit=100).items
    assert {row["was_successful"] for row in worked} == {"true"}
    assert steps(database, EVERYTHING, StepFilter(pattern="no_such"), limit=100).items == []
