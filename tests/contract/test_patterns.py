from __future__ import annotations

from datetime import timedelta

import pytest

from cajanegra.errors import UsageError
from cajanegra.storage.database import Database
from cajanegra.storage.patterns import pattern, patterns, set_status
from records import NOW, occurrence, recovered_call, write


@pytest.fixture(autouse=True)
def _three_patterns(database: Database) -> None:
    seen = {"ollama_timeout": 3, "openai_auth": 1, "ollama_dns": 2}
    calls = [
        recovered_call(name, occurrences=[occurrence(name, NOW + timedelta(minutes=-count))] * count)
        for name, count in seen.items()
    ]
    write(database, *calls)


def test_patterns_are_listed_by_count_or_by_time(database: Database) -> None:
    by_count = [row["error_pattern"] for row in patterns(database)]
    by_time = [row["error_pattern"] for row in patterns(database, sort="last")]
    assert by_count == ["ollama_timeout", "ollama_dns", "openai_auth"]
    assert by_time == ["openai_auth", "ollama_dns", "ollama_timeout"]


def test_a_pattern_is_resolved_and_opened_again(database: Database) -> None:
    later = NOW + timedelta(hours=1)
    resolved = set_status(database, "openai_auth", "resolved", later)
    assert (resolved["resolution_status"], resolved["resolved_at"]) == (
        "resolved",
        later.replace(tzinfo=None),
    )
    assert [row["error_pattern"] for row in patterns(database, status="resolved")] == ["openai_auth"]
    assert len(patterns(database, status="open")) == 2
    opened = set_status(database, "openai_auth", "open", later)
    assert (opened["resolution_status"], opened["resolved_at"]) == ("open", None)
    assert pattern(database, "openai_auth")["occurrence_count"] == 1


def test_a_name_that_is_nearly_right_is_suggested(database: Database) -> None:
    with pytest.raises(UsageError, match="no error pattern 'olama_timeout'; did you mean 'ollama_timeout'"):
        set_status(database, "olama_timeout", "resolved", NOW)


def test_a_status_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(UsageError, match="choose one of open, resolved, wontfix"):
        set_status(database, "openai_auth", "done", NOW)
    with pytest.raises(UsageError, match="choose one of open, resolved, wontfix"):
        patterns(database, status="done")
