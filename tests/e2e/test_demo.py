"""The demonstration as its user sees it, and as its database has it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from sqlalchemy import text

from cajanegra.storage.database import Database
from command import Command

CALLS = "60"


def _rows(database: Database, query: str) -> list[dict[str, Any]]:
    with database.engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


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
    assert len(commands) >= 4
    for command in commands:
        words = shlex.split(command)
        shown = run(*words[words.index("--db") :])
        assert shown.code == 0, command
        assert shown.out
