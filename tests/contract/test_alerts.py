"""What is worth an alert and who was told, in both kinds of database."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from cajanegra.domain.alert import Alert, Traffic
from cajanegra.storage.alerts import Alerts
from cajanegra.storage.database import Database
from cajanegra.storage.pattern_changes import set_status
from records import NOW, call_record, occurrence, recovered_call, step_record, write

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def alert(subject: str = "openai_timeout", episode: str = "once", kind: Any = "new") -> Alert:
    return Alert(kind=kind, subject=subject, episode=episode, at=NOW, pattern=subject, recent=3, expected=0.5)


def file(store: Alerts, *alerts: Alert, at: datetime = NOW, targets: tuple[str, ...] = ("ops",)) -> list[str]:
    return [found.subject for found in store.file(alerts, targets, at, HOUR, 20)]


def failing(number: int, pattern: str = "ollama_timeout", at: datetime = NOW) -> Any:
    return call_record(
        f"{pattern}-{at.isoformat()}-{number}".replace("+00:00", ""),
        status="error",
        error_code="timeout",
        created_at=at,
        updated_at=at,
        occurrences=[occurrence(pattern, at)],
        response_metadata={"pattern": pattern, "patterns": [pattern]},
    )


@pytest.fixture
def store(database: Database) -> Alerts:
    return Alerts(database)


def test_an_episode_is_told_once_and_the_next_after_the_cooldown(store: Alerts) -> None:
    assert file(store, alert()) == ["openai_timeout"]
    assert file(store, alert(), at=NOW + 5 * HOUR) == []
    assert file(store, alert(episode="2", kind="regressed")) == ["openai_timeout"]
    assert file(store, alert(episode="3", kind="regressed"), at=NOW + 59 * MINUTE) == []
    assert file(store, alert(episode="3", kind="regressed"), at=NOW + 61 * MINUTE) == ["openai_timeout"]


def test_each_target_is_told_for_itself(store: Alerts) -> None:
    file(store, alert(), targets=("ops",))
    assert file(store, alert(), targets=("ops", "log")) == ["openai_timeout"]
    assert [found.target for found in store.due(["ops", "log"], NOW)] == ["ops", "log"]
    assert [found.target for found in store.due(["log"], NOW)] == ["log"]
    assert store.due(["ops"], NOW)[0].id != store.due(["log"], NOW)[0].id


def test_what_is_filed_comes_back_as_it_was(store: Alerts) -> None:
    file(store, alert())
    (found,) = store.due(["ops"], NOW)
    assert found.alert == alert()
    assert found.tries == 0


def test_many_at_once_are_folded_into_the_last_that_is_told(store: Alerts) -> None:
    many = [alert(f"pattern_{number:02}") for number in range(25)]
    assert len(store.file(many, ["ops"], NOW, HOUR, 20)) == 25
    due = store.due(["ops"], NOW)
    assert [found.more for found in due] == [0] * 19 + [5]
    assert not store.file(many, ["ops"], NOW + HOUR * 2, HOUR, 20)


def test_an_alert_is_taken_by_one_and_due_again_unless_it_is_settled(store: Alerts) -> None:
    file(store, alert())
    (found,) = store.due(["ops"], NOW)
    assert store.take(found, NOW + MINUTE)
    assert not store.take(found, NOW + MINUTE)
    assert not store.due(["ops"], NOW)
    (again,) = store.due(["ops"], NOW + MINUTE)
    assert (again.id, again.tries) == (found.id, 1)
    assert store.take(again, NOW + 2 * MINUTE)
    store.settle(again, NOW + MINUTE, "it answered 500")
    assert store.latest(5)[0]["error"] == "it answered 500"
    (last,) = store.due(["ops"], NOW + HOUR)
    store.settle(last, NOW + HOUR, None)
    assert not store.due(["ops"], NOW + 2 * HOUR)
    assert store.latest(5)[0]["state"] == "told"


def test_what_is_given_up_is_not_due_any_more(store: Alerts) -> None:
    file(store, alert())
    store.settle(store.due(["ops"], NOW)[0], NOW, "no", give_up=True)
    assert not store.due(["ops"], NOW + HOUR)
    assert store.latest(1)[0]["state"] == "failed"


def test_processes_that_find_the_same_at_once_file_it_once(database: Database) -> None:
    found: list[list[str]] = []
    start = threading.Barrier(6)

    def process(number: int) -> None:
        at = NOW + timedelta(microseconds=number)
        with Database(database.url.render_as_string(hide_password=False)) as own:
            start.wait(10)
            found.append(file(Alerts(own), alert(episode=at.isoformat(), kind="escalating"), alert(), at=at))

    threads = [threading.Thread(target=process, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(subject for some in found for subject in some) == ["openai_timeout"] * 2


def test_one_process_at_a_time_sees_to_alerts(store: Alerts) -> None:
    assert store.lead("a", NOW, NOW + MINUTE)
    assert not store.lead("b", NOW + MINUTE / 2, NOW + HOUR)
    assert store.lead("a", NOW + MINUTE / 2, NOW + 2 * MINUTE)
    assert store.lead("b", NOW + 3 * MINUTE, NOW + 4 * MINUTE)  # a has died
    store.resign("a")
    assert not store.lead("c", NOW + 3 * MINUTE, NOW + HOUR)
    store.resign("b")
    assert store.lead("c", NOW + 3 * MINUTE, NOW + HOUR)


def test_a_pattern_is_new_on_its_first_day(database: Database, store: Alerts) -> None:
    write(database, failing(1), failing(2, "openai_auth", NOW - timedelta(days=2)))
    (found,) = store.patterns(NOW)
    assert (found.pattern, found.marks, found.total) == ("ollama_timeout", ("new",), 1)
    assert found.first_occurred == NOW
    assert (found.probable_cause, found.suggested_action) == ("It is slow.", "Wait.")
    assert not store.patterns(NOW + timedelta(days=2))


def test_a_pattern_that_comes_back_is_regressed(database: Database, store: Alerts) -> None:
    old = NOW - timedelta(days=3)
    write(database, failing(1, at=old))
    set_status(database, "ollama_timeout", "resolved", old + HOUR)
    write(database, failing(2))
    (found,) = store.patterns(NOW)
    assert found.marks == ("regressed",)
    assert found.regressed_at is not None


def test_a_pattern_that_fails_more_than_usual_escalates(database: Database, store: Alerts) -> None:
    usual = [failing(0, at=NOW - timedelta(days=day)) for day in range(8)]
    write(database, *usual, *(failing(number) for number in range(1, 40)))
    write(database, *(failing(0, "openai_auth", NOW - timedelta(days=day)) for day in range(8)))
    (found,) = store.patterns(NOW)
    assert (found.pattern, found.marks, found.recent, found.expected) == (
        "ollama_timeout",
        ("escalating",),
        40,
        1.0,
    )


def test_traffic_counts_every_attempt_where_it_was_made(database: Database, store: Alerts) -> None:
    trigger = {"provider": "ollama", "kind": "timeout", "pattern": "ollama_timeout"}
    write(
        database,
        call_record("a", module="chat"),
        call_record("b", module="chat"),
        recovered_call(
            "c", module="chat", steps=[step_record(recovery_result={"trigger": trigger}), step_record(2)]
        ),
        failing(1, "openai_auth"),
        call_record("old", created_at=NOW - HOUR),
    )
    found = sorted(store.traffic(NOW - MINUTE), key=str)
    assert found == sorted(
        [
            Traffic("openai", "chat", None, None, 3),
            Traffic("ollama", "chat", "timeout", "ollama_timeout", 1),
            Traffic("openai", None, "timeout", "openai_auth", 1),
        ],
        key=str,
    )


def test_what_is_known_of_patterns_is_found_by_name(database: Database, store: Alerts) -> None:
    write(database, failing(1))
    known = store.explained(["ollama_timeout", "nobody"])
    assert {name: found.probable_cause for name, found in known.items()} == {"ollama_timeout": "It is slow."}
