"""``errors correct``, and what ``errors show`` says about corrections and about what has helped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from cajanegra.storage.database import Database
from command import Command
from records import occurrence, recovered_call, step_record, write_now

BEGUN = datetime.now(UTC) - timedelta(minutes=5)
SETTINGS = """
[[providers]]
name = "ollama"
kind = "ollama"
base_url = "http://127.0.0.1:11434"
models = ["llama3.2"]

[[providers]]
name = "openai"
base_url = "https://api.openai.com/v1"
models = ["gpt-4o-mini"]

[models.large]
openai = "gpt-4o"
"""


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Command:
    """A database with two patterns, of which one was recovered in several ways."""
    result = {"trigger": {"pattern": "ollama_timeout"}, "provider": "openai", "model": "gpt-4o-mini"}
    retry = {"trigger": {"pattern": "ollama_timeout"}, "provider": "ollama", "model": "llama3.2"}
    steps = [
        step_record(1, strategy_name="retry", was_successful=False, recovery_result=retry),
        step_record(2, recovery_result={**result, "tokens": 40}, recovery_time_ms=640),
    ]
    calls = [
        recovered_call(f"call-{i}", created_at=BEGUN, steps=steps, occurrences=[occurrence(at=BEGUN)])
        for i in range(4)
    ]
    failed = recovered_call(
        "call-9", created_at=BEGUN, steps=[], occurrences=[occurrence("openai_auth", BEGUN)]
    )
    write_now(database, *calls, failed)
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE ai_error_analysis SET error_code = 'auth' WHERE error_pattern = 'openai_auth'")
        )
    (tmp_path / "cajanegra.toml").write_text(SETTINGS, encoding="utf-8")
    return Command(tmp_path, database.url.render_as_string(hide_password=False))


def test_a_correction_is_set_shown_and_taken_back(run: Command) -> None:
    done = run("errors", "correct", "ollama_timeout", "--strategy", "fallback", "--set", "provider=openai")
    assert (done.code, done.err) == (0, "")
    assert done.out == "ollama_timeout is corrected from now on: fall back to openai\n"
    shown = run("errors", "show", "ollama_timeout")
    assert "Correction\n  fall back to openai\n" in shown.out
    row = run("errors", "show", "ollama_timeout", "--json").json
    assert (row["auto_correction_enabled"], row["correction_config"]) == ("fallback", {"provider": "openai"})
    assert row["correction_ignored"] is None
    off = run("errors", "correct", "ollama_timeout", "--off", "--json")
    assert off.json == {
        "error_pattern": "ollama_timeout",
        "auto_correction_enabled": None,
        "correction_config": None,
    }
    assert "Correction" not in run("errors", "show", "ollama_timeout").out


def test_show_tells_what_has_helped_how_fast_and_how_sure_that_is(run: Command) -> None:
    shown = run("errors", "show", "ollama_timeout", columns=120)
    fallback, retry = (
        next(line.split() for line in shown.out.splitlines() if line.startswith(word))
        for word in ("fallback", "retry")
    )
    assert fallback == [
        *("fallback", "openai/gpt-4o-mini", "4", "100.0%", "51%", "to", "100%", "640", "640", "40", "-")
    ]
    assert retry[:4] == ["retry", "-", "4", "0.0%"]
    assert all(len(line) <= 80 for line in run("errors", "show", "ollama_timeout").out.splitlines())
    best, _ = run("errors", "show", "ollama_timeout", "--json").json["recoveries"]
    assert (best["steps"], best["successes"], best["p95_ms"], best["tokens"]) == (4, 4, 640, 40)
    assert 0.5 < best["lowest"] < 0.52
    assert best["highest"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ollama_timeout"], "give either --strategy or --off"),
        (["ollama_timeout", "--off", "--strategy", "retry"], "give either --strategy or --off"),
        (["ollama_timeout", "--off", "--set", "wait=1"], "--set does not go with --off"),
        (["ollama_timeout", "--strategy", "falback"], "'falback' is not one of"),
        (["ollama_timeout", "--strategy", "retry", "--set", "wait"], "write provider=openai"),
        (["ollama_timeout", "--strategy", "retry", "--set", "wait=1", "--set", "wait=2"], "given twice"),
        (["ollama_timeout", "--strategy", "retry", "--set", "wiat=1"], "did you mean 'wait'?"),
        (["ollama_timeout", "--strategy", "fallback", "--set", "provider=azure"], "there is: ollama, openai"),
        (
            [
                "ollama_timeout",
                *["--strategy", "fallback", "--set", "provider=openai", "--set", "model=gpt-5"],
            ],
            "model 'gpt-5' is not configured for openai",
        ),
        (["openai_auth", "--strategy", "retry"], "after auth the same request is never sent again"),
        (["olama_timeout", "--strategy", "retry"], "did you mean 'ollama_timeout'"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_and_changes_nothing(
    run: Command, arguments: list[str], message: str
) -> None:
    done = run("errors", "correct", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert run("errors", "show", "ollama_timeout", "--json").json["auto_correction_enabled"] is None


def test_a_model_of_an_alias_may_be_named(run: Command) -> None:
    arguments = "ollama_timeout --strategy fallback --set provider=openai --set model=gpt-4o"
    assert run("errors", "correct", *arguments.split()).out.endswith("fall back to openai/gpt-4o\n")


def test_show_says_why_what_was_written_by_hand_is_ignored(run: Command, database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(
            text(
                "UPDATE ai_error_analysis SET auto_correction_enabled = 'fallback', "
                """correction_config = '{"provider": "gone"}' WHERE error_pattern = 'ollama_timeout'"""
            )
        )
    shown = run("errors", "show", "ollama_timeout", columns=120)
    assert "fallback is ignored: provider 'gone' is not configured; there is: ollama, openai" in shown.out
    row = run("errors", "show", "ollama_timeout", "--json").json
    assert row["correction_ignored"] == "provider 'gone' is not configured; there is: ollama, openai"
