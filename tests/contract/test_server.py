"""The server's application: who is let in, and what every answer has."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from api_client import HERE, bearer, client_of, key_for, served, settings_for
from cajanegra import Recorder
from cajanegra.domain.principal import ALL_TENANTS, Principal, Role
from cajanegra.errors import SettingsError
from cajanegra.ports import ProviderState
from cajanegra.server import create_app, logs_router
from cajanegra.server.context import Context
from cajanegra.server.failed_attempts import ATTEMPTS
from cajanegra.storage import keys
from cajanegra.storage.database import Database
from cajanegra.storage.provider_states import ProviderStates
from records import NOW, call_record, write_now
from server_process import until

RECENT = "/api/v1/ai/logs/recent?hours=720"
SESSION = "/api/v1/session"


@pytest.fixture
def admin(database: Database) -> dict[str, str]:
    return key_for(database, ALL_TENANTS, Role.ADMIN)


@pytest.fixture
def client(database: Database, admin: dict[str, str]) -> Iterator[TestClient]:
    """Of a server that has a key."""
    with served(database) as client:
        yield client


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem details of a response, which must be ones."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    return body


# Who is let in


def test_without_a_key_nothing_is_seen(client: TestClient) -> None:
    refused = client.get(RECENT)
    assert "Bearer" in problem(refused, 401)["detail"]
    assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "given", ["Bearer nonsense", "Bearer cn_abcdefghij_" + "A" * 43, "Basic YTpi", "Bearer"]
)
def test_a_key_that_does_not_hold_is_refused_without_being_repeated(client: TestClient, given: str) -> None:
    refused = client.get(RECENT, headers={"Authorization": given})
    problem(refused, 401)
    assert given.partition(" ")[2] in ("", "YTpi") or given.partition(" ")[2] not in refused.text


def test_a_key_of_a_tenant_says_who_it_is(client: TestClient, database: Database) -> None:
    reader = key_for(database, "acme", Role.READER)
    who = client.get(SESSION, headers=reader).json()
    assert (who["role"], who["tenant_id"]) == ("reader", "acme")


def test_a_tenants_key_sees_its_tenant(client: TestClient, database: Database, admin: dict[str, str]) -> None:
    for tenant in ("acme", "globex"):
        write_now(database, call_record(f"of-{tenant}", tenant_id=tenant, created_at=datetime.now(UTC)))

    def seen(headers: dict[str, str]) -> set[str]:
        return {row["request_id"] for row in client.get(RECENT, headers=headers).json()["items"]}

    assert seen(key_for(database, "acme", Role.READER)) == {"of-acme"}
    assert seen(admin) == {"of-acme", "of-globex"}
    assert seen(admin | {"X-Cajanegra-Tenant": "globex"}) == {"of-globex"}
    assert seen(admin | {"X-Cajanegra-Tenant": "nobody"}) == set()


def test_a_tenants_key_names_no_other_tenant(client: TestClient, database: Database) -> None:
    reader = key_for(database, "acme", Role.READER)
    problem(client.get(RECENT, headers=reader | {"X-Cajanegra-Tenant": "globex"}), 403)
    assert client.get(RECENT, headers=reader | {"X-Cajanegra-Tenant": "acme"}).status_code == 200


def test_an_empty_tenant_is_not_all_tenants(client: TestClient, admin: dict[str, str]) -> None:
    problem(client.get(RECENT, headers=admin | {"X-Cajanegra-Tenant": ""}), 422)


def test_a_writer_does_not_read(client: TestClient, database: Database) -> None:
    writer = key_for(database, "acme", Role.WRITER)
    assert "reader" in problem(client.get(RECENT, headers=writer), 403)["detail"]


def test_an_expired_key_is_refused(client: TestClient, database: Database) -> None:
    _key, secret = keys.create(
        database, scope="acme", role=Role.READER, now=NOW, expires_at=NOW + timedelta(seconds=1)
    )
    problem(client.get(RECENT, headers=bearer(secret.text)), 401)


def test_an_address_that_tries_many_keys_waits_and_valid_keys_pass(
    client: TestClient, admin: dict[str, str]
) -> None:
    assert client.get(RECENT, headers=admin).status_code == 200
    for _ in range(ATTEMPTS):
        problem(client.get(RECENT, headers=bearer("wrong")), 401)
    refused = client.get(RECENT, headers=bearer("wrong"))
    problem(refused, 429)
    assert int(refused.headers["retry-after"]) > 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cajanegra.server.verification.FRESH", 0.0)  # even where it is asked for again
        assert client.get(RECENT, headers=admin).status_code == 200


# Without any key


def test_without_any_key_this_machine_sees_all(database: Database) -> None:
    with served(database) as client:
        who = client.get(SESSION).json()
        assert (who["role"], who["tenant_id"]) == ("admin", None)
        assert client.get(SESSION, headers=bearer("whatever-a-client-library-wants")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.rebound.example:8420"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-Forwarded-For": "192.0.2.1"},
    ],
)
def test_without_any_key_another_sites_page_and_a_proxy_see_nothing(
    database: Database, headers: dict[str, str]
) -> None:
    with served(database) as client:
        problem(client.get(RECENT, headers=headers), 403)


def test_without_any_key_another_machine_sees_nothing(database: Database) -> None:
    with client_of(create_app(settings_for(database)), "192.0.2.1") as client:
        problem(client.get(RECENT, headers={"Host": "localhost"}), 403)


def test_without_any_key_a_server_that_others_can_reach_lets_nobody_in(database: Database) -> None:
    with served(database, host="0.0.0.0") as client:  # noqa: S104 - the case in question
        problem(client.get(RECENT), 401)


# The browser's session


def log_in(client: TestClient, key: dict[str, str], **more: Any) -> Any:
    return client.post(SESSION, json={"key": key["Authorization"].removeprefix("Bearer ")}, **more)


def test_a_browser_exchanges_its_key_for_a_cookie(client: TestClient, admin: dict[str, str]) -> None:
    given = log_in(client, admin, headers={"Origin": HERE})
    assert given.status_code == 200
    cookie = given.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    assert admin["Authorization"].removeprefix("Bearer ") not in given.headers["set-cookie"] + given.text
    assert client.get(RECENT).status_code == 200
    assert client.delete(SESSION, headers={"Origin": HERE}).status_code == 204
    problem(client.get(RECENT), 401)


def test_behind_tls_the_cookie_goes_over_tls_alone(client: TestClient, admin: dict[str, str]) -> None:
    headers = {"Origin": "https://calls.example.com", "Host": "calls.example.com"}
    assert "secure" in log_in(client, admin, headers=headers).headers["set-cookie"].lower()


def test_another_sites_page_cannot_log_anybody_in_or_out(client: TestClient, admin: dict[str, str]) -> None:
    evil = {"Origin": "http://evil.example"}
    problem(log_in(client, admin, headers=evil), 403)
    log_in(client, admin)
    problem(client.delete(SESSION, headers=evil), 403)
    problem(client.delete(SESSION), 403)
    assert client.get(RECENT).status_code == 200


def test_a_revoked_key_takes_its_sessions_with_it(
    database: Database, client: TestClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(client, admin)
    assert client.get(RECENT).status_code == 200
    prefix = admin["Authorization"].removeprefix("Bearer ")[:13]
    keys.revoke(database, prefix, NOW)
    monkeypatch.setattr("cajanegra.server.verification.FRESH", 0.0)
    problem(client.get(RECENT), 401)


def test_a_sessions_token_is_no_key(client: TestClient, admin: dict[str, str]) -> None:
    token = log_in(client, admin).cookies["cajanegra_session"]
    assert client.get(RECENT).status_code == 200
    client.cookies.clear()
    problem(client.get(RECENT, headers=bearer(token)), 401)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"key": 1}', b'{"key": "' + b"x" * 300 + b'"}'])
def test_what_is_no_key_is_said_to_be_none_without_being_repeated(client: TestClient, body: bytes) -> None:
    refused = client.post(SESSION, content=body, headers={"Content-Type": "application/json"})
    assert problem(refused, 422)["errors"]
    assert "xxx" not in refused.text


# What every answer has


def test_every_error_is_problem_details(client: TestClient, admin: dict[str, str]) -> None:
    problem(client.get("/nothing/here"), 404)
    assert problem(client.post(RECENT), 405)
    assert client.post(RECENT).headers["allow"] == "GET"
    wrong = problem(client.get("/api/v1/ai/logs/recent?hours=x", headers=admin), 422)
    assert wrong["errors"][0]["location"] == "query.hours"


def test_what_nobody_expected_is_an_error_that_tells_nothing(
    client: TestClient,
    admin: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise RuntimeError("a secret of the database")

    monkeypatch.setattr("cajanegra.storage.reads.calls", fail)
    body = problem(client.get(RECENT, headers=admin), 500)
    assert "secret" not in str(body)
    assert "a secret of the database" in caplog.text
    assert body["request_id"] in caplog.text


def test_a_database_without_tables_is_an_outage_that_names_nothing(empty_database: Database) -> None:
    with served(empty_database) as client:
        refused = client.get(RECENT)
        body = problem(refused, 503)
        assert refused.headers["retry-after"]
        assert "cajanegra_" not in str(body)
        assert "sqlite" not in str(body)
        assert client.get("/health/live").status_code == 200
        problem(client.get("/health/ready"), 503)


def test_a_request_has_an_id_its_own_or_the_callers(client: TestClient) -> None:
    assert (
        client.get("/health/live", headers={"X-Request-Id": "my-id.1"}).headers["x-request-id"] == "my-id.1"
    )
    made = client.get("/health/live", headers={"X-Request-Id": "no id;\tat all"}).headers["x-request-id"]
    assert len(made) == 36
    refused = client.get("/nothing")
    assert refused.json()["request_id"] == refused.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/health/live", "/nothing", RECENT, "/api/v1/openapi.json"])
def test_every_answer_has_the_headers_that_keep_browsers_in_check(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_the_access_log_has_no_secrets(
    client: TestClient, admin: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cajanegra.access")
    client.get("/api/v1/ai/logs/recent?hours=3&q=something-private", headers=admin)
    client.get("/a%0Ab")
    until(lambda: "/a%0Ab" in caplog.text)
    assert "GET /api/v1/ai/logs/recent 200" in caplog.text
    assert "something-private" not in caplog.text
    assert admin["Authorization"].removeprefix("Bearer ") not in caplog.text


def test_a_body_that_is_too_large_is_refused(database: Database, admin: dict[str, str]) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    with served(database, max_body_bytes=1_024) as client:
        json = {"Content-Type": "application/json"}
        problem(client.post(SESSION, content=b"x" * 2_000, headers=json), 413)
        problem(client.post(SESSION, content=chunks(), headers=json), 413)
        assert log_in(client, admin).status_code == 200


def test_pages_of_other_origins_are_let_in_by_name_alone(database: Database, admin: dict[str, str]) -> None:
    page = {"Origin": "https://tools.example.com"}
    asks = page | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    with served(database) as client:
        assert "access-control-allow-origin" not in client.get("/health/live", headers=page).headers
        assert client.options(RECENT, headers=asks).status_code == 405
    with served(database, cors_origins=["https://tools.example.com"]) as client:
        allowed = client.options(RECENT, headers=asks)
        assert allowed.headers["access-control-allow-origin"] == "https://tools.example.com"
        assert "access-control-allow-credentials" not in allowed.headers
        other = client.get(RECENT, headers=admin | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_a_server_with_names_is_called_by_them_alone(database: Database) -> None:
    with served(database, allowed_hosts=["calls.example.com"]) as client:
        assert client.get("/health/live", headers={"Host": "calls.example.com:443"}).status_code == 200
        problem(client.get("/health/live", headers={"Host": "other.example.com"}), 421)


def test_large_answers_are_compressed(client: TestClient) -> None:
    assert client.get("/api/v1/openapi.json").headers["content-encoding"] == "gzip"


def test_an_application_beside_the_api_gets_its_paths(database: Database) -> None:
    seen: list[str] = []

    async def gateway(scope: AsgiScope, _receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"gateway"})

    app = create_app(settings_for(database), beside={"/v1/": gateway})
    with client_of(app) as client:
        answer = client.post("/v1/chat/completions")
        assert answer.text == "gateway"
        assert answer.headers["x-request-id"]
        assert client.get("/health/live").json() == {"status": "alive"}
    assert seen == ["/v1/chat/completions"]


def test_what_nobody_expected_beside_the_api_is_an_error_in_the_form_that_is_usual_there(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_scope: AsgiScope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("a secret of the provider")

    with client_of(create_app(settings_for(database), beside={"/v1/": broken})) as client:
        answer = client.post("/v1/chat/completions")
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "content-security-policy" not in answer.headers  # a program asked
    assert answer.headers["x-request-id"] in caplog.text
    assert "secret" not in answer.json()["error"]["message"]


def test_the_openapi_document_says_which_errors_there_are(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    answers = document["paths"]["/api/v1/ai/logs/recent"]["get"]["responses"]
    assert {"200", "401", "403", "422", "503"} <= set(answers)
    assert "application/problem+json" in answers["422"]["content"]
    assert set(document["components"]["securitySchemes"]) == {"key", "session"}


# Health and metrics


def test_health_tells_a_tenant_nothing_of_others(
    client: TestClient, database: Database, admin: dict[str, str]
) -> None:
    all_of_it = client.get("/api/v1/ai/health", headers=admin).json()
    assert all_of_it["status"] == "ok"
    assert all_of_it["spool"]["waiting_bytes"] == 0
    query = "SHOW server_version" if database.dialect == "postgresql" else "SELECT sqlite_version()"
    with database.engine.connect() as connection:
        number = connection.exec_driver_sql(query).scalar_one().split()[0]
    name = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[database.dialect]
    assert all_of_it["database_version"] == f"{name} {number}"
    own = client.get("/api/v1/ai/health", headers=key_for(database, "acme", Role.READER)).json()
    assert (own["database"], own["database_version"], own["spool"]) == ("ok", None, None)
    problem(client.get("/api/v1/ai/health"), 401)


def test_health_tells_which_providers_rest(
    client: TestClient, database: Database, admin: dict[str, str]
) -> None:
    now = time.time()
    states = [
        ProviderState("a", "", "openai", "quota_exhausted", now + 60, True, now),  # noqa: FBT003 - as it is
        ProviderState("b", "llama3.2", "ollama", "timeout", now - 60, False, now),  # noqa: FBT003
    ]
    ProviderStates(database).publish(states)
    providers = client.get("/api/v1/ai/health", headers=admin).json()["providers"]
    assert [(one["name"], one["state"]) for one in providers] == [("openai", "held")]
    assert providers[0]["holds"][0]["reason"] == "quota_exhausted"


def test_metrics_are_for_those_who_see_all_tenants(
    client: TestClient, database: Database, admin: dict[str, str]
) -> None:
    problem(client.get("/metrics"), 401)
    problem(client.get("/metrics", headers=key_for(database, "acme", Role.READER)), 403)
    problem(client.get("/metrics", headers=key_for(database, ALL_TENANTS, Role.WRITER)), 403)
    shown = client.get("/metrics", headers=admin)
    assert shown.headers["content-type"].startswith("text/plain")
    assert (
        'cajanegra_http_requests_total{method="GET",operation="show_metrics",status="401"} 1.0' in shown.text
    )


# In a host's application


def who_is_it(request: Request) -> Principal:
    if "x-user" not in request.headers:
        raise HTTPException(401, "who are you?")
    return Principal("acme", Role(request.headers["x-user"]))


@pytest.fixture
def host(database: Database) -> Iterator[TestClient]:
    """Of a host's application with the router, its own engine and its own way to know who asks."""
    app = FastAPI()
    app.include_router(logs_router(engine=database.engine, principal=who_is_it))
    with client_of(app) as client:
        yield client


def test_a_host_says_who_asks(host: TestClient, database: Database) -> None:
    for tenant in ("acme", "globex"):
        write_now(database, call_record(f"of-{tenant}", tenant_id=tenant, created_at=datetime.now(UTC)))
    assert problem(host.get(RECENT), 401)["detail"] == "who are you?"
    problem(host.get(RECENT, headers={"X-User": "writer"}), 403)
    shown = host.get(RECENT, headers={"X-User": "reader"}).json()["items"]
    assert [row["request_id"] for row in shown] == ["of-acme"]
    problem(host.get(RECENT, headers={"X-User": "reader", "X-Cajanegra-Tenant": "globex"}), 403)


def test_errors_are_problem_details_in_a_host_too(host: TestClient) -> None:
    wrong = problem(host.get("/api/v1/ai/logs/recent?hours=x", headers={"X-User": "reader"}), 422)
    assert wrong["errors"][0]["location"] == "query.hours"


def test_the_hosts_engine_outlives_the_router(database: Database) -> None:
    app = FastAPI()
    app.include_router(logs_router(engine=database.engine, principal=who_is_it))
    for _ in range(2):  # the application may start again
        with client_of(app) as client:
            assert client.get(RECENT, headers={"X-User": "reader"}).status_code == 200
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_two_routers_in_one_application_keep_apart(database: Database, sqlite_url: str) -> None:
    write_now(database, call_record("here", created_at=datetime.now(UTC)))
    app = FastAPI()
    app.include_router(logs_router(engine=database.engine, principal=who_is_it))
    with Database(sqlite_url) as other:
        app.include_router(logs_router(settings_for(other), principal=who_is_it, prefix="/other"))
        with client_of(app) as client:
            headers = {"X-User": "reader"}
            assert len(client.get(RECENT, headers=headers).json()["items"]) == 1
            expected = 1 if other.url == database.url else 0
            assert len(client.get("/other/recent?hours=720", headers=headers).json()["items"]) == expected


def test_what_is_no_synchronous_engine_is_refused_with_what_to_do() -> None:
    engine: Any = object()
    with pytest.raises(SettingsError, match="settings"):
        logs_router(engine=engine, principal=who_is_it)


def test_what_was_recorded_is_written_when_the_application_ends(database: Database) -> None:
    context = Context(settings_for(database))
    with context.recorder.call(task="chat", provider="openai", request_id="last", tenant_id="acme") as call:
        call.finish(text="ok")
    context.close()
    with served(database) as client:
        assert [row["request_id"] for row in client.get(RECENT).json()["items"]] == ["last"]


def test_a_hosts_recorder_is_used_and_left_open(database: Database) -> None:
    with Recorder(settings_for(database)) as recorder:
        context = Context(engine=database.engine, recorder=recorder)
        context.close()
        with context.recorder.call(task="chat", provider="openai", request_id="later") as call:
            call.finish(text="ok")
        assert recorder.flush()
        assert recorder.stats.written == 1
