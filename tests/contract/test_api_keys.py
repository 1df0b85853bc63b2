"""Keys and settings over HTTP: admins alone, each for those whom they have to do with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api_client import bearer, client_of, key_for, settings_for
from cajanegra.domain.principal import ALL_TENANTS, Role
from cajanegra.server import create_app
from cajanegra.storage.database import Database

KEYS = "/api/v1/keys"
SETTINGS = "/api/v1/settings"
READER = {"tenant_id": "acme", "role": "reader", "name": "support desk"}


@pytest.fixture
def keyless(database: Database) -> Iterator[TestClient]:
    with client_of(create_app(settings_for(database))) as client:
        yield client


@pytest.fixture
def admin(database: Database) -> dict[str, str]:
    return key_for(database, ALL_TENANTS, Role.ADMIN)


def _prefixes(answer: Any) -> list[str]:
    return [key["prefix"] for key in answer.json()["items"]]


def test_an_admin_makes_a_key_sees_it_and_revokes_it(
    keyless: TestClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cajanegra.server.verification.FRESH", 0.0)
    limits = {"models": ["fast"], "requests_per_minute": 60, "monthly_budget": 20}
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = keyless.post(KEYS, json=READER | {"limits": limits, "expires_at": soon}, headers=admin)
    assert made.status_code == 201
    key = made.json()
    assert key["limits"] == limits | {"tokens_per_minute": None}
    seen = keyless.get("/api/v1/session", headers=bearer(key["key"]))
    assert seen.json() | {"expires_at": None} == {
        "role": "reader",
        "tenant_id": "acme",
        "name": "support desk",
        "expires_at": None,
    }
    listed = keyless.get(KEYS, headers=admin)
    assert key["prefix"] in _prefixes(listed)
    assert key["key"] not in listed.text
    revoked = keyless.delete(f"{KEYS}/{key['prefix']}", headers=admin)
    assert revoked.json()["revoked_at"]
    assert keyless.get("/api/v1/session", headers=bearer(key["key"])).status_code == 401
    assert key["prefix"] not in _prefixes(keyless.get(KEYS, headers=admin))
    assert key["prefix"] in _prefixes(keyless.get(KEYS, params={"invalid": True}, headers=admin))


def test_an_admin_of_one_tenant_has_to_do_with_its_keys_alone(
    keyless: TestClient, database: Database, admin: dict[str, str]
) -> None:
    theirs = key_for(database, "globex", Role.READER)["Authorization"][7:20]
    ours = key_for(database, "acme", Role.ADMIN)
    assert len(_prefixes(keyless.get(KEYS, headers=ours))) == 1
    assert keyless.delete(f"{KEYS}/{theirs}", headers=ours).status_code == 404
    for tenant in ("globex", None):
        refused = keyless.post(KEYS, json=READER | {"tenant_id": tenant}, headers=ours)
        assert refused.status_code == 403
    made = keyless.post(KEYS, json=READER, headers=ours)
    assert made.json()["tenant_id"] == "acme"
    assert keyless.get(SETTINGS, headers=ours).status_code == 403


@pytest.mark.parametrize("role", [Role.READER, Role.WRITER])
def test_only_admins_see_keys_and_settings(
    keyless: TestClient, database: Database, admin: dict[str, str], role: Role
) -> None:
    own = key_for(database, ALL_TENANTS, role)
    for refused in (
        keyless.get(KEYS, headers=own),
        keyless.post(KEYS, json=READER, headers=own),
        keyless.delete(f"{KEYS}/{admin['Authorization'][7:20]}", headers=own),
        keyless.get(SETTINGS, headers=own),
    ):
        assert refused.status_code == 403


def test_the_first_key_does_not_shut_everybody_out(keyless: TestClient) -> None:
    refused = keyless.post(KEYS, json=READER)
    assert refused.status_code == 422
    assert "admin" in refused.json()["detail"]
    made = keyless.post(KEYS, json={"tenant_id": None, "role": "admin"})
    assert made.status_code == 201
    assert keyless.get(KEYS, headers=bearer(made.json()["key"])).status_code == 200


def test_a_key_that_makes_no_sense_is_refused(keyless: TestClient, admin: dict[str, str]) -> None:
    for wrong in (
        {"role": "king"},
        {"tenant_id": ""},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"limits": {"requests_per_minute": 0}},
        {"more": 1},
    ):
        assert keyless.post(KEYS, json=READER | wrong, headers=admin).status_code == 422
    assert keyless.delete(f"{KEYS}/cn_", headers=admin).status_code == 422


def test_settings_are_told_without_their_secrets(
    database: Database, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "CAJANEGRA_DATABASE__READ_URL", "postgresql://bob:hunter2@replica/db?sslpassword=hunter2"
    )
    settings = settings_for(
        database,
        recovery={"timeout": 20},
        providers=[{"name": "openai", "base_url": "https://me:hunter2@ai.example.com/v1", "models": ["m"]}],
        alerts={"targets": [{"name": "ops", "kind": "slack", "url": "https://hooks.example.com/hunter2"}]},
    )
    with client_of(create_app(settings)) as client:
        answer = client.get(SETTINGS, headers=admin)
    assert "hunter2" not in answer.text
    told = {(one["section"], one["name"]): one for one in answer.json()["items"]}
    assert told["recovery", "timeout"] | {} == {
        "section": "recovery",
        "name": "timeout",
        "value": 20,
        "is_default": False,
    }
    assert told["recovery", "attempts"]["is_default"]
    assert told["database", "read_url"]["value"] == "postgresql://bob:***@replica/db?sslpassword=***"
    assert told["providers", "openai"]["value"]["base_url"] == "https://me:***@ai.example.com/v1"
    assert told["alerts", "targets"]["value"][0]["url"] == "https://hooks.example.com/***"
