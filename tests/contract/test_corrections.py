from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cajanegra.domain.correction import Fallback, Retry
from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.errors import UsageError
from cajanegra.ports import StoredCorrection
from cajanegra.storage.corrections import corrections, enabled_correction, set_correction
from cajanegra.storage.database import Database
from cajanegra.storage.lessons import StoredLessons
from cajanegra.storage.outcomes import outcomes_of
from cajanegra.storage.pattern_changes import merge, split
from cajanegra.storage.pattern_detail import detail
from cajanegra.storage.patterns import PatternFilter, page
from records import NOW, correct_by_hand, occurrence, recovered_call, step_record, write


@pytest.fixture(autouse=True)
def _two_patterns(database: Database) -> None:
    names = ("ollama_timeout", "ollama_dns")
    write(database, *(recovered_call(name, occurrences=[occurrence(name)]) for name in names))


def test_a_correction_is_enabled_changed_and_taken_back(database: Database) -> None:
    assert corrections(database) == []
    later = NOW + timedelta(hours=1)
    set_correction(database, "ollama_timeout", Fallback(provider="openai"), later)
    stored = StoredCorrection("ollama_timeout", "timeout", "fallback", {"provider": "openai"})
    assert corrections(database) == [stored]
    assert enabled_correction(database, "ollama_timeout") == stored
    with database.engine.connect() as connection:
        query = "SELECT updated_at FROM ai_error_analysis WHERE error_pattern = 'ollama_timeout'"
        assert str(connection.execute(text(query)).scalar()).startswith("2026-11-24 13:00:00")
    set_correction(database, "ollama_timeout", Retry(), later)
    assert corrections(database) == [StoredCorrection("ollama_timeout", "timeout", "retry", {})]
    set_correction(database, "ollama_timeout", None, later)
    assert corrections(database) == []
    assert enabled_correction(database, "ollama_timeout") is None
    with database.engine.connect() as connection:
        query = "SELECT count(*) FROM ai_error_analysis WHERE correction_config IS NULL"
        assert connection.execute(text(query)).scalar() == 2


def test_a_pattern_that_is_not_there_cannot_be_corrected(database: Database) -> None:
    with pytest.raises(UsageError, match="did you mean 'ollama_timeout'"):
        set_correction(database, "olama_timeout", Retry(), NOW)


def test_who_changed_a_correction_and_how_is_in_the_history(database: Database) -> None:
    set_correction(database, "ollama_dns", Fallback(provider="openai"), NOW, by="ana")
    set_correction(database, "ollama_dns", Fallback(provider="openai"), NOW, by="luis")
    set_correction(database, "ollama_dns", None, NOW, by="luis")
    last, first = detail(database, ALL_TENANTS, "ollama_dns", now=NOW).changes
    assert (first.change, first.before, first.changed_by) == ("correction", None, "ana")
    assert first.after == last.before == 'fallback {"provider":"openai"}'
    assert (last.after, last.changed_by) == (None, "luis")


def test_a_merged_pattern_follows_the_correction_of_the_one_it_is_merged_into(database: Database) -> None:
    merge(database, "ollama_dns", "ollama_timeout", NOW)
    assert set_correction(database, "ollama_dns", Retry(), NOW) == "ollama_timeout"
    lessons = StoredLessons(database)
    found = {one.pattern: one.strategy for one in lessons.corrections()}
    assert found == {"ollama_timeout": "retry", "ollama_dns": "retry"}
    split(database, "ollama_dns", NOW)
    assert [one.pattern for one in lessons.corrections()] == ["ollama_timeout"]


def test_the_guides_tables_alone_have_corrections_too(database: Database) -> None:
    set_correction(database, "ollama_timeout", Retry(), NOW)
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE cajanegra_patterns"))
    lessons = StoredLessons(database)
    assert [one.pattern for one in lessons.corrections()] == ["ollama_timeout"]
    assert [one.pattern for one in lessons.corrections()] == ["ollama_timeout"]


def test_a_tenant_sees_what_helped_its_own_calls(database: Database) -> None:
    write(database, recovered_call("globex-1", tenant_id="globex"))
    assert len(outcomes_of(database, ALL_TENANTS, ["ollama_timeout"])) == 3
    assert len(outcomes_of(database, "globex", ["ollama_timeout"])) == 1
    assert len(outcomes_of(database, ALL_TENANTS, ["ollama_dns", "openai_auth"])) == 0


def test_failures_that_are_counted_later_leave_a_correction_alone(database: Database) -> None:
    set_correction(database, "ollama_timeout", Fallback(provider="openai"), NOW)
    write(database, recovered_call("again", occurrences=[occurrence("ollama_timeout")]))
    assert len(corrections(database)) == 1


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (None, None),
        ('{"provider": "openai"}', {"provider": "openai"}),
        ('"provider=openai"', "provider=openai"),
        ("[1]", [1]),
        ("null", None),
    ],
)
def test_what_people_write_by_hand_is_read_as_it_is(
    database: Database, config: str | None, settings: Any
) -> None:
    correct_by_hand(database, "ollama_dns", "Fallback", config)
    assert corrections(database) == [StoredCorrection("ollama_dns", "timeout", "Fallback", settings)]
    assert len(page(database, PatternFilter(ALL_TENANTS), now=NOW).items) == 2


def test_an_empty_strategy_is_none(database: Database) -> None:
    correct_by_hand(database, "ollama_dns", "", "{}")
    assert corrections(database) == []


def test_what_is_no_json_is_read_as_the_text_that_it_is(sqlite_url: str) -> None:
    with Database(sqlite_url) as database:
        write(database, recovered_call("one", occurrences=[occurrence("ollama_dns")]))
        correct_by_hand(database, "ollama_dns", "fallback", "provider: openai")
        assert corrections(database)[0].settings == "provider: openai"
        found = page(database, PatternFilter(ALL_TENANTS), now=NOW).items
        assert "ollama_dns" in {row.error_pattern for row in found}


def test_outcomes_are_the_latest_steps_with_what_they_came_to(database: Database) -> None:
    result = {"provider": "openai", "model": "gpt-4o", "wait_taken": 0.25, "tokens": 12, "cost": 0.0012}
    trigger = {"trigger": {"pattern": "ollama_dns"}}
    steps = [
        step_record(1, was_successful=False, recovery_result=trigger, recovery_time_ms=None),
        step_record(2, strategy_name="retry", recovery_result={**trigger, **result}),
        step_record(3, recovery_result={"note": "of a host's own"}),
        step_record(4, recovery_result={**trigger, "wait_taken": "soon", "tokens": -1}),
    ]
    write(database, recovered_call("steps", steps=steps))
    lessons = StoredLessons(database)
    last, second, first, *before = lessons.outcomes(0, 100)
    assert [one.pattern for one in before] == ["ollama_timeout"] * 2
    assert (first.worked, first.time_ms, first.provider) == (False, None, None)
    assert (second.strategy, second.target, second.wait_ms) == ("retry", "openai/gpt-4o", 250)
    assert (second.tokens, second.cost, second.at) == (12, 0.0012, NOW.replace(tzinfo=None))
    assert (last.wait_ms, last.tokens) == (None, None)
    assert [one.id for one in lessons.outcomes(second.id, 100)] == [last.id]
    assert [one.id for one in lessons.outcomes(0, 1)] == [last.id]
