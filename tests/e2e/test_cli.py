"""Every command, as a person and as a program would use it, on both databases."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import select
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from cajanegra.models import AIRequestLog
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from command import Command
from records import call_record, recovered_call, write_now

BEGUN = datetime.now(UTC) - timedelta(minutes=5)


@pytest.fixture
def url(database: Database) -> str:
    """A database with a recovered call, a failed one and an old one."""
    calls = [
        recovered_call(
            "good-1",
            created_at=BEGUN,
            module="imports",
            processing_time_ms=1234,
            tokens_used=50,
            prompt="what is it?",
            answer="an invoice",
        ),
        call_record(
            "bad-1",
            tenant_id="globex",
            status="error",
            error_code="auth",
            error_message="=cmd|' /C calc'!A0",
            created_at=BEGUN + timedelta(seconds=1),
            response_metadata={"attempts": 1, "patterns": ["openai_auth"]},
        ),
        call_record("old-1", created_at=BEGUN - timedelta(days=30)),
    ]
    write_now(database, *calls)
    return database.url.render_as_string(hide_password=False)


@pytest.fixture
def run(url: str, tmp_path: Path) -> Command:
    return Command(tmp_path, url)


def test_calls_are_listed_for_people_and_for_programs(run: Command) -> None:
    shown = run("logs", "list")
    assert shown.code == 0
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    assert shown.out.index("bad-1") < shown.out.index("good-1") < shown.out.index("old-1")
    wide = run("logs", "list", columns=140)
    assert "imports" in wide.out
    items = run("logs", "list", "--json").json["items"]
    assert [item["request_id"] for item in items] == ["bad-1", "good-1", "old-1"]
    assert items[0]["created_at"].endswith("Z")


def test_filters_and_cursors_lead_through_the_list(run: Command) -> None:
    def ids(*options: str) -> list[str]:
        return [item["request_id"] for item in run("logs", "list", "--json", *options).json["items"]]

    assert ids("--status", "error") == ["bad-1"]
    assert ids("--since", "1h") == ["bad-1", "good-1"]
    assert ids("--until", "7d") == ["old-1"]
    assert ids("--tenant", "globex", "--error-code", "auth") == ["bad-1"]
    assert ids("--pattern", "ollama_timeout") == ["good-1"]
    first = run("logs", "list", "--json", "--limit", "2").json
    assert ids("--cursor", first["next_cursor"]) == ["old-1"]


def test_one_call_is_shown_in_full(run: Command) -> None:
    shown = run("logs", "show", "good-1").out
    for word in (
        "imports",
        "1,234 ms",
        "1. ✓ fallback: ollama -> openai",
        "Probably: It is slow.",
        "What to do: Wait.",
    ):
        assert word in shown
    assert "an invoice" in shown
    detail = run("logs", "show", "good-1", "--json").json
    assert (detail["request_id"], len(detail["steps"]), detail["answer"]) == ("good-1", 1, "an invoice")
    assert run("logs", "show", "bad-1", "--tenant", "acme").code == 1


def test_statistics_add_up(run: Command) -> None:
    found = run("logs", "stats", "--json").json
    assert (found["total"], found["answered"], found["recovered"], found["failed"]) == (3, 2, 1, 1)
    shown = run("logs", "stats").out
    assert "after recovery  1  (33.3%)" in shown


def test_export_is_safe_for_spreadsheets_and_complete_for_programs(run: Command, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("logs", "export", "--format", "csv").out)))
    assert [row["request_id"] for row in rows] == ["bad-1", "good-1", "old-1"]
    assert rows[0]["error_message"] == "'=cmd|' /C calc'!A0"
    assert run("logs", "export", "--limit", "1").out.count("\n") == 1
    target = tmp_path / "calls.ndjson"
    assert run("logs", "export", "--output", str(target)).code == 0
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert lines[0]["error_message"] == "=cmd|' /C calc'!A0"
    assert lines[1]["response_metadata"]["patterns"] == ["ollama_timeout"]


def test_a_closed_pipe_is_quiet(run: Command) -> None:
    script = f"{shlex.quote(sys.executable)} -m cajanegra logs export | true"
    done = subprocess.run(
        ["/bin/sh", "-c", script], check=False, capture_output=True, env=run.environment, cwd=run.directory
    )
    assert done.stderr == b""


def test_tail_shows_what_is_written_meanwhile(run: Command, database: Database) -> None:
    with _tail(run, "--tenant", "acme") as tail:
        seen = _seen_by(tail, database)
        _end(tail)
    assert seen.startswith("new-")


def test_tail_misses_no_call_that_is_committed_after_a_later_one(tmp_path: Path, postgres_url: str) -> None:
    with Database(postgres_url) as database:
        run = Command(tmp_path, database.url.render_as_string(hide_password=False))
        with _tail(run) as tail:
            _seen_by(tail, database)
            with database.engine.begin() as slow:
                values = {"request_id": "slow", "task": "t", "prompt_length": 1, "provider_used": "p"}
                slow.execute(insert(AIRequestLog).values(values))
                write_now(database, call_record("quick"))
            shown = [_line(tail)]
            while shown[-1] != "quick":
                shown.append(_line(tail))
            _end(tail)
    assert shown[-2:] == ["slow", "quick"]
    assert len(set(shown)) == len(shown)


def test_patterns_are_listed_shown_and_decided_upon(run: Command) -> None:
    assert [row["error_pattern"] for row in run("errors", "list", "--json").json] == ["ollama_timeout"]
    assert "ollama_timeout" in run("errors", "list").out
    shown = run("errors", "show", "ollama_timeout").out
    assert "It is slow." in shown
    assert "good-1" in shown
    assert "100.0%" in shown
    assert run("errors", "resolve", "ollama_timeout").out == "ollama_timeout is resolved\n"
    assert run("errors", "list", "--status", "open", "--json").json == []
    assert run("errors", "wontfix", "ollama_timeout", "--json").json["resolution_status"] == "wontfix"
    assert run("errors", "reopen", "ollama_timeout", "--json").json["resolved_at"] is None


def test_recoveries_are_counted(run: Command) -> None:
    (row,) = run("recoveries", "stats", "--json").json
    assert (row["strategy_name"], row["pattern"], row["success_rate"]) == ("fallback", "ollama_timeout", 1.0)
    assert "100%" in run("recoveries", "stats").out


def test_cleanup_deletes_what_is_old(run: Command) -> None:
    assert run("cleanup", "--days", "7", "--dry-run").out.startswith("Would delete 1 call older than 7 days")
    assert run("cleanup", "--json").json == {
        "calls": 1,
        "steps": 0,
        "contents": 0,
        "rollups": 0,
        "partitions": 0,
        "freed_bytes": 0,
        "state": "done",
        "links": 0,
        "counts": 0,
        "dry_run": False,
        "days": 7,
    }
    assert run("cleanup", "--days", "7").out.startswith("Deleted 0 calls older than 7 days")
    assert len(run("logs", "list", "--json").json["items"]) == 2
    assert run("logs", "stats", "--json").json["total"] == 3  # what was counted outlives the calls


def test_the_tables_are_verified_measured_and_named(run: Command) -> None:
    assert run("db", "verify").out.endswith("all as they must be.\n")
    assert run("db", "current", "--json").json["revision"] == migrate.head()
    assert run("db", "upgrade").out.startswith("Nothing to do")
    sizes = {row["table"]: row["rows"] for row in run("db", "sizes", "--json").json}
    assert sizes["ai_request_logs"] == 3
    assert "CREATE TABLE IF NOT EXISTS ai_request_logs" in run("db", "sql").out


def test_a_backup_brings_everything_back(run: Command, tmp_path: Path) -> None:
    file = str(tmp_path / "calls.backup")
    assert run("db", "backup", file).code == 0
    assert run("db", "backup", file).code != 0
    assert run("cleanup", "--days", "0").code == 0
    assert run("db", "restore", file, "--force").code == 0
    assert run("logs", "stats", "--json").json["total"] == 3


def test_downgrade_keeps_rows_unless_told_otherwise(run: Command) -> None:
    refused = run("db", "downgrade", "base")
    assert refused.code == 1
    assert "--drop-data" in refused.err
    assert run("db", "downgrade", "base", "--drop-data", "--yes").code == 0
    verified = run("db", "verify")
    assert verified.code == 1
    assert "missing" in verified.out


def test_doctor_finds_and_mends(run: Command) -> None:
    report = run("doctor", "--json")
    assert report.code == 0
    assert {check["name"] for check in report.json} >= {
        "settings",
        "connection",
        "tables",
        "indexes",
        "providers",
    }
    run.environment["CAJANEGRA_PROVIDERS"] = (
        '[{"name": "ollama", "base_url": "http://127.0.0.1:9", "kind": "ollama"}]'
    )
    down = run("doctor")
    assert down.code == 1
    assert "✗ failed   provider ollama: 127.0.0.1:9: Connection refused" in down.out
    assert "mend: start it with 'ollama serve'" in down.out


def test_the_database_on_the_command_line_is_also_the_one_read_from(run: Command, tmp_path: Path) -> None:
    url = run.environment.pop("CAJANEGRA_DATABASE__URL")
    run.environment["CAJANEGRA_DATABASE__READ_URL"] = f"sqlite:///{tmp_path / 'replica.db'}"
    assert run("logs", "stats", "--json", "--db", url).json["total"] == 3
    assert run("--db", url, "logs", "stats", "--json").json["total"] == 3
    assert run("logs", "stats", "--json").json["total"] == 0


def test_what_is_shown_cannot_command_the_terminal(run: Command, database: Database) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\u202e"
    record = call_record(
        "evil-1", tenant_id=evil, module=evil, error_code=evil, error_message=evil, prompt=evil, answer=evil
    )
    write_now(database, record)
    for arguments in (["logs", "list"], ["logs", "show", "evil-1"], ["logs", "stats"]):
        shown = run(*arguments, columns=200).out
        assert "evil-1" in shown or "title" in shown
        assert not any(mark in shown for mark in "\x1b\x07\u202e")


@pytest.mark.parametrize("columns", [80, 100, 120, 160])
def test_lists_fit_the_terminal(run: Command, database: Database, columns: int) -> None:
    usual = {"provider_used": "ovhcloud", "module": "incidents", "processing_time_ms": 61_234}
    request_id = "01932c2e-7b5a-7def-9abc-0123456789ab"
    write_now(database, recovered_call(request_id, **usual, task="classification"))
    shown = run("logs", "list", columns=columns).out.splitlines()
    assert max(map(len, shown)) <= columns
    assert any(line.endswith(request_id) for line in shown)


def test_a_new_sqlite_file_has_no_calls_yet(tmp_path: Path) -> None:
    run = Command(tmp_path, f"sqlite:///{tmp_path / 'new.db'}")
    assert run("logs", "list").out == "No calls yet. Try: cajanegra demo\n"
    assert run("logs", "list", "--tenant", "acme").out.startswith("No calls match.")
    assert run("errors", "list").out == "Nothing has failed yet.\n"


def test_help_is_there_for_every_command(tmp_path: Path) -> None:
    run = Command(tmp_path)
    shown = run("--help").out
    for command in ("chat", "cleanup", "db", "demo", "doctor", "errors", "logs", "recoveries"):
        assert f"  {command} " in shown
        assert run(command, "--help").code == 0
    assert run("--version").out.startswith("cajanegra ")


def test_colours_are_for_terminals_that_want_them(run: Command) -> None:
    del run.environment["NO_COLOR"]
    assert b"\x1b[36mfallback\x1b[0m" in _on_a_terminal(run)
    run.environment["NO_COLOR"] = "1"
    shown = _on_a_terminal(run)
    assert b"fallback" in shown
    assert b"\x1b" not in shown


def _on_a_terminal(run: Command) -> bytes:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        command = [sys.executable, "-m", "cajanegra", "logs", "list"]
        with subprocess.Popen(command, stdout=theirs, env=run.environment, cwd=run.directory):
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # Linux says so that the other side has closed
                while piece := terminal.read(4096):
                    shown += piece
        return shown


def _tail(run: Command, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cajanegra", "logs", "tail", "--json", "--interval", "0.1", *options]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=run.environment,
        cwd=run.directory,
    )


def _seen_by(tail: subprocess.Popen[str], database: Database) -> str:
    """Write calls until the tail, which shows what comes after it has begun, shows one."""
    assert tail.stdout is not None
    for number in range(200):
        others = call_record(f"x-{number}", tenant_id="globex")
        write_now(database, others, call_record(f"new-{number}"))
        if select.select([tail.stdout], [], [], 0.1)[0]:
            return _line(tail)
    raise AssertionError("the tail shows nothing")


def _line(tail: subprocess.Popen[str]) -> str:
    assert tail.stdout is not None
    return str(json.loads(tail.stdout.readline())["request_id"])


def _end(tail: subprocess.Popen[str]) -> None:
    tail.send_signal(signal.SIGINT)
    _out, err = tail.communicate(timeout=20)
    assert (tail.returncode, err) == (0, "")
