"""What one process learns of a provider serves the others: through a real database, PostgreSQL and SQLite."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from llmock.scenarios import Fail
from llmock.testing import LLMockServer

from cajanegra import AIClient, Settings
from cajanegra.storage.database import Database

SECONDS = 10.0
"""Far more than it takes."""


def _settings(database: Database, first: LLMockServer, second: LLMockServer) -> Settings:
    return Settings(
        database={"url": database.url.render_as_string(hide_password=False)},
        providers=[
            {"name": name, "base_url": server.base_url("openai"), "models": ["gpt-4o"], "timeout": 5}
            for name, server in (("ollama", first), ("openai", second))
        ],
    )


def _requests(server: LLMockServer) -> int:
    return len(server.state.journal.records(wait=1.0))


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the other one never heard of it"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("fault", "because"),
    [
        (Fail(429, retry_after=60, times=None), "rate_limit"),
        (Fail(401, times=None), "auth"),
        (Fail(404, code="model_not_found", times=None), "model_not_found"),
    ],
)
def test_another_client_of_the_database_does_not_ask_who_rests(
    database: Database, fault: Fail, because: str
) -> None:
    async def run(one: AIClient, other: AIClient, first: LLMockServer) -> Any:
        await other.chat("hi", model="openai/gpt-4o")  # it makes calls, so it listens
        first.state.scenarios.add(fault)
        assert (await one.chat("hi")).provider == "openai"
        target = other._routes[0].to("gpt-4o")
        await _until(lambda: other._engine.health.why(target) is not None)
        reply = await other.chat("hi")
        assert (reply.provider, reply.attempts) == ("openai", 1)
        await one.aclose()
        await other.aclose()
        return reply

    with LLMockServer() as first, LLMockServer() as second:
        settings = _settings(database, first, second)
        reply = asyncio.run(run(AIClient(settings), AIClient(settings), first))
        assert _requests(first) == 1
    with database.engine.connect() as connection:
        query = "SELECT response_metadata FROM ai_request_logs WHERE request_id = "
        (metadata,) = connection.exec_driver_sql(query + f"'{reply.request_id}'").one()
    assert because in str(metadata)


def test_a_provider_that_answers_again_is_asked_again_by_all(database: Database) -> None:
    async def run(one: AIClient, other: AIClient, first: LLMockServer) -> None:
        await other.chat("hi", model="openai/gpt-4o")
        first.state.scenarios.add(Fail(429, retry_after=0.3))
        await one.chat("hi", model="ollama/gpt-4o")
        await _until(lambda: one._engine.health.wait(one._routes[0].to("gpt-4o"), urgent=False) == 0)
        assert (await one.chat("hi")).provider == "ollama"
        target = other._routes[0].to("gpt-4o")
        await _until(lambda: other._engine.health.wait(target, urgent=False) == 0)
        assert (await other.chat("hi")).provider == "ollama"
        await one.aclose()
        await other.aclose()

    with LLMockServer() as first, LLMockServer() as second:
        settings = _settings(database, first, second)
        asyncio.run(run(AIClient(settings), AIClient(settings), first))


def test_a_database_without_the_table_stops_nobody(empty_database: Database) -> None:
    with LLMockServer() as first, LLMockServer() as second:
        first.state.scenarios.add(Fail(429, retry_after=60))
        with AIClient(_settings(empty_database, first, second)) as ai:
            assert [ai.chat_sync("hi").provider for _ in range(3)] == ["openai"] * 3
        assert _requests(first) == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_learns_for_itself(database: Database) -> None:
    with LLMockServer() as first, LLMockServer() as second:
        ai = AIClient(_settings(database, first, second))
        ai.chat_sync("hi")
        child = os.fork()
        if not child:
            first.state.scenarios.clear()
            status = 1
            try:
                status = 0 if ai.chat_sync("hi").text and ai._sharing._thread is not None else 2
                ai.close()
            finally:
                os._exit(status)
        _, code = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(code) == 0
        assert ai.chat_sync("hi").text
        ai.close()
