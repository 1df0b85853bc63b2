"""The inbox of error patterns over HTTP, whoever serves it and whatever the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_service import Service
from cajanegra.domain.principal import ALL_TENANTS, Role, Scope
from cajanegra.domain.record import Occurrence
from records import call_record, occurrence, recovered_call, write_now

NOW = datetime.now(UTC) - timedelta(minutes=5)
_AUTH = Occurrence("openai_auth", "auth", "globex's own key is wrong", NOW, "The key is wrong.", "Mend it.")


@pytest.fixture
def inbox(service: Service) -> Service:
    """Three failures of acme and globex that a fallback recovered, and one of globex that nothing did."""
    met = [occurrence(at=NOW)]
    write_now(
        service.database,
        recovered_call("a", created_at=NOW, occurrences=met),
        recovered_call("b", created_at=NOW, occurrences=met),
        recovered_call("c", created_at=NOW, occurrences=met, tenant_id="globex"),
        call_record(
            "d",
            created_at=NOW,
            tenant_id="globex",
            status="error",
            error_code="auth",
            occurrences=[_AUTH],
            response_metadata={"attempts": 1, "patterns": ["openai_auth"]},
        ),
    )
    return service


def _patch(
    service: Service, body: Any, *, pattern: str = "ollama_timeout", scope: Scope = ALL_TENANTS
) -> tuple[int, Any]:
    with service.client(scope, Role.ADMIN) as client:
        answer = client.patch(f"/errors/{pattern}", json=body)
    return answer.status_code, answer.json()


def _correction(service: Service, pattern: str = "ollama_timeout") -> tuple[str | None, Any]:
    found = service.get(f"/errors/{pattern}").json()
    return found["correction"], found["correction_config"]


def _counts(service: Service, scope: Scope = ALL_TENANTS, **params: Any) -> list[tuple[str, int]]:
    items = service.get("/errors", scope, **params).json()["items"]
    return [(item["pattern"], item["count"]) for item in items]


def test_patterns_are_listed_filtered_and_paged(inbox: Service) -> None:
    assert _counts(inbox) == [("ollama_timeout", 3), ("openai_auth", 1)]
    assert _counts(inbox, kind="auth") == [("openai_auth", 1)]
    assert _counts(inbox, text="SLOW", mark="new") == [("ollama_timeout", 3)]
    assert _counts(inbox, status="resolved") == []
    first = inbox.get("/errors", limit=1).json()
    assert [item["pattern"] for item in first["items"]] == ["ollama_timeout"]
    assert _counts(inbox, limit=1, cursor=first["next_cursor"]) == [("openai_auth", 1)]
    answer = inbox.get("/errors", sort="colour")
    assert (answer.status_code, answer.json()["errors"][0]["location"]) == (422, "query.sort")


def test_one_pattern_comes_with_what_belongs_to_it(inbox: Service) -> None:
    found = inbox.get("/errors/ollama_timeout").json()
    assert (found["count"], found["recovered"], found["status"]) == (3, 3, "open")
    assert [(one["tenant_id"], one["failures"]) for one in found["tenants"]] == [("acme", 2), ("globex", 1)]
    assert sorted(call["request_id"] for call in found["calls"]) == ["a", "b", "c"]
    assert (found["message_pattern"], found["suggested_action"]) == ("ollama timeout: <*>", "Wait.")
    assert inbox.get("/errors/no_such").status_code == 404


def test_a_tenant_sees_what_it_met_with_its_own_counts(inbox: Service) -> None:
    assert _counts(inbox, "acme") == [("ollama_timeout", 2)]
    found = inbox.get("/errors/ollama_timeout", "acme").json()
    assert (found["count"], found["recovered"], found["tenants_in_all"]) == (2, 2, 1)
    assert sorted(call["request_id"] for call in found["calls"]) == ["a", "b"]
    assert (found["message_pattern"], found["changes"]) == (None, [])
    not_met, nobodys = (inbox.get(f"/errors/{name}", "acme") for name in ("openai_auth", "no_such"))
    assert (not_met.status_code, nobodys.status_code) == (404, 404)
    assert not_met.json()["detail"] == nobodys.json()["detail"]
    assert (
        "globex" not in inbox.get("/errors", "acme").text + inbox.get("/errors/ollama_timeout", "acme").text
    )


def test_a_pattern_is_resolved_comes_back_and_is_given_up(inbox: Service) -> None:
    status, found = _patch(inbox, {"status": "resolved"})
    assert (status, found["status"]) == (200, "resolved")
    assert found["resolved_at"]
    assert _counts(inbox, status="resolved") == [("ollama_timeout", 3)]
    later = datetime.now(UTC) + timedelta(seconds=1)
    write_now(inbox.database, recovered_call("e", created_at=later, occurrences=[occurrence(at=later)]))
    found = inbox.get("/errors/ollama_timeout").json()
    assert (found["status"], found["marks"][0]) == ("open", "regressed")
    assert _patch(inbox, {"status": "wontfix"})[1]["status"] == "wontfix"
    assert _patch(inbox, {"status": "open"})[1]["status"] == "open"
    changes = [(one["change"], one["after"]) for one in _patch(inbox, {"status": "open"})[1]["changes"]]
    assert changes[:2] == [("status", "open"), ("status", "wontfix")]
    assert changes[-1] == ("status", "resolved")


def test_a_correction_is_enabled_and_taken_back(inbox: Service) -> None:
    status, found = _patch(inbox, {"correction": "fallback", "correction_config": {"provider": "openai"}})
    assert (status, found["correction"], found["correction_config"]) == (
        200,
        "fallback",
        {"provider": "openai"},
    )
    assert found["status"] == "open"
    change = found["changes"][0]
    assert (change["change"], change["after"]) == ("correction", 'fallback {"provider":"openai"}')
    assert change["changed_by"]
    assert _patch(inbox, {"status": "resolved"})[0] == 200
    assert _correction(inbox) == ("fallback", {"provider": "openai"})
    both = {"status": "open", "correction": "retry", "correction_config": {"wait": 2, "retries": 3}}
    status, found = _patch(inbox, both)
    assert (status, found["status"], found["correction"]) == (200, "open", "retry")
    assert found["correction_config"] == {"wait": 2, "retries": 3}
    assert _patch(inbox, {"correction": None})[0] == 200
    assert _correction(inbox) == (None, None)


_REFUSED: tuple[tuple[str, Any, str], ...] = (
    (
        "ollama_timeout",
        {"correction": "fallback", "correction_config": {"provider": "openia"}},
        "did you mean",
    ),
    (
        "ollama_timeout",
        {"correction": "fallback", "correction_config": {"provider": "openai", "model": "o"}},
        "there is: gpt-4o",
    ),
    ("ollama_timeout", {"correction": "retry", "correction_config": {"times": 2}}, "not a setting of retry"),
    ("ollama_timeout", {"correction": "retry", "correction_config": {"retries": 99}}, "retries: expected"),
    ("openai_auth", {"correction": "retry", "status": "resolved"}, "is never sent again; use fallback"),
    ("ollama_timeout", {"correction_config": {"wait": 2}}, "give correction, too"),
    ("ollama_timeout", {"correction": "pray"}, "body.correction"),
    ("ollama_timeout", {"status": "done"}, "body.status"),
    ("ollama_timeout", {"colour": "red"}, "body.colour"),
    ("ollama_timeout", {}, "nothing is decided"),
)


def test_what_cannot_be_obeyed_is_refused_and_changes_nothing(inbox: Service) -> None:
    for pattern, body, words in _REFUSED:
        status, problem = _patch(inbox, body, pattern=pattern)
        assert (status, problem["status"]) == (422, 422), body
        assert words in str(problem), body
        found = inbox.get(f"/errors/{pattern}").json()
        assert (found["status"], found["correction"], found["changes"]) == ("open", None, []), body


def test_who_may_not_decide_does_not(inbox: Service) -> None:
    body = {"status": "resolved"}
    assert _patch(inbox, body, scope="acme")[0] == 403
    assert _patch(inbox, body, pattern="no_such")[0] == 404
    for scope in (ALL_TENANTS, "acme"):
        with inbox.client(scope, Role.READER) as reader:
            assert reader.patch("/errors/ollama_timeout", json=body).status_code == 403
        with inbox.client(scope, Role.WRITER) as writer:
            assert writer.get("/errors").status_code == 403
    assert inbox.get("/errors/ollama_timeout").json()["status"] == "open"
