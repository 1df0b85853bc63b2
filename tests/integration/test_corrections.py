"""Corrections between real processes: set by SQL or by the command in one, obeyed in another."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llmock.scenarios import Fail
from llmock.testing import LLMockServer
from sqlalchemy import text

from cajanegra import AIClient, Settings
from cajanegra.storage.database import Database
from command import Command
from records import correct_by_hand

PROMISE = 5.0
"""Seconds within which every process obeys."""
CALLER = """
import json, sys, time
from cajanegra import AIClient, Settings
from cajanegra.errors import CallError

ai = AIClient(Settings())
for line in sys.stdin:
    try:
        reply = ai.chat_sync("hi", task="test")
        said = {"provider": reply.provider, "model": reply.model, "steps": [s.strategy for s in reply.steps]}
    except CallError as error:
        said = {"error": str(error)}
    print(json.dumps(said), flush=True)
ai.close()
"""


class Caller:
    """A process that makes a call when it is told to."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CALLER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=directory,
            env=environment,
        )

    def call(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    def until(self, provider: str, seconds: float = PROMISE) -> None:
        """Make calls until one is answered by that provider."""
        deadline = time.monotonic() + seconds
        while (said := self.call()).get("provider") != provider:
            assert time.monotonic() < deadline, f"still answered by {said}"

    def close(self) -> None:
        """Let it end, and see that it ends well."""
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """End it if it has not ended."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def servers() -> Iterator[list[LLMockServer]]:
    """Three providers, of which the first answers no call."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(LLMockServer()) for _ in range(3)]
        found[0].state.scenarios.add(Fail(400, code="content_policy_violation", times=None))
        yield found


@pytest.fixture
def directory(tmp_path: Path, servers: list[LLMockServer]) -> Path:
    """A working directory with settings for the three."""
    tables = [
        f'[[providers]]\nname = "p{i}"\nbase_url = "{server.base_url("openai")}"\nmodels = ["gpt-4o"]\n'
        for i, server in enumerate(servers)
    ]
    (tmp_path / "cajanegra.toml").write_text("\n".join(tables), encoding="utf-8")
    return tmp_path


@pytest.fixture
def environment(database: Database) -> dict[str, str]:
    url = database.url.render_as_string(hide_password=False)
    return {**os.environ, "CAJANEGRA_DATABASE__URL": url}


@pytest.fixture
def start(directory: Path, environment: dict[str, str]) -> Iterator[Callable[..., Caller]]:
    """Starts processes that make calls, and ends those that are left."""
    started: list[Caller] = []

    def start(**more: str) -> Caller:
        started.append(Caller(directory, environment | more))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def _pattern(database: Database) -> str:
    """The first pattern on record, once there is one."""
    deadline = time.monotonic() + 20
    query = "SELECT error_pattern FROM ai_error_analysis WHERE error_pattern LIKE 'p0_%'"
    while True:
        with database.engine.connect() as connection:
            found = connection.execute(text(query)).scalar()
        if found is not None:
            return str(found)
        assert time.monotonic() < deadline, "the failure was never recorded"
        time.sleep(0.05)


def test_what_is_set_by_sql_is_obeyed_by_every_process_within_five_seconds(
    database: Database, start: Callable[..., Caller]
) -> None:
    callers = [start() for _ in range(2)]
    assert [one.call()["provider"] for one in callers] == ["p1", "p1"]
    pattern = _pattern(database)
    correct_by_hand(database, pattern, "fallback", '{"provider": "p2"}')
    for one in callers:
        one.until("p2")
    correct_by_hand(database, pattern, None, None)
    for one in callers:
        one.until("p1")
    correct_by_hand(database, pattern, "fallback", '{"provider": "p9"}')
    for one in callers:
        assert one.call()["provider"] == "p1"
        one.close()
    with database.engine.connect() as connection:
        query = "SELECT recovery_result FROM ai_error_recovery WHERE action_taken = 'p0 -> p2'"
        results = [str(row) for row in connection.execute(text(query)).scalars()]
    assert results
    assert all(
        "obeyed" in result and "the correction of this pattern says so" in result for result in results
    )


def test_a_process_that_makes_one_call_only_obeys_too(
    database: Database, directory: Path, environment: dict[str, str], start: Callable[..., Caller]
) -> None:
    first = start()
    assert first.call()["provider"] == "p1"
    first.close()
    run = Command(directory, environment["CAJANEGRA_DATABASE__URL"])
    arguments = ["errors", "correct", _pattern(database), "--strategy", "fallback", "--set", "provider=p2"]
    assert run(*arguments).code == 0
    second = start()
    assert second.call()["provider"] == "p2"
    second.close()


def test_a_database_that_has_the_guides_tables_alone_has_its_corrections_obeyed(
    database: Database, start: Callable[..., Caller]
) -> None:
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE cajanegra_provider_states"))
    one = start()
    assert one.call()["provider"] == "p1"
    correct_by_hand(database, _pattern(database), "fallback", '{"provider": "p2"}')
    one.until("p2")
    one.close()


def test_what_helps_is_learned_from_the_rows_of_all_processes(
    database: Database, servers: list[LLMockServer], start: Callable[..., Caller]
) -> None:
    servers[1].state.scenarios.add(Fail(400, code="content_policy_violation", times=None))
    teacher = start()
    for _ in range(30):
        teacher.call()
    teacher.close()
    learner = start(CAJANEGRA_RECOVERY__MODE="learned")
    said = [learner.call() for _ in range(10)]
    learner.close()
    straight = sum(one["steps"] == ["fallback"] for one in said)
    assert straight >= 6, "p2 was asked only after p1 had failed again"
    with database.engine.connect() as connection:
        query = "SELECT recovery_result FROM ai_error_recovery WHERE action_taken = 'p0 -> p2'"
        row: Any = connection.execute(text(query)).scalars().first()
    learned = (json.loads(row) if isinstance(row, str) else row)["learned"]
    tried = {arm["target"]: (arm["tried"], arm["worked"]) for arm in learned["arms"]}
    assert tried["p1/gpt-4o"][0] > 5
    assert tried["p1/gpt-4o"][1] == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_and_a_parent_both_obey(database: Database, servers: list[LLMockServer]) -> None:
    settings = Settings(
        database={"url": database.url.render_as_string(hide_password=False)},
        providers=[
            {"name": f"p{i}", "base_url": server.base_url("openai"), "models": ["gpt-4o"]}
            for i, server in enumerate(servers)
        ],
    )
    ai = AIClient(settings)
    assert ai.chat_sync("hi").provider == "p1"
    correct_by_hand(database, _pattern(database), "fallback", '{"provider": "p2"}')
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if _obeys(ai) else 2
            ai.close()
        finally:
            os._exit(status)
    _, code = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(code) == 0
    assert _obeys(ai)
    ai.close()


def _obeys(ai: AIClient) -> bool:
    """Whether a call is answered by p2 as soon as was promised."""
    deadline = time.monotonic() + PROMISE
    while ai.chat_sync("hi").provider != "p2":
        if time.monotonic() > deadline:
            return False
    return True
