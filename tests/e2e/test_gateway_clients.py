"""Clients that others keep, each in a process of its own, against a running gateway before the simulator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llmock.scenarios import Fail, Match
from llmock.testing import LLMockServer

from cajanegra.storage.database import Database
from gateway_server import Gateway, gateway

CLIENTS = Path(__file__).parents[1] / "clients"


@pytest.fixture(scope="module")
def running(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory, database = tmp_path_factory.mktemp("server"), module_database
    with LLMockServer() as simulated:
        simulated.state.scenarios.add(Fail(429, times=1_000, match=Match(model="gpt-4o-broken")))
        url = simulated.base_url("openai")
        providers = [
            {"name": "openai", "base_url": url, "models": ["gpt-4o-mini"]},
            {"name": "limited", "base_url": f"{url}/", "models": ["gpt-4o-broken"]},
        ]
        models = {"fast": {"openai": "gpt-4o-mini"}, "broken": {"limited": "gpt-4o-broken"}}
        with gateway(
            directory, database, providers=providers, models=models, recovery={"attempts": 1}
        ) as running:
            yield running


def told_by(running: Gateway, *command: str, directory: Path) -> Any:
    """What a client prints."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=directory,
        env={**kept, "BASE_URL": running.v1, "KEY": running.key(), "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def check(told: Any) -> None:
    assert told["plain"]
    assert told["streamed"]
    assert told["error"].endswith("RateLimitError")
    assert told["kind"] == "rate_limit"


@pytest.mark.parametrize("client", ["langchain", "litellm", "pydantic_ai"])
def test_a_client_of_others_gets_answers_streams_and_its_own_exceptions(
    running: Gateway, tmp_path: Path, client: str
) -> None:
    check(told_by(running, sys.executable, str(CLIENTS / f"with_{client}.py"), directory=tmp_path))


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_nodes_client_gets_answers_streams_and_its_own_exceptions(running: Gateway, tmp_path: Path) -> None:
    shutil.copytree(CLIENTS / "node", tmp_path / "node")
    install = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(install, check=True, cwd=tmp_path / "node", timeout=300)
    check(told_by(running, "node", "ask.mjs", directory=tmp_path / "node"))
