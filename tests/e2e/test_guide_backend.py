"""The example application as its users have it: three modules that call simulated providers, on record."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cajanegra.models import Base
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from cajanegra.storage.verify import verify
from guide import Backend
from server_process import until

LOGS = "/api/v1/ai/logs"


@contextmanager
def running(backend: Backend, command: str, ready: str) -> Iterator[list[str]]:
    """A process of the example, until it has said what shows that it is ready; what it said."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {command} 2>&1"],
        cwd=backend.directory,
        env=backend.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        said: list[str] = []
        try:
            for line in process.stdout:
                said.append(line)
                if ready in line:
                    break
            else:
                pytest.fail("".join(said))
            yield said
        finally:
            process.terminate()
            said += process.communicate(timeout=30)[0].splitlines(keepends=True)
    assert process.returncode in {0, -15}, "".join(said)


class Api:
    """The running application, as one of its users."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._token = token

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server on loopback
            f"{self._address}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - as above
                found, text = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            found, text = error.code, error.read().decode()
        assert found == status, text
        try:
            return json.loads(text)
        except ValueError:
            return text


class Erp:
    """The example with its providers, its server, and users of two tenants."""

    def __init__(self, backend: Backend, address: str) -> None:
        self.backend = backend
        self.address = address

    def user(self, tenant: str, name: str, role: str) -> Api:
        token = self.backend.sh(f"python scripts/create_user.py {tenant} {name} {role}").strip()
        return Api(self.address, token)


@contextmanager
def erp(backend: Backend) -> Iterator[Erp]:
    """The example, started; its first provider refuses every request."""
    providers = tomllib.loads((backend.directory / "cajanegra.toml").read_text())["providers"]
    with ExitStack() as stack:
        simulate = "python scripts/simulated_providers.py --first-port 0 --trouble 1"
        for provider, line in zip(
            providers, stack.enter_context(running(backend, simulate, "openai:")), strict=True
        ):
            name, provider["base_url"] = line.split()
            assert name == f"{provider['name']}:"
        backend.environment["CAJANEGRA_PROVIDERS"] = json.dumps(providers)
        serve = "uvicorn app.main:app --port 0"
        (address,) = re.findall(
            r"running on (\S+)", "".join(stack.enter_context(running(backend, serve, "running on")))
        )
        yield Erp(backend, address)


@pytest.mark.postgres
def test_the_hosts_alembic_proposes_the_tables_once(empty_postgres_url: str, tmp_path: Path) -> None:
    backend = Backend(tmp_path, empty_postgres_url)
    backend.sh("alembic upgrade head")
    backend.sh("alembic revision --autogenerate -m 'Add AI logging tables'")
    (made,) = backend.directory.glob("alembic/versions/*_add_ai_logging_tables.py")
    created = set(re.findall(r"create_table\('(\w+)'", made.read_text()))
    assert created == set(Base.metadata.tables)
    backend.sh("alembic upgrade head && alembic check")
    assert "Adopted" in backend.sh("cajanegra db upgrade")
    backend.sh("alembic check")
    with Database(empty_postgres_url) as database:
        assert [finding for finding in verify(database) if finding.state != "present"] == []


@pytest.mark.postgres
def test_the_hosts_alembic_leaves_alone_what_db_upgrade_made(backend: Backend) -> None:
    backend.sh("alembic check")
    backend.sh("alembic downgrade base")
    assert backend.sh("cajanegra db current") == f"{migrate.head()} (newest)\n"


@pytest.fixture
def backend(tmp_path: Path, postgres_url: str) -> Backend:
    """The example with all its tables."""
    backend = Backend(tmp_path, postgres_url)
    backend.sh("alembic upgrade head")
    return backend


@pytest.mark.postgres
def test_the_three_modules_are_on_record_and_the_routes_show_each_user_what_is_theirs(
    backend: Backend,
) -> None:
    with erp(backend) as running_erp:
        ana = running_erp.user("acme", "ana", "manager")
        berta = running_erp.user("globex", "berta", "staff")
        olga = running_erp.user("erp", "olga", "operator")
        answer = ana("POST", "/api/v1/copilot/questions", {"text": "How do I cancel an invoice?"})
        assert answer["text"]
        rating = f"/api/v1/copilot/answers/{answer['ai_request_id']}/feedback"
        ana("POST", rating, {"feedback": "thumbs_up"}, status=204)
        assert ana("POST", "/api/v1/copilot/questions/stream", {"text": "And a receipt?"})
        filed = ana("POST", "/api/v1/imports", {"text": "Invoice 2024-117"}, status=201)
        assert filed["kind"] == "invoice"
        corrected = ana("PATCH", f"/api/v1/imports/{filed['id']}", {"kind": "receipt"})
        assert corrected["kind"] == "receipt"
        incident = {"title": "It does not print", "description": "Since yesterday"}
        reported = ana("POST", "/api/v1/incidents", incident, status=201)
        assert reported["analysis"]
        assert ana("GET", "/api/v1/incidents") == [reported]
        assert berta("GET", "/api/v1/incidents") == []
        berta("PATCH", f"/api/v1/imports/{filed['id']}", {"kind": "invoice"}, status=404)
        Api(running_erp.address, "guessed")("GET", "/api/v1/incidents", status=401)
        wait_for(lambda: olga("GET", LOGS)["items"], 4)
        _is_on_record(backend, reported)
        _shows_each_user_what_is_theirs(backend, running_erp.address, ana, berta, olga)


def _is_on_record(backend: Backend, incident: dict[str, Any]) -> None:
    rows = backend.query(
        "SELECT module, task, tenant_id, user_id, status, fallback_used, user_feedback, correction_applied"
        " FROM ai_request_logs ORDER BY id"
    )
    usual = ("acme", "ana", "fallback", "ovhcloud")
    assert rows == [
        ("copilot", "chat", *usual, "thumbs_up", None),
        ("copilot", "chat", *usual, None, None),
        ("imports", "classification", *usual, "thumbs_down", "receipt, not invoice"),
        ("incidents", "analysis", *usual, None, None),
    ]
    metadata = backend.query("SELECT request_metadata ->> 'incident' FROM ai_request_logs ORDER BY id")
    assert metadata[-1] == (str(incident["id"]),)
    failed = backend.query("SELECT error_pattern FROM ai_error_analysis WHERE occurrence_count > 0")
    assert failed
    assert all(str(pattern).startswith("ollama_") for (pattern,) in failed)


def _shows_each_user_what_is_theirs(backend: Backend, address: str, ana: Api, berta: Api, olga: Api) -> None:
    asked = {
        user: user("POST", "/api/v1/copilot/questions", {"text": "How do I cancel an invoice?"})[
            "ai_request_id"
        ]
        for user in (ana, berta)
    }
    recorded = wait_for(lambda: olga("GET", LOGS)["items"], 6)
    assert {item["request_id"] for item in recorded} >= set(asked.values())
    assert {item["tenant_id"] for item in ana("GET", LOGS)["items"]} == {"acme"}
    assert [item["request_id"] for item in berta("GET", LOGS)["items"]] == [asked[berta]]
    assert ana("GET", f"{LOGS}/{asked[ana]}")["user_id"] == "ana"
    berta("GET", f"{LOGS}/{asked[ana]}", status=404)
    assert ana("GET", f"{LOGS}/statistics")["total"] == 5
    ana("POST", f"{LOGS}/{asked[ana]}/feedback", {"feedback": "thumbs_up"}, status=202)
    berta("POST", f"{LOGS}/{asked[berta]}/feedback", {"feedback": "thumbs_up"}, status=403)
    rated = "SELECT request_id FROM ai_request_logs WHERE user_feedback = 'thumbs_up' ORDER BY id DESC"
    assert wait_for(lambda: backend.query(rated), 2)[0] == (asked[ana],)
    berta("DELETE", f"{LOGS}?older_than_days=0", status=403)
    assert ana("DELETE", f"{LOGS}?older_than_days=0")["calls"] == 5
    assert [item["request_id"] for item in olga("GET", LOGS)["items"]] == [asked[berta]]
    Api(address, "guessed")("GET", LOGS, status=401)


def wait_for(look: Callable[[], list[Any]], count: int) -> list[Any]:
    """What is seen once it is so much: calls are written a moment after they were answered."""
    until(lambda: len(look()) >= count, 60)
    found = look()
    assert len(found) == count
    return found


@pytest.mark.long
@pytest.mark.postgres
def test_the_application_goes_on_without_any_provider(backend: Backend) -> None:
    nobody = [{"name": "ollama", "base_url": "http://127.0.0.1:1/v1", "models": ["llama3.2"]}]
    backend.environment["CAJANEGRA_PROVIDERS"] = json.dumps(nobody)
    backend.environment["CAJANEGRA_MODELS__CLASSIFIER"] = '{"ollama": "llama3.2"}'
    backend.environment["CAJANEGRA_RECOVERY__TIMEOUT"] = "5"
    (backend.directory / "cajanegra.toml").unlink()
    with running(backend, "uvicorn app.main:app --port 0", "running on") as said:
        (address,) = re.findall(r"running on (\S+)", "".join(said))
        ana = Erp(backend, address).user("acme", "ana", "manager")
        refused = ana("POST", "/api/v1/copilot/questions", {"text": "Hello?"}, status=503)
        assert "tell support" in refused["detail"]
        assert ana("POST", "/api/v1/imports", {"text": "Invoice 1"}, status=201)["kind"] == "unknown"
        incident = {"title": "It does not print", "description": "Since yesterday"}
        assert ana("POST", "/api/v1/incidents", incident, status=201)["analysis"] is None
    rows = backend.query("SELECT module, error_code FROM ai_request_logs ORDER BY id")
    assert rows == [("copilot", "connection"), ("imports", "connection"), ("incidents", "connection")]
