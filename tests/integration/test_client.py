"""The public client against simulated providers, down to the rows in both databases."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llmock.scenarios import Delay, Fail, StreamFault
from llmock.scenarios import Reply as Scripted
from llmock.testing import LLMockServer
from llmock.verdict import judge
from sqlalchemy import text

from cajanegra import AIClient, Recorder, Settings
from cajanegra.client import Reply
from cajanegra.errors import CallError, SettingsError, UsageError
from cajanegra.storage.database import Database

QUESTION = "Classify: 'Invoice 2024-117, due in 30 days'"


class World:
    """Two simulated providers, a client over them, and the database that it records to."""

    def __init__(self, database: Database, first: LLMockServer, second: LLMockServer) -> None:
        self.database = database
        self.first, self.second = first, second
        self.url = database.url.render_as_string(hide_password=False)

    def settings(self, **sections: Any) -> Settings:
        providers = [
            {
                "name": "ollama",
                "base_url": self.first.base_url("openai"),
                "models": ["llama3.2"],
                "timeout": 5,
            },
            {
                "name": "openai",
                "base_url": self.second.base_url("openai"),
                "models": ["gpt-4o-mini"],
                "timeout": 5,
            },
        ]
        return Settings(
            **{"database": {"url": self.url}, "providers": providers, "recovery": {"timeout": 20}, **sections}
        )

    def chat(self, **arguments: Any) -> Reply:
        with AIClient(self.settings()) as ai:
            return ai.chat_sync(QUESTION, tenant_id="acme", module="imports", user_id="u1", **arguments)

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self.database.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def call(self) -> dict[str, Any]:
        (row,) = self.rows("SELECT * FROM ai_request_logs")
        return row

    def steps(self) -> list[dict[str, Any]]:
        return self.rows(
            "SELECT s.* FROM ai_error_recovery s JOIN ai_request_logs c ON c.id = s.request_log_id ORDER BY s.step_number"
        )

    def faults(self) -> list[str]:
        servers = (self.first, self.second)
        return [
            error.code for server in servers for error in judge(server.state.journal.records(wait=2.0)).errors
        ]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[LLMockServer, LLMockServer]]:
    with LLMockServer() as first, LLMockServer() as second:
        yield first, second


@pytest.fixture
def world(database: Database, servers: tuple[LLMockServer, LLMockServer]) -> World:
    for server in servers:
        server.state.reset()
    return World(database, *servers)


def test_a_healthy_call_fills_its_row(world: World) -> None:
    reply = world.chat(task="classification", temperature=0.2, max_tokens=64, metadata={"document": "117"})
    row = world.call()
    assert reply.text
    assert (reply.status, reply.attempts, reply.provider) == ("success", 1, "ollama")
    assert row["request_id"] == reply.request_id
    expected = {
        "tenant_id": "acme",
        "module": "imports",
        "user_id": "u1",
        "task": "classification",
        "prompt_length": len(QUESTION),
        "temperature": 0.2,
        "max_tokens": 64,
        "model_requested": None,
        "provider_used": "ollama",
        "provider_model": "llama3.2",
        "status": "success",
        "response_content_length": len(reply.text),
        "tokens_used": reply.usage.total_tokens,
        "error_message": None,
        "error_code": None,
        "retry_count": 0,
        "fallback_used": None,
    }
    assert {name: row[name] for name in expected} == expected
    assert world.steps() == []


def test_a_rate_limit_is_sat_out_as_long_as_it_asks_when_nobody_else_can_answer(world: World) -> None:
    world.first.state.scenarios.add(Fail(429, retry_after=1, times=1))
    world.second.state.scenarios.add(Fail(401, times=None))
    reply = world.chat()
    assert (reply.status, reply.provider, reply.attempts) == ("success", "ollama", 3)
    assert (world.call()["status"], world.call()["fallback_used"]) == ("success", None)
    assert [step["action_taken"] for step in world.steps()] == ["ollama -> openai", "openai -> ollama"]
    assert world.faults() == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fail(429, retry_after=9, times=None), "rate_limit"),
        (Fail(503, retry_after=9, times=None), "overloaded"),
        (Fail(401, times=None), "auth"),
        (Fail(404, times=None), "model_not_found"),
    ],
)
def test_the_second_provider_answers_when_the_first_cannot(world: World, fault: Fail, kind: str) -> None:
    world.first.state.scenarios.add(fault)
    reply = world.chat()
    assert (reply.status, reply.provider, reply.attempts) == ("fallback", "openai", 2)
    row = world.call()
    assert (row["status"], row["fallback_used"], row["provider_used"]) == ("fallback", "openai", "openai")
    (step,) = world.steps()
    assert (step["strategy_name"], step["was_successful"], step["step_number"]) == ("fallback", "true", 1)
    (counted,) = world.rows("SELECT * FROM ai_error_analysis")
    assert (counted["error_code"], counted["occurrence_count"]) == (kind, 1)
    assert counted["suggested_action"]
    assert world.faults() == []


def test_a_fallback_that_answers_after_a_retry_is_still_a_fallback(world: World) -> None:
    world.first.state.scenarios.add(Fail(401, times=None))
    world.second.state.scenarios.add(Fail(503, retry_after=0.2, times=1))
    reply = world.chat()
    assert (reply.status, reply.provider, reply.attempts) == ("fallback", "openai", 3)
    row = world.call()
    assert (row["status"], row["fallback_used"], row["retry_count"]) == ("fallback", "openai", 1)


def test_an_overlong_prompt_is_shortened_and_answered(world: World) -> None:
    overflow = (
        "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens."
    )
    world.first.state.scenarios.add(Fail(400, code="context_length_exceeded", message=overflow))
    history = [{"role": "user", "content": "x" * 3000}, {"role": "assistant", "content": "y" * 3000}] * 6
    with AIClient(world.settings()) as ai:
        reply = ai.chat_sync(messages=[*history, {"role": "user", "content": QUESTION}])
    assert (reply.status, reply.provider) == ("success", "ollama")
    (step,) = world.steps()
    assert step["strategy_name"] == "simplify"
    assert step["action_taken"].startswith("drop ")
    assert world.faults() == []


def test_what_nobody_can_answer_is_an_error_with_every_attempt_on_record(world: World) -> None:
    world.first.state.scenarios.add(Fail(400, code="content_filter", message="filtered", times=None))
    world.second.state.scenarios.add(Fail(403, times=None))
    with pytest.raises(CallError) as caught:
        world.chat()
    row = world.call()
    assert row["request_id"] == caught.value.request_id
    assert (row["status"], row["error_code"], row["provider_used"]) == ("error", "permission", "openai")
    assert [step["was_successful"] for step in world.steps()] == ["false"]
    counts = {
        row["error_code"]: row["occurrence_count"] for row in world.rows("SELECT * FROM ai_error_analysis")
    }
    assert counts == {"content_filter": 1, "permission": 1}
    assert world.faults() == []


def test_a_stream_is_delivered_and_recorded(world: World) -> None:
    async def read() -> tuple[str, Any]:
        async with AIClient(world.settings()) as ai:
            stream = ai.stream(QUESTION, tenant_id="acme")
            words = [chunk.text async for chunk in stream]
            assert stream.usage is not None
            return "".join(words), stream

    answer, stream = asyncio.run(read())
    row = world.call()
    assert (row["request_id"], row["status"]) == (stream.request_id, "success")
    assert row["response_content_length"] == len(answer) > 0
    assert row["tokens_used"] == stream.usage.total_tokens


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
def test_a_stream_cut_before_its_first_content_is_answered_by_another(world: World, kind: Any) -> None:
    world.first.state.scenarios.add(StreamFault(kind, after_chunks=0, times=None))

    async def read() -> str:
        async with AIClient(world.settings()) as ai:
            return "".join([chunk.text async for chunk in ai.stream(QUESTION)])

    assert asyncio.run(read())
    assert world.call()["status"] == "fallback"


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
def test_a_stream_cut_later_is_never_passed_off_as_complete(world: World, kind: Any) -> None:
    world.first.state.scenarios.add(StreamFault(kind, after_chunks=3, times=None))

    async def read() -> None:
        async with AIClient(world.settings()) as ai:
            async for _chunk in ai.stream(QUESTION):
                pass

    with pytest.raises(CallError) as caught:
        asyncio.run(read())
    assert caught.value.kind == "stream_interrupted"
    assert caught.value.partial_text
    assert world.call()["error_code"] == "stream_interrupted"


def test_cancelling_is_recorded_and_not_recovered(world: World) -> None:
    world.first.state.scenarios.add(Delay(3, times=None))

    async def cancel() -> None:
        async with AIClient(world.settings()) as ai:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await ai.chat(QUESTION)

    asyncio.run(cancel())
    row = world.call()
    assert (row["status"], row["error_code"]) == ("error", "cancelled")
    assert world.steps() == []


def test_feedback_reaches_the_row(world: World) -> None:
    async def talk() -> None:
        async with AIClient(world.settings()) as ai:
            reply = await ai.chat(QUESTION, tenant_id="acme")
            await ai.feedback(reply.request_id, "thumbs_down", correction="invoice, not receipt")

    asyncio.run(talk())
    row = world.call()
    assert (row["user_feedback"], row["correction_applied"]) == ("thumbs_down", "invoice, not receipt")


def test_one_client_serves_threads_and_several_event_loops(world: World) -> None:
    with AIClient(world.settings()) as ai:
        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(lambda i: ai.chat_sync(f"{QUESTION} {i}"), range(8)))

        async def inside_a_loop() -> tuple[Reply, Reply]:
            return await ai.chat(QUESTION), await asyncio.to_thread(ai.chat_sync, QUESTION)

        replies += asyncio.run(inside_a_loop())
        replies += asyncio.run(inside_a_loop())
    assert len({reply.request_id for reply in replies}) == 12
    assert world.rows("SELECT count(*) AS n FROM ai_request_logs") == [{"n": 12}]


def test_content_is_kept_only_when_asked_for(world: World) -> None:
    world.chat()
    assert world.rows("SELECT * FROM cajanegra_contents") == []
    with AIClient(world.settings(capture={"content": "redacted"})) as ai:
        reply = ai.chat_sync("Mail ana@acme.example the password=hunter2")
    (content,) = world.rows("SELECT * FROM cajanegra_contents")
    assert "Mail [email] the password=[redacted]" in str(content["prompt"])
    assert content["answer"] is not None
    with AIClient(world.settings(capture={"content": "full"})) as ai:
        ai.chat_sync(QUESTION)
    assert len(world.rows("SELECT * FROM cajanegra_contents")) == 2
    assert reply.text


def test_an_answer_that_is_not_json_is_a_failure_when_json_was_asked_for(world: World) -> None:
    world.first.state.scenarios.add(Scripted(text="Of course! It is an invoice.", times=None))
    reply = world.chat(response_format={"type": "json_object"})
    assert (reply.status, reply.provider) == ("fallback", "openai")
    assert [step["strategy_name"] for step in world.steps()] == ["fallback"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": ""}, "the prompt is empty"),
        ({}, "give either a prompt or messages"),
        ({"prompt": "x", "messages": []}, "give either a prompt or messages"),
        ({"messages": []}, "the prompt is empty"),
        ({"messages": ["x"]}, "messages are a list of objects"),
        ({"prompt": "x", "timeout": 0}, "timeout must be more than 0"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens must be at least 1"),
    ],
)
def test_an_argument_that_means_nothing_is_refused(arguments: dict[str, Any], message: str) -> None:
    providers = [{"name": "nobody", "base_url": "http://127.0.0.1:9/v1", "models": ["m"]}]
    settings = Settings(database={"url": "sqlite://"}, providers=providers)
    with AIClient(settings) as ai, pytest.raises(UsageError, match=message):
        ai.chat_sync(**arguments)


def test_a_key_that_is_not_in_the_environment_is_named() -> None:
    provider = {
        "name": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key_env": "ACME_KEY_THAT_IS_NOT_SET",
    }
    with pytest.raises(
        SettingsError, match="'openai' takes its key from ACME_KEY_THAT_IS_NOT_SET, which is not set"
    ):
        AIClient(Settings(providers=[provider]))


def _modules(code: str, url: str) -> set[str]:
    script = textwrap.dedent(code) + "\nimport sys\nprint(*sys.modules)"
    environment = {"CAJANEGRA_DATABASE__URL": url, "OLLAMA_HOST": "127.0.0.1:9", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment
    )
    return set(done.stdout.split())


def test_nothing_heavy_is_imported_before_it_is_needed(empty_sqlite_url: str) -> None:
    heavy = {"sqlalchemy", "alembic", "psycopg", "aiohttp", "fastapi", "asyncio"}
    assert not _modules("import cajanegra", empty_sqlite_url) & heavy
    recorder = "from cajanegra import Recorder, Settings; Recorder(Settings())"
    assert not _modules(recorder, empty_sqlite_url) & (heavy - {"asyncio"})
    client = "from cajanegra import AIClient; AIClient()"
    assert not _modules(client, empty_sqlite_url) & {"fastapi", "starlette", "pydantic"}


def test_the_first_call_imports_nothing(world: World) -> None:
    script = f"""
        import sys, asyncio
        from cajanegra import AIClient, Settings
        providers = [{{"name": "openai", "base_url": {world.first.base_url("openai")!r}, "models": ["m"]}}]
        ai = AIClient(Settings(database={{"url": {world.url!r}}}, providers=providers))
        async def first():
            before = set(sys.modules)
            await ai.chat("hi")
            ai.recorder.flush()
            print(*sorted(set(sys.modules) - before))
            await ai.aclose()
        asyncio.run(first())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []


def test_a_recorder_and_a_client_share_a_database(world: World) -> None:
    with (
        Recorder(world.settings()) as recorder,
        recorder.call(task="chat", provider="openai", prompt="hi") as call,
    ):
        call.finish(
            {"choices": [{"message": {"content": "hello"}}], "model": "gpt-4o", "usage": {"total_tokens": 3}}
        )
    world.chat()
    rows = world.rows("SELECT request_id, tokens_used FROM ai_request_logs ORDER BY id")
    assert rows[0] == {"request_id": call.request_id, "tokens_used": 3}
    assert len(rows) == 2


def test_a_forked_child_makes_calls_of_its_own(world: World) -> None:
    providers = [{"name": "openai", "base_url": world.first.base_url("openai"), "models": ["m"]}]
    script = f"""
        import os
        from cajanegra import AIClient, Settings
        ai = AIClient(Settings(database={{"url": {world.url!r}}}, providers={providers!r}))
        ai.chat_sync("before the fork", tenant_id="parent")
        child = os.fork()
        if child == 0:
            ai.chat_sync("in the child", tenant_id="child")
            ai.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        ai.chat_sync("after the fork", tenant_id="parent")
        ai.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    rows = world.rows(
        "SELECT tenant_id, count(*) AS n FROM ai_request_logs GROUP BY tenant_id ORDER BY tenant_id"
    )
    assert rows == [{"tenant_id": "child", "n": 1}, {"tenant_id": "parent", "n": 2}]
