"""What the REST API promises, whoever serves it and whatever the database."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest

from api_service import Service
from cajanegra.domain.principal import ALL_TENANTS, Role
from cajanegra.storage.database import Database
from records import call_record, recovered_call, step_record, write_now

NOW = datetime.now(UTC)


def _ids(answer: Any) -> list[str]:
    return [item["request_id"] for item in answer.json()["items"]]


def _some(database: Database) -> None:
    write_now(
        database,
        call_record("a", created_at=NOW - timedelta(minutes=4), module="imports"),
        recovered_call(
            "b",
            created_at=NOW - timedelta(minutes=3),
            steps=[step_record(1, was_successful=False), step_record(2)],
            prompt="hi",
            answer="hello",
        ),
        call_record(
            "c",
            created_at=NOW - timedelta(minutes=2),
            status="error",
            error_code="auth",
            error_message="=1+1 is no key",
            processing_time_ms=90,
        ),
        call_record("theirs", tenant_id="globex", created_at=NOW - timedelta(minutes=1)),
    )


def test_calls_are_listed_page_by_page_in_both_directions(service: Service) -> None:
    _some(service.database)
    first = service.get("", limit=3)
    assert _ids(first) == ["theirs", "c", "b"]
    second = service.get("", limit=3, cursor=first.json()["next_cursor"])
    assert (_ids(second), second.json()["next_cursor"]) == (["a"], None)
    back = service.get("", limit=3, cursor=second.json()["previous_cursor"])
    assert _ids(back) == ["theirs", "c", "b"]
    write_now(service.database, call_record("new", created_at=NOW))
    assert _ids(service.get("", cursor=first.json()["previous_cursor"])) == ["new"]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"tenant_id": "globex"}, ["theirs"]),
        ({"module": "imports"}, ["a"]),
        ({"task": "no such"}, []),
        ({"provider": "openai", "status": "fallback"}, ["b"]),
        ({"error_code": "auth"}, ["c"]),
        ({"pattern": "ollama_timeout"}, ["b"]),
        ({"q": "NO KEY"}, ["c"]),
        ({"since": (NOW - timedelta(minutes=2)).isoformat()}, ["theirs", "c"]),
        ({"until": (NOW - timedelta(minutes=2)).isoformat()}, ["b", "a"]),
        ({"min_ms": 80, "error_code": "auth"}, ["c"]),
        ({"user_id": "nobody"}, []),
    ],
)
def test_lists_are_filtered(service: Service, params: dict[str, Any], found: list[str]) -> None:
    _some(service.database)
    assert _ids(service.get("", **params)) == found


def test_one_call_comes_with_what_belongs_to_it(service: Service) -> None:
    _some(service.database)
    found = service.get("/b").json()
    assert "id" not in found
    assert [(step["step_number"], step["was_successful"]) for step in found["steps"]] == [
        (1, False),
        (2, True),
    ]
    assert [pattern["pattern"] for pattern in found["patterns"]] == ["ollama_timeout"]
    assert (found["prompt"], found["answer"]) == ("hi", "hello")
    assert datetime.fromisoformat(found["created_at"]) == NOW - timedelta(minutes=3)


def test_what_a_key_may_not_see_is_not_there(service: Service) -> None:
    _some(service.database)
    nobodys, others = service.get("/nothing", "acme"), service.get("/theirs", "acme")
    assert (nobodys.status_code, others.status_code) == (404, 404)
    told = [{**answer.json(), "request_id": None} for answer in (nobodys, others)]
    assert told[0] == told[1]
    assert _ids(service.get("", "acme")) == ["c", "b", "a"]
    assert _ids(service.get("", "acme", tenant_id="globex")) == []
    assert service.get("/statistics", "acme").json()["total"] == 3
    assert "theirs" not in service.get("/export", "acme").text
    with service.client("acme", Role.WRITER) as client:
        assert client.post("/theirs/feedback", json={"feedback": "thumbs_up"}).status_code == 404
        assert client.get("", headers={"X-Cajanegra-Tenant": "globex"}).status_code == 403


def test_who_sees_all_may_name_a_tenant(service: Service) -> None:
    _some(service.database)
    with service.client(ALL_TENANTS) as client:
        assert _ids(client.get("", headers={"X-Cajanegra-Tenant": "globex"})) == ["theirs"]


def test_roles_allow_what_they_are_for(service: Service) -> None:
    _some(service.database)
    item = {"request_id": "n", "provider_used": "openai"}
    with service.client("acme", Role.WRITER) as writer, service.client("acme", Role.READER) as reader:
        assert writer.get("").status_code == 403
        assert reader.post("", json=item).status_code == 403
        assert reader.post("/a/feedback", json={"feedback": "thumbs_up"}).status_code == 403
        assert writer.delete("", params={"older_than_days": 1}).status_code == 403
        assert reader.delete("", params={"older_than_days": 1}).status_code == 403
    assert httpx2.get(f"{service.url}/api/v1/ai/logs").status_code == 401


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("?limit=501", "query.limit"),
        ("?limit=zero", "query.limit"),
        ("?colour=red", "query.colour"),
        ("?status=broken", "query.status"),
        ("?since=yesterday", "query.since"),
        ("?q=%00", "query.q"),
        ("?cursor=forged", "cursor"),
        ("/statistics?group_by=colour", "query.group_by"),
        ("/timeseries?bucket=1m&hours=100", "1,000"),
        ("/timeseries?since=2026-01-02&until=2026-01-01", "ends before"),
        ("/export?format=docx", "query.format"),
    ],
)
def test_what_makes_no_sense_is_a_problem_that_says_why(
    running_service: Service, path: str, word: str
) -> None:
    answer = running_service.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert word in answer.text


def test_figures_of_calls(service: Service) -> None:
    _some(service.database)
    found = service.get("/statistics", group_by="module").json()
    assert (found["total"], found["failed"], found["recovered"]) == (4, 1, 1)
    assert (found["answered_share"], found["recovered_share"]) == (0.75, 0.5)
    assert [(group["value"], group["total"]) for group in found["groups"]] == [(None, 3), ("imports", 1)]
    series = service.get("/timeseries", hours=2, bucket="5m").json()
    assert sum(point["total"] for point in series["series"][0]["points"]) == 4
    assert len(series["series"][0]["points"]) in (24, 25)
    (provider,) = service.get("/providers").json()["items"]
    assert (provider["provider"], provider["total"]) == ("openai", 4)
    assert service.get("/storage").json()["total_bytes"] > 0
    assert [row["rows"] for row in service.get("/storage", "acme").json()["tables"]] == [3, 2, 1]


def test_recovery_steps_and_what_they_achieved(service: Service) -> None:
    _some(service.database)
    page = service.get("/recoveries", limit=1)
    assert [(row["request_id"], row["step_number"]) for row in page.json()["items"]] == [("b", 1)]
    rest = service.get("/recoveries", cursor=page.json()["next_cursor"])
    assert [(row["request_id"], row["step_number"]) for row in rest.json()["items"]] == [("b", 2)]
    (row,) = service.get("/recoveries/statistics").json()["items"]
    assert (row["steps"], row["successes"], row["success_rate"]) == (2, 1, 0.5)
    assert service.get("/recoveries", "globex").json()["items"] == []


def test_an_answer_that_the_caller_has_is_not_sent_again(service: Service) -> None:
    _some(service.database)
    first = service.get("/b")
    with service.client(ALL_TENANTS) as client:
        again = client.get("/b", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        write_now(service.database, call_record("d"))
        listed = client.get("")
        assert client.get("", headers={"If-None-Match": f'"x", {listed.headers["etag"]}'}).status_code == 304
        assert client.get("/a", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_exports_have_every_call_with_its_steps(service: Service) -> None:
    _some(service.database)
    lines = [json.loads(line) for line in service.get("/export").text.splitlines()]
    assert [line["request_id"] for line in lines] == ["theirs", "c", "b", "a"]
    assert [step["step_number"] for step in lines[2]["steps"]] == [1, 2]
    assert not any("id" in line or "id" in step for line in lines for step in line["steps"])
    rows = list(csv.DictReader(io.StringIO(service.get("/export", "acme", format="csv").text)))
    assert [row["request_id"] for row in rows] == ["c", "b", "a"]
    assert rows[0]["error_message"] == "'=1+1 is no key"
    table = pq.read_table(io.BytesIO(service.get("/export", format="parquet").content))
    assert table.column("request_id").to_pylist() == ["theirs", "c", "b", "a"]
    assert table.column("created_at").to_pylist()[3] == NOW - timedelta(minutes=4)
    assert json.loads(table.column("steps").to_pylist()[2])[0]["strategy_name"] == "fallback"
    assert len(service.get("/export", limit=2).text.splitlines()) == 2


def test_nothing_is_exported_as_nothing(service: Service) -> None:
    assert service.get("/export").content == b""
    assert len(service.get("/export", format="csv").text.splitlines()) == 1
    assert pq.read_table(io.BytesIO(service.get("/export", format="parquet").content)).num_rows == 0


def test_feedback_reaches_its_call(service: Service) -> None:
    _some(service.database)
    with service.client("acme", Role.WRITER) as client:
        told = client.post("/a/feedback", json={"feedback": "thumbs_down", "correction": "invoice"})
    assert (told.status_code, told.json()) == (202, {"request_id": "a"})
    until = datetime.now(UTC) + timedelta(seconds=20)
    while service.get("/a").json()["user_feedback"] is None:
        assert datetime.now(UTC) < until
    found = service.get("/a").json()
    assert (found["user_feedback"], found["correction_applied"]) == ("thumbs_down", "invoice")


def test_a_tenants_admin_deletes_the_tenants_calls_alone(service: Service) -> None:
    old = NOW - timedelta(days=9)
    write_now(
        service.database,
        recovered_call("a", created_at=old),
        call_record("b", tenant_id="globex", created_at=old),
        call_record("c", created_at=NOW),
    )
    with service.client("acme", Role.ADMIN) as client:
        done = client.delete("", params={"older_than_days": 7}).json()
    assert done == {"calls": 1, "steps": 1, "contents": 0, "complete": True}
    assert sorted(_ids(service.get(""))) == ["b", "c"]
    with service.client(ALL_TENANTS, Role.ADMIN) as client:
        assert client.delete("", params={"older_than_days": -1}).status_code == 422
        assert client.delete("", params={"older_than_days": 7}).json()["calls"] == 1


def _item(request_id: str, **more: Any) -> dict[str, Any]:
    return {"request_id": request_id, "task": "chat", "provider_used": "openai", "status": "success", **more}


def test_calls_of_other_programs_are_taken_once(service: Service) -> None:
    failed = {
        "request_id": "f",
        "provider_used": "ollama",
        "status": "timeout",
        "error_message": "Read timed out",
        "steps": [{"strategy_name": "retry", "was_successful": False, "recovery_time_ms": 5}],
    }
    with service.client("acme", Role.WRITER) as client:
        batch = {"items": [_item("a", tokens_used=7), failed, {"foo": 1}, 5, _item("g", tenant_id="globex")]}
        told = client.post("", json=batch)
        assert told.status_code == 202
        assert (told.json()["accepted"], told.json()["duplicates"]) == (2, 0)
        assert [entry["index"] for entry in told.json()["rejected"]] == [2, 3, 4]
        found = service.wait_for("f", "acme")
        assert (found["tenant_id"], found["error_code"], len(found["steps"])) == ("acme", "timeout", 1)
        assert found["patterns"][0]["probable_cause"]
        again = client.post("", json=_item("a"))
        assert again.json() == {"accepted": 0, "duplicates": 1, "rejected": []}
        lines = "\n".join(json.dumps(_item(name)) for name in ("x", "y")) + "\n{no\n"
        told = client.post("", content=lines, headers={"Content-Type": "application/x-ndjson"})
        assert (told.json()["accepted"], told.json()["rejected"][0]["index"]) == (2, 2)
    service.wait_for("y", "acme")
    assert sorted(_ids(service.get("", "acme"))) == ["a", "f", "x", "y"]


def test_a_call_without_an_id_is_known_by_its_content_where_that_says_when(service: Service) -> None:
    dated = {"provider_used": "openai", "created_at": NOW.isoformat()}
    with service.client("acme", Role.WRITER) as client:
        for _again in range(2):
            assert client.post("", json={"items": [dated, {"provider_used": "ollama"}]}).status_code == 202
    until = datetime.now(UTC) + timedelta(seconds=20)
    while len(_ids(service.get("", "acme"))) < 3:
        assert datetime.now(UTC) < until
    assert service.get("/statistics", "acme", group_by="provider").json()["groups"][0]["value"] == "ollama"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"items": {}}', "application/json", 422),
        (b'{"items": [], "more": 1}', "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b"a,b", "text/csv", 415),
        (b"{}\n" * 10_001, "application/x-ndjson", 413),
    ],
)
def test_what_is_no_calls_is_refused(running_service: Service, body: bytes, kind: str, status: int) -> None:
    with running_service.client("acme", Role.WRITER) as client:
        answer = client.post("", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_no_tenant_can_take_or_probe_anothers_ids(service: Service) -> None:
    with service.client("globex", Role.WRITER) as theirs, service.client("acme", Role.WRITER) as ours:
        assert theirs.post("", json=_item("r", task="theirs")).json()["accepted"] == 1
        service.wait_for("r", "globex")
        assert ours.post("", json=_item("r", task="ours", created_at=NOW.isoformat())).json() == {
            "accepted": 1,
            "duplicates": 0,
            "rejected": [],
        }
    found = service.wait_for("r", "acme")
    assert (found["request_id"], found["task"], found["request_metadata"]) == (
        "r",
        "ours",
        {"prompt_unknown": True},
    )
    assert service.get("/r", "globex").json()["task"] == "theirs"
    assert _ids(service.get("", "acme")) == ["r"]


def test_calls_are_found_by_what_came_of_them(service: Service) -> None:
    _some(service.database)
    assert _ids(service.get("", outcome="failed")) == ["c"]
    assert _ids(service.get("", outcome="answered")) == ["theirs", "b", "a"]
    assert _ids(service.get("", outcome="recovered")) == ["b"]
    assert service.get("/statistics", outcome="recovered").json()["total"] == 1
    assert service.get("", outcome="lost").status_code == 422


def test_facets_count_what_a_list_can_be_narrowed_to(service: Service) -> None:
    _some(service.database)
    found = service.get("/facets", status="error").json()
    assert found["status"] == [
        {"value": "success", "count": 2},
        {"value": "error", "count": 1},
        {"value": "fallback", "count": 1},
    ]  # its own filter does not narrow it
    assert found["error_code"] == [{"value": "auth", "count": 1}]
    assert found["tenant_id"] == [{"value": "acme", "count": 1}]
    assert (found["complete"], found["counted_since"]) == (True, None)
    acme = service.get("/facets", "acme").json()
    assert [entry["count"] for entry in acme["provider"]] == [3]
    assert acme["tenant_id"] == []


def test_facets_say_what_they_are_made_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cajanegra.storage.facets.LOOKED_AT", 2)
    _some(service.database)
    began = (datetime.now(UTC) - timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    found = service.get("/facets", since=began.isoformat()).json()
    assert (found["source"], found["complete"]) == ("rollups", True)
    assert sum(entry["count"] for entry in found["status"]) == 4
    of_module = service.get("/facets", since=began.isoformat(), min_ms=0).json()
    assert (of_module["source"], of_module["complete"]) == ("rows", False)
    assert of_module["counted_since"] is not None


def test_neighbours_are_those_of_the_list_that_the_filters_mean(service: Service) -> None:
    _some(service.database)
    assert service.get("/b/neighbours").json() == {"newer": "c", "older": "a"}
    assert service.get("/b/neighbours", status="success").json() == {"newer": "theirs", "older": "a"}
    assert service.get("/theirs/neighbours").json() == {"newer": None, "older": "c"}
    assert service.get("/c/neighbours", "acme").json() == {"newer": None, "older": "b"}
    assert service.get("/theirs/neighbours", "acme").status_code == 404
    assert service.get("/nothing/neighbours").status_code == 404
