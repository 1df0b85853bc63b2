"""What the dashboard counts by: recovery's ways, tokens and their prices, corrections, growth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_service import Service
from cajanegra.domain.correction import Fallback
from cajanegra.domain.principal import ALL_TENANTS, Role
from cajanegra.storage.corrections import set_correction
from records import call_record, correct_by_hand, occurrence, recovered_call, step_record, write_now

NOW = datetime.now(UTC) - timedelta(minutes=5)
_TRIGGER = {"pattern": "ollama_timeout", "kind": "timeout"}


def _step(number: int = 1, **result: Any) -> Any:
    worked = result.pop("worked", True)
    ms = result.pop("ms", 100)
    at = result.pop("at", NOW)
    known = {"trigger": _TRIGGER, "provider": "openai", "model": "gpt-4o", **result}
    return step_record(
        number, was_successful=worked, recovery_time_ms=ms, recovery_result=known, created_at=at
    )


@pytest.fixture
def recovered(service: Service) -> Service:
    """Two calls of acme that a fallback answered, one of globex that nothing did."""
    met = [occurrence(at=NOW)]
    retry = step_record(
        1,
        strategy_name="retry",
        was_successful=False,
        recovery_time_ms=900,
        recovery_result={"trigger": _TRIGGER, "provider": "ollama"},
        created_at=NOW,
    )
    write_now(
        service.database,
        recovered_call("a", created_at=NOW, steps=[_step(cost=0.25, tokens=40)], occurrences=met),
        recovered_call("b", created_at=NOW, steps=[retry, _step(2, ms=300)], occurrences=met),
        recovered_call(
            "c",
            created_at=NOW,
            tenant_id="globex",
            steps=[retry],
            occurrences=met,
            status="timeout",
            error_code="timeout",
        ),
    )
    return service


def test_every_failure_goes_one_way(recovered: Service) -> None:
    def ways(**options: Any) -> list[tuple[str, str | None, bool, int]]:
        items = recovered.get("/recoveries/flow", **options).json()["items"]
        return [(one["kind"], one["strategy"], one["answered"], one["failures"]) for one in items]

    assert ways() == [
        ("timeout", "fallback", True, 2),
        ("timeout", "retry", False, 2),
        ("timeout", None, False, 1),
    ]
    assert ways(scope="globex") == [("timeout", None, False, 1), ("timeout", "retry", False, 1)]
    assert ways(status="fallback") == [("timeout", "fallback", True, 2), ("timeout", "retry", False, 1)]


def test_each_strategy_is_judged_at_each_provider(recovered: Service) -> None:
    items = recovered.get("/recoveries/targets").json()["items"]
    assert [(one["strategy"], one["provider"], one["steps"], one["successes"]) for one in items] == [
        ("fallback", "openai", 2, 2),
        ("retry", "ollama", 2, 0),
    ]
    fallback, retry = items
    assert fallback["p50_ms"] == pytest.approx(100, rel=0.01)
    assert fallback["p95_ms"] == pytest.approx(300, rel=0.01)
    assert (fallback["cost"], fallback["tokens"]) == (0.25, 40)
    assert (fallback["lowest"] < 1, fallback["highest"], retry["lowest"], retry["cost"]) == (True, 1, 0, None)
    assert [one["steps"] for one in recovered.get("/recoveries/targets", "globex").json()["items"]] == [1]


def test_a_pattern_comes_with_what_was_tried_against_it(recovered: Service) -> None:
    items = recovered.get("/errors/ollama_timeout/remedies").json()["items"]
    assert [(one["strategy"], one["target"], one["successes"], one["steps"]) for one in items] == [
        ("fallback", "openai/gpt-4o", 2, 2),
        ("retry", None, 0, 2),
    ]
    own = recovered.get("/errors/ollama_timeout/remedies", "globex").json()["items"]
    assert [(one["strategy"], one["steps"]) for one in own] == [("retry", 1)]
    assert recovered.get("/errors/ollama_timeout/remedies", "initech").status_code == 404


def test_a_pattern_comes_with_its_hours(recovered: Service) -> None:
    points = recovered.get("/errors/ollama_timeout/hours", hours=3).json()["points"]
    assert len(points) in {3, 4}
    assert sum(point["failures"] for point in points) == 3
    own = recovered.get("/errors/ollama_timeout/hours", "globex", hours=3).json()["points"]
    assert sum(point["failures"] for point in own) == 1
    month = recovered.get("/errors/ollama_timeout/hours", hours=24 * 300).json()["points"]
    assert len(month) == 24 * 31
    assert recovered.get("/errors/ollama_timeout/hours", "initech").status_code == 404


def test_the_list_says_whom_a_pattern_hits_and_how_many_there_are(recovered: Service) -> None:
    found = recovered.get("/errors").json()
    assert (found["items"][0]["tenants_in_all"], found["by_status"]) == (2, {"open": 1})
    own = recovered.get("/errors", "globex", status="resolved").json()
    assert (own["items"], own["by_status"]) == ([], {"open": 1})
    assert recovered.get("/errors", "initech").json()["by_status"] == {}


def test_cause_and_action_are_told_in_a_language(service: Service) -> None:
    service.get("/errors", lang="es").raise_for_status()
    answer = service.get("/errors", lang="fr")
    assert (answer.status_code, answer.json()["errors"][0]["location"]) == (422, "query.lang")


def test_a_correction_is_judged_by_what_was_done_before_and_since(recovered: Service) -> None:
    database = recovered.database
    set_correction(database, "ollama_timeout", Fallback(provider="openai"), NOW + timedelta(minutes=1))
    later = NOW + timedelta(minutes=2)
    obeyed: dict[str, Any] = {"correction": {"strategy": "fallback", "obeyed": True}}
    refused: dict[str, Any] = {
        "correction": {"strategy": "fallback", "obeyed": False, "obstacle": "openai is resting"}
    }
    write_now(
        database,
        recovered_call("d", created_at=later, steps=[_step(at=later, cost=0.5, **obeyed)]),
        recovered_call("e", created_at=later, steps=[_step(at=later, worked=False, **refused)]),
        recovered_call("f", created_at=later, tenant_id="globex", steps=[_step(at=later, **obeyed)]),
    )
    (found,) = recovered.get("/recoveries/corrections").json()["items"]
    assert (found["pattern"], found["correction"], found["correction_config"]) == (
        "ollama_timeout",
        "fallback",
        {"provider": "openai"},
    )
    assert (found["before"]["steps"], found["before"]["successes"]) == (4, 2)
    assert (found["obeyed"]["steps"], found["obeyed"]["successes"], found["obeyed"]["cost"]) == (2, 2, 0.5)
    assert (found["not_obeyed"], found["obstacle"]) == (1, "openai is resting")
    (own,) = recovered.get("/recoveries/corrections", "globex").json()["items"]
    assert (own["obeyed"]["steps"], own["before"]["steps"], own["since"]) == (1, 1, None)
    assert recovered.get("/recoveries/corrections", "initech").json()["items"] == []


def test_a_correction_made_by_hand_has_no_beginning(recovered: Service) -> None:
    correct_by_hand(recovered.database, "ollama_timeout", "fallback", '{"provider": "nobody"}')
    (found,) = recovered.get("/recoveries/corrections").json()["items"]
    assert (found["since"], found["before"]["steps"], found["obeyed"]["steps"]) == (None, 4, 0)
    fault = recovered.get("/errors/ollama_timeout").json()["correction_fault"]
    assert "'nobody' is not configured" in fault or recovered.host == "mounted"


def test_what_may_be_chosen_as_a_correction_is_said(service: Service) -> None:
    met = [occurrence(at=NOW)]
    write_now(service.database, recovered_call("a", created_at=NOW, occurrences=met))
    choices = service.get("/errors/ollama_timeout").json()["choices"]
    assert choices["strategies"] == ["retry", "fallback", "simplify"]


def test_patterns_are_merged_and_split(service: Service) -> None:
    write_now(
        service.database,
        recovered_call("a", created_at=NOW, occurrences=[occurrence(at=NOW)]),
        recovered_call("b", created_at=NOW, occurrences=[occurrence("openai_timeout", at=NOW)]),
    )
    with service.client(ALL_TENANTS, Role.ADMIN) as client:
        answer = client.patch("/errors/openai_timeout", json={"merged_into": "ollama_timeout"})
        assert (answer.status_code, answer.json()["pattern"]) == (200, "ollama_timeout")
        assert (answer.json()["count"], answer.json()["merged"]) == (2, ["openai_timeout"])
        assert client.patch("/errors/ollama_timeout", json={"merged_into": "no_such"}).status_code == 404
        itself = client.patch("/errors/ollama_timeout", json={"merged_into": "ollama_timeout"})
        assert (itself.status_code, itself.json()["detail"]) == (
            422,
            "a pattern cannot be merged into itself",
        )
        split = client.patch("/errors/openai_timeout", json={"merged_into": None}).json()
        assert (split["pattern"], split["count"], split["merged"]) == ("openai_timeout", 1, [])


@pytest.fixture
def used(service: Service) -> Service:
    """Calls of two models, one of which nobody knows the price of."""
    priced = {
        "input_tokens": 30,
        "output_tokens": 10,
        "cached_tokens": 5,
        "reasoning_tokens": 2,
        "cost": 0.25,
        "cost_currency": "USD",
    }
    write_now(
        service.database,
        call_record(
            "a",
            created_at=NOW,
            tokens_used=40,
            provider_model="gpt-4o",
            user_id="u1",
            response_metadata=priced,
        ),
        call_record("b", created_at=NOW, tokens_used=100, provider_used="ovh", provider_model="mistral"),
        call_record(
            "c",
            created_at=NOW,
            tokens_used=7,
            provider_used="ovh",
            provider_model="mistral",
            tenant_id="globex",
        ),
        call_record("d", created_at=NOW, provider_model="gpt-4o", status="error", error_code="auth"),
    )
    return service


def test_tokens_are_told_apart_and_priced(used: Service) -> None:
    found = used.get("/statistics/usage").json()
    assert (found["calls"], found["tokens"], found["costs"]) == (4, 147, {"USD": 0.25})
    assert [found[f"{name}_tokens"] for name in ("input", "output", "cached", "reasoning")] == [30, 10, 5, 2]
    assert (found["unpriced_calls"], found["unpriced_tokens"]) == (2, 107)
    assert [(one["value"], one["calls"], one["tokens"]) for one in found["groups"]] == [
        ("mistral", 2, 107),
        ("gpt-4o", 2, 40),
    ]
    assert found["groups"][1]["costs"] == {"USD": 0.25}
    assert found["unpriced"] == [{"provider": "ovh", "model": "mistral", "calls": 2, "tokens": 107}]


def test_usage_is_grouped_by_user_and_kept_apart_by_tenant(used: Service) -> None:
    by_user = used.get("/statistics/usage", "acme", group_by="user").json()
    assert [(one["value"], one["tokens"]) for one in by_user["groups"]] == [(None, 100), ("u1", 40)]
    own = used.get("/statistics/usage", "globex").json()
    assert (own["calls"], own["tokens"], own["costs"]) == (1, 7, {})
    assert own["unpriced"] == [{"provider": "ovh", "model": "mistral", "calls": 1, "tokens": 7}]
    assert used.get("/statistics", group_by="user").json()["groups"][0]["value"] is None
    assert used.get("/statistics").json()["costs"] == {"USD": 0.25}


def test_storage_says_how_fast_it_grows(used: Service) -> None:
    found = used.get("/storage").json()
    growth = found["growth"]
    assert growth["calls_per_day"] == pytest.approx(4 * 24, rel=0.2)
    calls = [one for one in found["tables"] if one["table"] in _OF_CALLS]
    taken = sum(one["total_bytes"] for one in calls)
    assert growth["bytes_per_day"] == pytest.approx(growth["calls_per_day"] * taken / 4)
    assert growth["retention_days"] == 7
    assert used.get("/storage", "acme").json()["growth"] is None


_OF_CALLS = ("ai_request_logs", "ai_error_recovery", "cajanegra_contents")
