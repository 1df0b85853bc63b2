"""The demonstration as its user sees it, and as its database has it."""

from __future__ import annotations

import contextlib
import http.client
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cajanegra.storage.database import Database
from command import Command

CALLS = "60"


def _rows(database: Database, query: str) -> list[dict[str, Any]]:
    with database.engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """Not the database that it makes for itself."""
    with Database(postgres_url) as database:
        yield database


@pytest.mark.postgres
def test_every_call_is_recorded_and_the_numbers_are_those_of_sql(tmp_path: Path, database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    done = Command(tmp_path, url)("demo", "--no-serve", "--json", "--calls", CALLS, "--db", url)
    assert done.code == 0, done.err
    shown = done.json
    assert (shown["asked"], shown["recorded"], shown["missing"]) == (60, 60, [])
    assert shown["findings"] == []
    statuses = _rows(database, "SELECT status, count(*) AS n FROM ai_request_logs GROUP BY status")
    assert shown["by_status"] == {row["status"]: row["n"] for row in statuses}
    assert shown["answered"] == sum(row["n"] for row in statuses if row["status"] in ("success", "fallback"))
    steps = _rows(
        database, "SELECT strategy_name, count(*) AS n FROM ai_error_recovery GROUP BY strategy_name"
    )
    counted = {effect["strategy"]: effect["steps"] for effect in shown["effects"]}
    assert counted == {row["strategy_name"]: row["n"] for row in steps}
    assert set(counted) == {"retry", "fallback", "simplify"}
    patterns = _rows(database, "SELECT error_pattern, occurrence_count FROM ai_error_analysis")
    assert {pattern["pattern"]: pattern["failures"] for pattern in shown["patterns"]} == {
        row["error_pattern"]: row["occurrence_count"] for row in patterns
    }
    (failures,) = _rows(
        database,
        "SELECT (SELECT count(*) FROM ai_error_recovery)"
        " + (SELECT count(*) FROM ai_request_logs WHERE error_code IS NOT NULL) AS n",
    )
    assert shown["failures"] == failures["n"]
    assert {
        row["tenant_id"] for row in _rows(database, "SELECT DISTINCT tenant_id FROM ai_request_logs")
    } == {
        "acme",
        "globex",
        "initech",
    }
    # A second one into the same database speaks of its own calls alone.
    again = Command(tmp_path, url)("demo", "--json", "--calls", "20", "--db", url).json
    assert again["recorded"] == 20
    assert _rows(database, "SELECT count(*) AS n FROM ai_request_logs") == [{"n": 80}]


def test_the_summary_leads_on_to_commands_that_work(tmp_path: Path) -> None:
    run = Command(tmp_path)
    done = run("demo", "--calls", CALLS, columns=100)
    assert done.code == 0, done.err
    assert "✓ all 60 calls are in the database" in done.out
    assert "0 errors found in the client by the simulator" in done.out
    commands = [line.strip() for line in done.out.splitlines() if " --db sqlite:///" in line]
    assert len(commands) >= 5
    for command in commands:
        if command.endswith(" serve"):
            continue
        words = shlex.split(command)
        shown = run(*words[words.index("--db") :])
        assert shown.code == 0, command
        assert shown.out


def test_in_a_terminal_it_serves_what_it_has_recorded(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cajanegra", "demo", "--calls", "20"],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env=Command(tmp_path).environment,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    try:
        while (found := re.search(rb"serves http://127.0.0.1:(\d+)", said)) is None:
            said += os.read(ours, 4096)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)) as client:
            client.request("GET", "/health/live")
            assert client.getresponse().status == 200
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # its end, on a terminal
            while os.read(ours, 4096):
                pass
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
