"""Alerts from a failing call to a real receiver, over both kinds of database."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from cajanegra.alerts.evaluation import MAX_TRIES, Evaluator, Look, Plan
from cajanegra.alerts.rules import Rule
from cajanegra.alerts.targets import Address, Target, build
from cajanegra.alerts.watch import Watch
from cajanegra.domain.alert import PATTERN_ALERTS, Alert, Delivery
from cajanegra.errors import AlertError, StorageError
from cajanegra.storage.alerts import Alerts
from cajanegra.storage.database import Database
from receivers import Receiver, receiver
from records import NOW, call_record, occurrence, write

MINUTE = timedelta(minutes=1)


class Clock:
    """The time that it is, until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def ops() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failing(number: int, pattern: str = "ollama_timeout", at: datetime = NOW) -> Any:
    return call_record(
        f"{pattern}-{number}",
        status="error",
        error_code="timeout",
        provider_used="ollama",
        created_at=at,
        updated_at=at,
        occurrences=[occurrence(pattern, at)],
        response_metadata={"pattern": pattern, "patterns": [pattern]},
    )


def evaluator(database: Database, clock: Clock, *rules: Rule, **targets: Target) -> Evaluator:
    url = database.url.render_as_string(hide_password=False)
    plan = Plan(targets, PATTERN_ALERTS, rules, timedelta(hours=1), 3 * MINUTE)
    return Evaluator(plan, lambda: Alerts(Database(url)), clock)


def webhook(ops: Receiver, **known: Any) -> Target:
    return build("webhook", Address("ops", ops.url, **known))


def test_a_failure_is_told_once_with_its_cause_and_what_to_do(
    database: Database, clock: Clock, ops: Receiver
) -> None:
    write(database, failing(1), failing(2))
    looks = evaluator(database, clock, ops=webhook(ops))
    assert [found.subject for found in looks.look().found] == ["ollama_timeout"]
    assert looks.look() == Look()
    clock.now += timedelta(hours=5)
    assert looks.look() == Look()
    (told,) = ops.bodies
    said = {name: told[name] for name in ("kind", "pattern", "total", "probable_cause", "suggested_action")}
    assert said == {
        "kind": "new",
        "pattern": "ollama_timeout",
        "total": 2,
        "probable_cause": "It is slow.",
        "suggested_action": "Wait.",
    }
    assert told["title"] == "New error pattern: ollama_timeout"
    assert "Probable cause: It is slow." in told["text"]


def test_who_does_not_listen_is_told_later_with_growing_waits(
    database: Database, clock: Clock, ops: Receiver
) -> None:
    write(database, failing(1))
    ops.statuses = [500, 503, 200]
    looks = evaluator(database, clock, ops=webhook(ops))
    assert looks.look().failed == ["ops answered 500: ok"]
    assert looks.look() == Look()
    clock.now += timedelta(seconds=30)
    assert looks.look().failed == ["ops answered 503: ok"]
    clock.now += timedelta(seconds=30)
    assert looks.look() == Look()
    clock.now += timedelta(seconds=30)
    assert looks.look().told == 1
    assert len({headers["webhook-id"] for headers in ops.headers}) == 1
    assert len(ops.bodies) == 3


def test_who_never_listens_is_given_up(
    database: Database, clock: Clock, ops: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    write(database, failing(1))
    ops.statuses = [500]
    looks = evaluator(database, clock, ops=webhook(ops))
    for _try in range(MAX_TRIES + 3):
        looks.look()
        clock.now += timedelta(hours=1)
    assert len(ops.bodies) == MAX_TRIES
    assert "given up: New error pattern: ollama_timeout" in caplog.text
    assert ops.url not in caplog.text


def test_a_target_that_fails_holds_nobody_else_up(database: Database, clock: Clock, ops: Receiver) -> None:
    write(database, failing(1), failing(1, "ollama_auth"))
    nobody = build("slack", Address("nobody", "http://127.0.0.1:9/secret"))
    look = evaluator(database, clock, nobody=nobody, ops=webhook(ops)).look()
    assert look.told == 2
    assert len(look.failed) == 1  # the second is not even tried


def test_another_process_tells_what_one_could_not(database: Database, clock: Clock, ops: Receiver) -> None:
    write(database, failing(1))
    store = Alerts(database)
    died = evaluator(database, clock, ops=webhook(ops, timeout=0.05))
    ops.stall = 1.0
    died.look()
    other = evaluator(database, clock, ops=webhook(ops))
    assert other.look() == Look(led=False)
    clock.now += 4 * MINUTE  # its lease is over, and it is time for another try
    ops.stall = 0
    assert other.look().told == 1
    assert store.latest(1)[0]["state"] == "told"


def test_rules_are_told_with_the_pattern_that_was_met_most(
    database: Database, clock: Clock, ops: Receiver
) -> None:
    before = NOW - timedelta(hours=2)
    clock.now = before
    write(database, *(failing(number, at=before) for number in range(12)))
    write(database, *(call_record(f"ok-{number}", created_at=before) for number in range(8)))
    rule = Rule("night", minutes=5, rate=0.5, min_attempts=10, per="provider")
    looks = evaluator(database, clock, rule, ops=webhook(ops))
    looks.look()
    told = ops.bodies[-1]
    assert (told["kind"], told["rate"], told["provider"], told["attempts"]) == (
        "error_rate",
        1.0,
        "ollama",
        12,
    )
    assert told["probable_cause"] == "It is slow."
    clock.now += 2 * MINUTE
    assert not looks.look().found  # the cooldown
    write(database, *(failing(number) for number in range(20, 40)))
    clock.now = NOW
    assert [found.kind for found in looks.look().found] == ["error_rate"]


async def _tell(kind: Any, address: Address, alert: Alert | None = None) -> None:
    known = alert or Alert(kind="test", subject="test", at=NOW)
    await build(kind, address).tell(Delivery("alert_1", address.name, known))


def test_slack_is_told_in_its_own_form_and_in_the_language_that_was_set(ops: Receiver) -> None:
    alert = Alert(
        kind="new",
        subject="p",
        at=NOW,
        pattern="p",
        template="<!channel> & more",
        probable_cause="Porque sí.",
    )
    asyncio.run(_tell("slack", Address("ops", ops.url, language="es"), alert))
    assert ops.bodies == [
        {
            "text": "*Nuevo patrón de error: p*\nMensaje: &lt;!channel&gt; &amp; more\nCausa probable: Porque sí.",
        }
    ]


def test_a_webhook_is_signed_as_the_specification_says(ops: Receiver) -> None:
    asyncio.run(_tell("webhook", Address("ops", ops.url, secret="hush")))  # noqa: S106 - invented
    headers, raw = ops.headers[0], ops.raw[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
    digest = base64.b64encode(hmac.new(b"hush", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"


def test_the_log_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    alert = Alert(kind="new", subject="p", at=NOW, pattern="p", probable_cause="Because\nof that.")
    asyncio.run(_tell("log", Address("log"), alert))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "New error pattern: p | Probable cause: Because of that."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"statuses": [500], "answer": b"out of\norder"}, "ops answered 500: out of order"),
        ({"statuses": [302]}, "ops answered 302: ok"),
        (
            {"statuses": [404], "answer": b"Cannot POST /services/T0/B0/very-secret"},
            "ops answered 404: Cannot POST [redacted]",
        ),
        ({"statuses": [500], "delay": 0.2, "answer": b"x" * 9}, "ops took longer than 0.3 s"),
        ({"stall": 2.0}, "ops took longer than 0.3 s"),
    ],
)
def test_why_somebody_was_not_told_is_said_without_the_address(
    change: dict[str, Any], reason: str, ops: Receiver
) -> None:
    for name, value in change.items():
        setattr(ops, name, value)
    with pytest.raises(AlertError) as caught:
        asyncio.run(_tell("webhook", Address("ops", ops.url, timeout=0.3)))
    assert str(caught.value) == reason
    assert len(ops.bodies) == 1  # redirects are not followed


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/secret", "http://nowhere.invalid/secret", "http://[/secret"]
)
def test_an_address_that_cannot_be_reached_is_not_shown(url: str) -> None:
    address = Address("ops", url)
    with pytest.raises(AlertError, match=r"^ops ") as caught:
        asyncio.run(_tell("webhook", address))
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(address)


def test_a_watch_looks_until_it_is_closed_and_lets_others_look_then(
    database: Database, clock: Clock, ops: Receiver
) -> None:
    write(database, failing(1))
    watch = Watch(lambda: evaluator(database, clock, ops=webhook(ops)), interval=0.02)
    watch.start()
    assert ops.came.wait(30)
    watch.close(30)
    assert evaluator(database, clock, ops=webhook(ops)).look() == Look()
    assert len(ops.bodies) == 1


def test_a_watch_outlives_whatever_happens(caplog: pytest.LogCaptureFixture, ops: Receiver) -> None:
    def failures() -> Iterator[Callable[[], Evaluator]]:
        yield from (_raise(StorageError("the database is away")), _raise(RuntimeError(ops.url)))

    coming = failures()
    tried: list[int] = []

    def new_evaluator() -> Evaluator:
        tried.append(1)
        return next(coming)()

    watch = Watch(new_evaluator, interval=0.01)
    watch.start()
    while len(tried) < 3:
        assert watch._thread is not None
        watch._thread.join(0.01)
    watch.close(30)
    assert "alerts are not looked for at the moment: the database is away" in caplog.text
    assert ops.url not in caplog.text


def _raise(error: Exception) -> Callable[[], Evaluator]:
    def make() -> Evaluator:
        raise error

    return make
