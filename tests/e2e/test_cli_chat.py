from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

from llmock.scenarios import Fail
from llmock.testing import LLMockServer

from cajanegra.storage.database import Database
from command import Command


def _command(directory: Path, database: Database, *servers: LLMockServer) -> Command:
    providers = [
        {"name": f"p{number}", "base_url": server.base_url("openai"), "models": ["m"]}
        for number, server in enumerate(servers)
    ]
    url = database.url.render_as_string(hide_password=False)
    return Command(directory, url, CAJANEGRA_PROVIDERS=json.dumps(providers))


def test_a_question_is_answered_and_on_record(tmp_path: Path, database: Database) -> None:
    with LLMockServer() as first, LLMockServer() as second:
        run = _command(tmp_path, database, first, second)
        first.state.scenarios.add(Fail(400))
        done = run("chat", "Say hello", "--tenant", "acme", "--task", "greeting")
        assert done.code == 0
        assert done.out.strip()
        assert "p1, m, fallback, attempts: 2" in done.err
        piped = run("chat", "-", "--json", "--system", "be brief", stdin="Say hello").json
        assert (piped["provider"], piped["status"], piped["attempts"]) == ("p0", "success", 1)
        streamed = run("chat", "Say hello", "--stream")
        assert streamed.code == 0
        assert streamed.out.strip()
        assert "p0, m, success, attempts: 1" in streamed.err
    items = run("logs", "list", "--json").json["items"]
    assert len(items) == 3
    assert (items[-1]["tenant_id"], items[-1]["task"], items[-1]["status"]) == (
        "acme",
        "greeting",
        "fallback",
    )
    assert items[1]["request_id"] == piped["request_id"]


def test_a_model_may_name_its_provider(tmp_path: Path, database: Database) -> None:
    with LLMockServer() as first, LLMockServer() as second:
        run = _command(tmp_path, database, first, second)
        assert run("chat", "hi", "--model", "p1/other", "--json").json["provider"] == "p1"
        assert run("chat", "hi", "--model", "p1/other", "--json").json["model"] == "other"


def test_an_answer_that_could_not_be_recorded_is_shown_and_is_an_error(tmp_path: Path) -> None:
    nobody = "postgresql://u:hunter2@127.0.0.1:9/x"
    with LLMockServer() as server:
        providers = [{"name": "p", "base_url": server.base_url("openai"), "models": ["m"]}]
        done = Command(tmp_path, nobody, CAJANEGRA_PROVIDERS=json.dumps(providers))(
            "chat", "Say hello", "--json"
        )
        assert done.code == 1
        assert done.json["provider"] == "p"
        assert done.err.startswith(
            "cajanegra: the call is not in the database: postgresql://u:***@127.0.0.1:9/x"
        )
        assert done.err.count("\n") == 1


def test_a_stream_that_fails_at_once_is_one_line(tmp_path: Path) -> None:
    providers = '[{"name": "p", "base_url": "http://127.0.0.1:9/v1", "models": ["m"]}]'
    run = Command(tmp_path, f"sqlite:///{tmp_path / 'calls.db'}", CAJANEGRA_PROVIDERS=providers)
    done = run("chat", "hi", "--stream", "--timeout", "1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("cajanegra: no provider answered")
    assert done.err.count("\n") == 1


def test_ctrl_c_ends_a_question_quietly_and_on_record(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        providers = json.dumps([{"name": "p", "base_url": url, "models": ["m"]}])
        run = Command(tmp_path, f"sqlite:///{tmp_path / 'calls.db'}", CAJANEGRA_PROVIDERS=providers)
        asking = subprocess.Popen(
            [sys.executable, "-m", "cajanegra", "chat", "hi"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=run.environment,
            cwd=run.directory,
        )
        silent.settimeout(20)
        connection, _address = silent.accept()
        with connection:
            connection.settimeout(20)
            connection.recv(1)  # the question is under way
            asking.send_signal(signal.SIGINT)
            out, err = asking.communicate(timeout=20)
    assert (asking.returncode, out, err.strip()) == (130, b"", b"")
    (call,) = run("logs", "list", "--json").json["items"]
    assert (call["status"], call["error_code"]) == ("error", "cancelled")
