from __future__ import annotations

import json
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
        first.state.scenarios.add(Fail(401))
        done = run("chat", "Say hello", "--tenant", "acme", "--task", "greeting")
        assert done.code == 0
        assert done.out.strip()
        assert "p1, m, fallback, attempts: 2" in done.err
        piped = run("chat", "-", "--json", "--system", "be brief", stdin="Say hello").json
        assert (piped["provider"], piped["status"], piped["attempts"]) == ("p0", "success", 1)
        streamed = run("chat", "Say hello", "--stream")
        assert streamed.code == 0
        assert streamed.out.strip()
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
