"""The inbox of error patterns on the command line, beside a process that records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cajanegra import Recorder, Settings
from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.storage.database import Database
from command import Command
from records import call_record, occurrence, recovered_call, write_now

NOW = datetime.now(UTC)


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Command:
    """A pattern that grows, one that is new, and one that is quiet."""
    calls = []
    for pattern, counts in (
        ("ollama_timeout", {day: 30 if day == 0 else 2 for day in range(9)}),
        ("openai_auth", {0: 1}),
        ("ollama_dns", {20: 50}),
    ):
        for day, count in counts.items():
            at = NOW - timedelta(days=day)
            known: dict[str, Any] = {"created_at": at, "occurrences": [occurrence(pattern, at)] * count}
            calls.append(recovered_call(f"{pattern}-{day}", module="imports", **known))
    write_now(database, *calls)
    return Command(tmp_path, database.url.render_as_string(hide_password=False))


@pytest.fixture
def recorder(database: Database, tmp_path: Path) -> Iterator[Recorder]:
    url = database.url.render_as_string(hide_password=False)
    found = Recorder(Settings(database={"url": url}, spool={"dir": str(tmp_path / "spool")}))
    yield found
    found.close()


def _names(found: Any) -> list[str]:
    return [row["error_pattern"] for row in found]


def test_the_list_is_sorted_filtered_and_marked(run: Command) -> None:
    assert _names(run("errors", "list", "--json").json) == ["ollama_dns", "ollama_timeout", "openai_auth"]
    by_trend = run("errors", "list", "--status", "open", "--sort", "trend", "--json").json
    assert _names(by_trend) == ["ollama_timeout", "openai_auth", "ollama_dns"]
    assert [row["marks"] for row in by_trend] == [["escalating"], ["new"], ["quiet"]]
    assert _names(run("errors", "list", "--mark", "quiet", "--json").json) == ["ollama_dns"]
    assert _names(run("errors", "list", "--q", "AUTH", "--json").json) == ["openai_auth"]
    assert run("errors", "list", "--tenant", "globex").out == "No error patterns here.\n"
    shown = run("errors", "list", "--sort", "trend", "--limit", "2")
    assert "escalating" in shown.out
    assert "█" in shown.out
    assert "--limit shows more" in shown.err


def test_a_pattern_is_shown_with_whom_it_hits_and_what_recovered_it(run: Command) -> None:
    found = run("errors", "show", "ollama_timeout", "--json").json
    assert (found["occurrence_count"], found["recovered"], found["recovered_by"]) == (
        46,
        46,
        {"fallback": 46},
    )
    assert (found["tenants"][0]["tenant_id"], found["modules"]) == ("acme", {"imports": 46})
    assert [row["request_id"] for row in found["samples"]][:2] == ["ollama_timeout-0", "ollama_timeout-1"]
    shown = run("errors", "show", "ollama_timeout").out
    assert "30 failures; 2.0 in the same hours of the days before" in shown
    assert "acme 46" in shown
    denied = run("errors", "show", "ollama_timeout", "--tenant", "globex")
    assert (denied.code, "there is no error pattern" in denied.err) == (2, True)


def test_cause_and_action_in_the_other_language(run: Command, database: Database) -> None:
    stored = KnowledgeBase("en").explain("openai", "auth")
    wanted = KnowledgeBase("es").explain("openai", "auth")
    known = occurrence("openai_key")
    write_now(
        database,
        call_record(
            "r",
            occurrences=[
                type(known)(
                    "openai_key", "auth", "<*>", NOW, stored.probable_cause, stored.suggested_action, "openai"
                )
            ],
        ),
    )
    shown = run("errors", "show", "openai_key", "--lang", "es", "--json").json
    assert (shown["probable_cause"], shown["suggested_action"]) == (
        wanted.probable_cause,
        wanted.suggested_action,
    )
    (row,) = run("errors", "list", "--q", "openai_key", "--lang", "es", "--json").json
    assert row["probable_cause"] == wanted.probable_cause
    own = run("errors", "show", "ollama_timeout", "--lang", "es", "--json").json
    assert own["probable_cause"] == "It is slow."  # somebody's own words


def _fail(recorder: Recorder, provider: str) -> None:
    with (
        pytest.raises(TimeoutError),
        recorder.call(task="chat", provider=provider, model="m", prompt="hi", tenant_id="acme"),
    ):
        raise TimeoutError("timed out")
    assert recorder.flush(30)


def test_what_comes_back_after_it_was_resolved_is_marked(run: Command, recorder: Recorder) -> None:
    _fail(recorder, "mistral")
    (name,) = _names(run("errors", "list", "--q", "mistral", "--json").json)
    assert run("errors", "resolve", name).out == f"{name} is resolved\n"
    assert run("errors", "show", name, "--json").json["marks"] == []
    _fail(recorder, "mistral")
    found = run("errors", "show", name, "--json").json
    assert (found["resolution_status"], found["marks"][0]) == ("open", "regressed")
    assert [change["change"] for change in found["changes"]] == ["regressed", "status"]
    assert "failed again, and is open" in run("errors", "show", name).out
    assert run("errors", "resolve", name, "--json").json["regressed_at"] is None


def test_a_merge_holds_for_a_process_that_records_and_a_split_undoes_it(
    run: Command, recorder: Recorder
) -> None:
    for provider in ("mistral", "groq"):
        _fail(recorder, provider)
    groq, mistral = sorted(
        _names(run("errors", "list", "--kind", "timeout", "--mark", "new", "--json").json)
    )[:2]
    assert run("errors", "merge", groq, mistral).out == f"{groq} counts under {mistral} from now on\n"
    _fail(recorder, "groq")
    found = run("errors", "show", groq, "--json").json
    assert (found["error_pattern"], found["occurrence_count"], found["merged"]) == (mistral, 3, [groq])
    assert len(run("logs", "list", "--pattern", mistral, "--json").json["items"]) == 3
    assert "merged into" in run("errors", "show", mistral).out
    assert run("errors", "split", groq).out == f"{groq} is a pattern of its own again, apart from {mistral}\n"
    assert run("errors", "show", groq, "--json").json["occurrence_count"] == 2
    refused = run("errors", "split", groq)
    assert (refused.code, "[[knowledge.entries]]" in refused.err) == (2, True)
