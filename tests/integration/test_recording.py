"""From the application's call to the rows, on real databases and in real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Table, select

from cajanegra import Settings, bootstrap
from cajanegra.analysis.classify import Classifier
from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.analysis.patterns import PatternBook
from cajanegra.domain.record import Batch
from cajanegra.errors import RejectedError, StorageError
from cajanegra.models import AIErrorAnalysis, AIErrorRecovery, AIRequestLog, Base
from cajanegra.ports import CallStore
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.recorder import Recorder
from cajanegra.recording.spool import Spool
from cajanegra.recording.writer import Writer
from cajanegra.storage.database import Database
from cajanegra.storage.writes import Store
from records import call_record

KEY = "sk-proj-abcdefghijklmnop1234"
RESPONSE = {
    "model": "gpt-4o-2024-08-06",
    "choices": [{"message": {"content": "una factura"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34},
}


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def recorder_to(open_store: Callable[[], CallStore]) -> Recorder:
    def new_writer() -> Writer:
        spool = Spool(Path(tempfile.mkdtemp(prefix="cajanegra-test-spool-")))
        return Writer(
            spool, open_store, lambda: Assembler(PatternBook(KnowledgeBase())), wait=lambda _seconds: None
        )

    return Recorder(new_writer, Classifier())


@pytest.fixture
def recorder(database: Database) -> Iterator[Recorder]:
    with recorder_to(lambda: Store(Database(url_of(database)))) as recorder:
        yield recorder


def rows(database: Database, model: type[Base]) -> list[dict[str, Any]]:
    table = model.__table__
    with database.engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(table.c.id))]


def test_an_answered_call(database: Database, recorder: Recorder) -> None:
    with recorder.call(
        task="classification",
        provider="openai",
        model="gpt-4o",
        prompt=[{"role": "system", "content": "Clasifica."}, {"role": "user", "content": "Factura n.º 7"}],
        tenant_id="acme",
        module="imports",
        user_id="u1",
        temperature=0.1,
        max_tokens=20,
        metadata={"document": 7},
    ) as call:
        call.finish(RESPONSE)
    assert recorder.flush()
    (row,) = rows(database, AIRequestLog)
    took, began, ended = row.pop("processing_time_ms"), row.pop("created_at"), row.pop("updated_at")
    assert 0 <= took < 5_000
    assert began <= ended
    assert row == {
        "id": row["id"],
        "request_id": call.request_id,
        "tenant_id": "acme",
        "module": "imports",
        "user_id": "u1",
        "task": "classification",
        "prompt_length": 24,
        "prompt_hash": row["prompt_hash"],
        "temperature": 0.1,
        "max_tokens": 20,
        "model_requested": "gpt-4o",
        "provider_used": "openai",
        "provider_model": "gpt-4o-2024-08-06",
        "status": "success",
        "response_content_length": 11,
        "tokens_used": 34,
        "error_message": None,
        "error_code": None,
        "retry_count": 0,
        "fallback_used": None,
        "confidence_score": None,
        "user_feedback": None,
        "correction_applied": None,
        "request_metadata": {"document": 7},
        "response_metadata": {
            "attempts": 1,
            "finish_reason": "stop",
            "input_tokens": 30,
            "output_tokens": 4,
        },
    }
    assert rows(database, AIErrorRecovery) == []
    assert rows(database, AIErrorAnalysis) == []


def test_an_exception_that_leaves_the_block(database: Database, recorder: Recorder) -> None:
    error = TimeoutError("the provider did not answer in 30 s")
    with (
        pytest.raises(TimeoutError) as caught,
        recorder.call(task="chat", provider="ollama", model="llama3.2"),
    ):
        raise error
    assert caught.value is error
    assert recorder.flush()
    (row,) = rows(database, AIRequestLog)
    assert (row["status"], row["error_code"]) == ("timeout", "timeout")
    assert row["error_message"] == "the provider did not answer in 30 s"
    assert (row["provider_used"], row["provider_model"], row["fallback_used"]) == ("ollama", "llama3.2", None)
    (pattern,) = rows(database, AIErrorAnalysis)
    assert (pattern["error_pattern"], pattern["error_code"]) == ("ollama_timeout", "timeout")
    assert pattern["occurrence_count"] == 1
    assert pattern["probable_cause"]
    assert pattern["suggested_action"]


def test_a_fallback_that_the_host_did_itself(database: Database, recorder: Recorder) -> None:
    with recorder.call(
        task="chat", provider="openai", model="gpt-4o", prompt="hola", tenant_id="acme"
    ) as call:
        error = TimeoutError("it took longer than 30 s")
        call.step("fallback", action="ollama -> openai", error=error, successful=True, time_ms=640)
        call.finish(RESPONSE)
    assert recorder.flush()
    (row,) = rows(database, AIRequestLog)
    assert (row["status"], row["provider_used"], row["fallback_used"]) == ("fallback", "openai", "openai")
    assert (row["error_code"], row["retry_count"]) == (None, 0)
    (step,) = rows(database, AIErrorRecovery)
    assert step["request_log_id"] == row["id"]
    assert (step["strategy_name"], step["step_number"], step["action_taken"]) == (
        "fallback",
        1,
        "ollama -> openai",
    )
    assert (step["was_successful"], step["recovery_time_ms"]) == ("true", 640)
    assert step["recovery_result"]["trigger"]["pattern"] == "ollama_timeout"
    (pattern,) = rows(database, AIErrorAnalysis)
    assert (pattern["error_pattern"], pattern["occurrence_count"]) == ("ollama_timeout", 1)


def test_feedback_reaches_its_call(database: Database, recorder: Recorder) -> None:
    with recorder.call(task="chat", provider="openai", tenant_id="acme", request_id="req-1"):
        pass
    recorder.feedback("req-1", "thumbs_down", tenant_id="acme", correction="invoice, not receipt")
    recorder.feedback("req-1", "thumbs_up", tenant_id="globex")
    assert recorder.flush()
    (row,) = rows(database, AIRequestLog)
    assert (row["user_feedback"], row["correction_applied"]) == ("thumbs_down", "invoice, not receipt")


def test_no_column_of_any_table_holds_a_secret(database: Database, recorder: Recorder) -> None:
    error = RuntimeError(
        f"401: Incorrect API key provided: {KEY}; tried https://ana:hunter2@proxy.example/v1"
    )
    call = recorder.call(
        task="chat",
        provider="openai",
        prompt=f"my key is {KEY}",
        metadata={"api_key": "hunter2", "headers": {"Authorization": f"Bearer {KEY}"}, "note": KEY},
    )
    result = {"key": KEY, "password": "hunter2"}
    call.step("retry", action=f"with {KEY}", error=error, successful=False, result=result)
    call.fail(error, metadata={"said": f"api_key={KEY}"})
    assert recorder.flush()
    stored = repr([rows(database, model) for model in (AIRequestLog, AIErrorRecovery, AIErrorAnalysis)])
    assert "Incorrect API key" in stored
    assert KEY not in stored
    assert "hunter2" not in stored
    assert _rows_of(database, Base.metadata.tables["cajanegra_contents"]) == []


def _rows_of(database: Database, table: Table) -> list[Any]:
    with database.engine.connect() as connection:
        return list(connection.execute(select(table)))


def test_a_database_that_was_away_gets_everything_when_it_is_back(database: Database) -> None:
    away = [StorageError("the database cannot be reached")] * 5

    def open_store() -> CallStore:
        if away:
            raise away.pop()
        return Store(Database(url_of(database)))

    with recorder_to(open_store) as recorder:
        for number in range(50):
            recorder.call(task="chat", provider="openai", request_id=f"req-{number}").finish(text="hola")
        assert recorder.flush(10)
    assert len(rows(database, AIRequestLog)) == 50
    assert recorder.dropped == 0


def test_a_database_that_only_reads_for_now_refuses_no_record(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        statement = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on")
        connection.execute(statement.format(sql.Identifier(connection.info.dbname)))
    batch = Batch([call_record("req-1")])
    store = Store(Database(postgres_url))
    with pytest.raises(StorageError) as caught:
        store.write([store.prepare(batch)])
    store.close()
    assert not isinstance(caught.value, RejectedError)


WARM_UP = "warm-up"
"""A call that brings the writer to the database: on a busy machine its imports take longer than an end waits."""


def run(database: Database, script: str, *, code: int = 0, warm: bool = True) -> str:
    """Run a script that has ``recorder`` and ``call(name)``; returns what it said.

    Args:
        database: records there.
        script: what the process does.
        code: how it must end.
        warm: whether the writer has already written a call when the script begins.
    """
    prelude = f"""
        import os, sys, threading
        from cajanegra import Recorder, Settings
        recorder = Recorder(Settings(database={{"url": {url_of(database)!r}}}, providers=[]))
        def call(name):
            with recorder.call(task="chat", provider="openai", request_id=name) as call:
                call.finish(text="hola")
        if {warm}:
            call({WARM_UP!r})
            assert recorder.flush(30)
    """
    text = textwrap.dedent(prelude) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def recorded(database: Database) -> list[str]:
    return sorted(row["request_id"] for row in rows(database, AIRequestLog) if row["request_id"] != WARM_UP)


def the_row(database: Database, request_id: str) -> dict[str, Any]:
    """The one call that was recorded, beside the warm-up."""
    assert recorded(database) == [request_id]
    return next(row for row in rows(database, AIRequestLog) if row["request_id"] == request_id)


@pytest.mark.parametrize(
    ("ending", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise SystemExit", 0), ("1 / 0", 1), ("recorder.close()", 0)],
)
def test_nothing_in_the_queue_is_lost_when_a_process_ends(database: Database, ending: str, code: int) -> None:
    script = f"""
        for number in range(300):
            call(f"req-{{number:03}}")
        {ending}
    """
    run(database, script, code=code)
    assert recorded(database) == [f"req-{number:03}" for number in range(300)]


def test_a_process_that_ends_at_once_loses_nothing(database: Database) -> None:
    run(database, 'call("req-1")', warm=False)
    settings = Settings(database={"url": url_of(database)}, providers=[])
    bootstrap.new_drainer(settings).drain(timeout=30)  # where its end was over before the writer had begun
    assert recorded(database) == ["req-1"]


def test_calls_of_other_threads_and_of_the_end_itself_are_recorded(database: Database) -> None:
    script = """
        import atexit
        atexit.register(call, "at-exit")
        threads = [threading.Thread(target=call, args=(f"thread-{number}",)) for number in range(5)]
        for thread in threads:
            thread.start()
    """
    run(database, script)
    assert recorded(database) == ["at-exit", *(f"thread-{number}" for number in range(5))]


def test_a_call_that_is_open_at_the_end_is_interrupted(database: Database) -> None:
    run(database, 'left = recorder.call(task="chat", provider="openai", request_id="open")')
    row = the_row(database, "open")
    assert (row["status"], row["error_code"]) == ("error", "interrupted")


def test_a_fork_writes_its_own_calls_and_nobody_elses(database: Database) -> None:
    script = """
        call("before-1")
        assert recorder.flush(30)
        call("before-2")  # is still in the queue
        child = os.fork()
        call("child" if child == 0 else "parent")
        if child == 0:
            assert recorder.flush(30)
            grandchild = os.fork()
            if grandchild == 0:
                call("grandchild")
                recorder.close()
                os._exit(0)
            assert os.waitpid(grandchild, 0)[1] == 0
            call("child-again")
            sys.exit(0)  # as a process ends: what is left in its queue is written
        assert os.waitpid(child, 0)[1] == 0
    """
    run(database, script)
    assert recorded(database) == ["before-1", "before-2", "child", "child-again", "grandchild", "parent"]


def test_a_closed_recorder_stays_closed_in_a_fork(database: Database) -> None:
    script = """
        recorder.close()
        child = os.fork()
        if child == 0:
            call("late")
            print(recorder.dropped, flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    assert run(database, script).startswith("1\n")
    assert recorded(database) == []


def test_a_fork_in_the_middle_of_a_call_does_not_end_it_twice(database: Database) -> None:
    script = """
        with recorder.call(task="chat", provider="openai", request_id="req-1") as call:
            child = os.fork()
            if child == 0:
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            call.finish(text="hola")
    """
    run(database, script)
    row = the_row(database, "req-1")
    assert (row["status"], row["response_content_length"]) == ("success", 4)


def test_an_unreachable_database_delays_the_end_for_no_longer_than_the_timeout(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = Database(f"sqlite:///{tmp_path / 'file' / 'calls.db'}")
    said = run(database, 'call("req-1"); recorder.close(5); print("dropped:", recorder.dropped)', warm=False)
    assert "dropped: 0\n" in said
    assert "stay in the spool" in said
    assert "cannot be made" in said
    assert "Traceback" not in said


def test_a_recorder_needs_neither_sql_nor_http_to_be_made(tmp_path: Path) -> None:
    script = """
        import json
        heavy = ["sqlalchemy", "alembic", "psycopg", "aiohttp", "httpx", "click"]
        print(json.dumps([name for name in heavy if name in sys.modules]))
    """
    assert json.loads(run(Database(f"sqlite:///{tmp_path / 'calls.db'}"), script, warm=False)) == []
