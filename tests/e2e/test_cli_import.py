"""``cajanegra logs import``: what ``logs export`` wrote, and what others did, into both kinds of database."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cajanegra import Recorder, Settings
from cajanegra.storage.database import Database
from cajanegra.storage.tables import ERROR_ANALYSIS, ERROR_RECOVERY, REQUEST_LOGS
from command import Command

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"  # noqa: S105 - invented
OWN_TIMES = ("id", "created_at", "updated_at")
"""Of a pattern: when its row was made and changed, which is a database's own matter."""


@pytest.fixture
def cajanegra(tmp_path: Path, database: Database) -> Command:
    """The command on a fresh database of either kind."""
    url = database.url.set(drivername=database.dialect).render_as_string(hide_password=False)
    return Command(tmp_path, url)


@pytest.fixture
def source(tmp_path: Path) -> Command:
    """The command on a database with calls of every kind."""
    url = f"sqlite:///{tmp_path / 'source.db'}"
    with Recorder(Settings(database={"url": url})) as recorder:
        _record(recorder)
        recorder.flush(10)
        recorder.feedback("answered", "thumbs_down", tenant_id="acme", correction="=cmd|'/c calc'!A1")
    return Command(tmp_path, url)


def _record(recorder: Recorder) -> None:
    def call(request_id: str, tenant_id: str = "acme", provider: str = "openai") -> Any:
        return recorder.call(
            task="chat",
            provider=provider,
            model="gpt-4o",
            prompt="Hola",
            tenant_id=tenant_id,
            request_id=request_id,
            temperature=0.25,
            metadata={"note": 'ñ, "quoted"\nand more', "deep": {"list": [1, None, 2.5]}},
        )

    with call("answered") as answered:
        answered.finish(text="Buenas", tokens_used=7, confidence=0.5)
    with call("recovered", provider="ollama") as recovered:
        recovered.step("retry", action="again", error=TimeoutError("timed out"), successful=False, time_ms=5)
        recovered.step(
            "fallback",
            action="ollama -> openai",
            error=OSError("refused"),
            successful=True,
            provider="openai",
        )
        recovered.finish(text="Buenas")
    for tenant in ("acme", "globex"):
        with pytest.raises(RuntimeError), call("shared", tenant):
            raise RuntimeError(f"429 Rate limit reached, key {SECRET}, user ana@example.com")
    with pytest.raises(RuntimeError), call("strange"):
        raise RuntimeError("\n=1+1 the flux capacitor is empty")
    call("interrupted")


def _rows(database: Database) -> dict[str, list[Any]]:
    logs, steps, patterns = REQUEST_LOGS, ERROR_RECOVERY, ERROR_ANALYSIS
    joined = steps.join(logs, logs.c.id == steps.c.request_log_id)
    with database.engine.connect() as connection:
        return {
            "calls": _read(
                connection, select(*[c for c in logs.c if c.name != "id"]).order_by(logs.c.request_id)
            ),
            "steps": _read(
                connection,
                select(logs.c.request_id, *[c for c in steps.c if c.name not in ("id", "request_log_id")])
                .select_from(joined)
                .order_by(logs.c.request_id, steps.c.step_number),
            ),
            "patterns": _read(
                connection,
                select(*[c for c in patterns.c if c.name not in OWN_TIMES]).order_by(
                    patterns.c.error_pattern
                ),
            ),
        }


def _read(connection: Any, query: Any) -> list[Any]:
    return [dict(row) for row in connection.execute(query).mappings()]


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_what_is_exported_is_the_same_where_it_is_imported(
    form: str, source: Command, cajanegra: Command, database: Database
) -> None:
    exported = source("logs", "export", "--format", form)
    assert exported.code == 0
    assert SECRET not in exported.out
    with Database(source.environment["CAJANEGRA_DATABASE__URL"]) as there:
        expected = _rows(there)
    assert len(expected["calls"]) == 6
    assert len(expected["steps"]) == 2
    assert len(expected["patterns"]) >= 4
    for new, known in ((6, 0), (0, 6)):  # the second time changes nothing
        done = cajanegra("logs", "import", "-", "--json", stdin=exported.out)
        assert (done.code, done.err) == (0, "")
        assert (done.json["new"], done.json["known"], done.json["refused"]) == (new, known, 0)
        assert _rows(database) == expected


def test_lines_that_cannot_be_read_are_named_and_the_others_imported(
    cajanegra: Command, database: Database
) -> None:
    lines = [
        json.dumps({"provider": "openai", "error": {"message": "Rate limit reached"}, "status": 429}),
        "not json",
        json.dumps({"provider_used": "openai", "status": "failed"}),
        json.dumps({"startTime": "2026-11-20T10:00:00Z", "spend": 0, "model": "openai/m", "total_tokens": 3}),
        json.dumps({"hello": "world"}),
    ]
    packed = cajanegra.directory / "mixed.ndjson.gz"
    packed.write_bytes(gzip.compress("\n".join(lines).encode()))
    done = cajanegra("logs", "import", str(packed))
    assert done.code == 1
    assert "Imported 2 new calls." in done.out
    assert "Refused 3 lines" in done.out
    assert "openai_rate_limit" in done.out
    assert [line.split(":")[0] for line in done.err.splitlines()] == [
        "line 2 is not a JSON object",
        "line 3 status",
        "line 5 is of no known format",
    ]
    assert len(_rows(database)["calls"]) == 2


def test_calls_without_id_and_time_are_known_by_their_content(cajanegra: Command, database: Database) -> None:
    failures = "".join(
        f"{json.dumps({'provider': 'ollama', 'message': f'connect: connection refused {number}'})}\n"
        for number in range(3)
    )
    for new in (3, 0):
        done = cajanegra("logs", "import", "-", "--json", stdin=failures + failures)
        assert done.json["new"] == new
    rows = _rows(database)
    assert len(rows["calls"]) == 3
    assert [row["occurrence_count"] for row in rows["patterns"]] == [3]
    assert {row["request_metadata"]["changed"]["created_at"] for row in rows["calls"]} == {"unknown"}


def test_a_tenant_is_given_and_another_one_refused(cajanegra: Command, database: Database) -> None:
    lines = [
        {"provider_used": "openai", "request_id": "a"},
        {"provider_used": "openai", "request_id": "b", "tenant_id": "globex"},
        {"startTime": "2026-11-20T10:00:00Z", "spend": 0, "request_id": "c", "team_id": "team-1"},
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    done = cajanegra("logs", "import", "-", "--tenant", "acme", stdin=text)
    assert done.code == 1
    assert done.err == "line 2 tenant_id: it belongs to 'globex', not to 'acme'\n"
    calls = _rows(database)["calls"]
    assert [(row["request_id"], row["tenant_id"]) for row in calls] == [("a", "acme"), ("c", "acme")]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    cajanegra = Command(tmp_path, f"sqlite:///{tmp_path / 'calls.db'}")
    line = json.dumps({"provider": "openai", "message": "Request timed out."})
    done = cajanegra("logs", "import", "-", "--dry-run", stdin=line)
    assert done.code == 0
    assert "Would import 1 call" in done.out
    assert "openai_timeout" in done.out
    assert not (tmp_path / "calls.db").exists()


def test_a_file_that_is_not_there_is_bad_usage(tmp_path: Path) -> None:
    done = Command(tmp_path)("logs", "import", "nowhere.ndjson")
    assert done.code == 2
    assert "No such file" in done.err


def test_an_empty_tenant_is_bad_usage(tmp_path: Path) -> None:
    done = Command(tmp_path)("logs", "import", "-", "--tenant", "", stdin='{"error": "x"}')
    assert done.code == 2
    assert "--tenant is empty" in done.err


def test_a_database_that_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database at all " * 100)
    done = Command(tmp_path, f"sqlite:///{text}")("logs", "import", "-", stdin='{"error": "x"}\n')
    assert done.code == 1
    assert "Traceback" not in done.err
