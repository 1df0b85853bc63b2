from __future__ import annotations

import itertools
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.domain.record import CallRecord
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.recoveries import remedies
from cajanegra.storage.statistics import groups, statistics
from records import NOW, call_record, recovered_call, step_record, write

_numbers = itertools.count()


def _write(database: Database, *calls: CallRecord) -> None:
    write(database, *calls)


def test_totals_of_a_few_calls(database: Database) -> None:
    _write(
        database,
        call_record("a", tokens_used=10, module="imports"),
        recovered_call("b", tokens_used=5, module="imports"),
        recovered_call("c", status="success", fallback_used=None),
        call_record("d", status="error", error_code="auth", provider_used="ollama"),
        recovered_call("e", status="timeout", error_code="timeout"),
    )
    found = statistics(database, CallFilter(ALL_TENANTS))
    assert (found.total, found.answered, found.failed, found.recovered, found.tokens) == (5, 3, 2, 2, 15)
    assert found.by_status == {"success": 2, "error": 1, "fallback": 1, "timeout": 1}
    assert found.by_provider == {"openai": 4, "ollama": 1}
    assert found.by_module == {"": 3, "imports": 2}
    assert found.by_error_code == {"auth": 1, "timeout": 1}
    assert statistics(database, CallFilter(ALL_TENANTS, module="imports")).total == 2


def test_no_calls_are_no_error(database: Database) -> None:
    found = statistics(database, CallFilter(ALL_TENANTS))
    assert (found.total, found.tokens, found.latency.p50_ms, found.by_status) == (0, 0, None, {})
    assert remedies(database, CallFilter(ALL_TENANTS)).remedies == []


def _nearest_rank(times: list[int], share: float) -> int:
    return sorted(times)[math.ceil(share * len(times)) - 1]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=120))
def test_percentiles_are_those_of_the_sorted_times(database: Database, times: list[int]) -> None:
    tenant = f"tenant-{next(_numbers)}"
    calls = [
        call_record(f"{tenant}-{i}", processing_time_ms=ms, tenant_id=tenant) for i, ms in enumerate(times)
    ]
    _write(database, *calls, call_record(f"{tenant}-unknown", processing_time_ms=None, tenant_id=tenant))
    latency = statistics(database, CallFilter(tenant)).latency
    assert latency.p50_ms == pytest.approx(_nearest_rank(times, 0.5), rel=0.0101)
    assert latency.p95_ms == pytest.approx(_nearest_rank(times, 0.95), rel=0.0101)
    assert latency.p99_ms == pytest.approx(_nearest_rank(times, 0.99), rel=0.0101)


def test_each_strategy_is_judged_for_each_pattern(database: Database) -> None:
    def step(pattern: str | None, *, ok: bool, ms: int | None, strategy: str = "retry") -> CallRecord:
        result = {"trigger": {"pattern": pattern}} if pattern else {}
        one = step_record(
            strategy_name=strategy, was_successful=ok, recovery_time_ms=ms, recovery_result=result
        )
        return recovered_call(f"{pattern}-{strategy}-{ok}-{ms}", steps=[one])

    _write(
        database,
        step("ollama_timeout", ok=True, ms=100),
        step("ollama_timeout", ok=False, ms=300),
        step("ollama_timeout", ok=True, ms=200),
        step("ollama_timeout", ok=True, ms=50, strategy="fallback"),
        step(None, ok=False, ms=None),
    )
    found = [
        (row.strategy_name, row.pattern, row.steps, row.successes, row.p50_ms, row.p95_ms)
        for row in remedies(database, CallFilter(ALL_TENANTS)).remedies
    ]
    assert found == [
        ("retry", "ollama_timeout", 3, 2, _nearly(200), _nearly(300)),
        ("fallback", "ollama_timeout", 1, 1, _nearly(50), _nearly(50)),
        ("retry", None, 1, 0, None, None),
    ]
    assert remedies(database, CallFilter(ALL_TENANTS)).remedies[0].success_rate == 2 / 3


def _nearly(ms: float) -> Any:
    return pytest.approx(ms, rel=0.01)


def test_of_very_many_patterns_those_with_most_steps_are_listed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cajanegra.storage.recoveries.MAX_PATTERNS", 2)
    for number, hours in enumerate((9, 5, 0)):  # from coarse rows, hours, and what is yet to be counted
        steps = [
            step_record(i, recovery_result={"trigger": {"pattern": name * 60}})
            for i, name in enumerate(["a", "b", "b", "c", "c", "c"])
        ]
        _write(database, recovered_call(f"r-{number}", steps=steps, created_at=NOW - timedelta(hours=hours)))
    for where in (CallFilter(ALL_TENANTS), CallFilter("acme"), CallFilter(ALL_TENANTS, task="chat")):
        found = remedies(database, where)
        assert [(one.pattern, one.steps) for one in found.remedies] == [("c" * 60, 9), ("b" * 60, 6)]
        assert found.others == 3


def test_tenants_that_are_too_many_to_be_named_are_counted_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        database, *(call_record(f"r-{i}", tenant_id=f"tenant-{i % 5}", module="imports") for i in range(10))
    )
    where = CallFilter(ALL_TENANTS, module="imports")
    named = groups(database, where, "tenant").groups
    monkeypatch.setattr("cajanegra.storage.rollups.plan.TENANTS_NAMED", 2)
    assert (
        [(value, entry.total) for value, entry in groups(database, where, "tenant").groups]
        == [(value, entry.total) for value, entry in named]
        == [(f"tenant-{i}", 2) for i in range(5)]
    )
