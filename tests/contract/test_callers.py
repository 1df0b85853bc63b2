"""Whoever gives a key is known by it, with its limits, however the key was looked up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from cajanegra.domain.keys import KeyLimits
from cajanegra.domain.principal import Role
from cajanegra.server.authentication import Authentication
from cajanegra.server.failed_attempts import FailedAttempts
from cajanegra.server.gateway.callers import Caller, Callers
from cajanegra.server.metrics import Metrics
from cajanegra.server.verification import FRESH, RENEWED, Verification
from cajanegra.settings import Server
from cajanegra.storage import keys
from cajanegra.storage.database import Database

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SCOPE = {"type": "http", "method": "POST", "path": "/v1/models", "headers": [], "client": ("192.0.2.1", 5000)}


class Timer:
    """Seconds, which every look at it may take some of."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.each = 0.0

    def __call__(self) -> float:
        self.seconds += self.each
        return self.seconds


class Gate:
    """What finds out who calls, with a key that may ask for one model."""

    def __init__(self, database: Database) -> None:
        self.timer = Timer()
        limits = KeyLimits(models=("gpt-4o-mini",))
        _key, self.secret = keys.create(database, scope="acme", role=Role.WRITER, now=NOW, limits=limits)
        verification = Verification(database, clock=lambda: NOW, timer=self.timer)
        attempts = FailedAttempts(self.timer)
        self._callers = Callers(Authentication(Server(), verification, attempts, Metrics()))

    def caller(self) -> Caller:
        headers = {b"authorization": f"Bearer {self.secret.text}".encode()}
        return asyncio.run(self._callers.of(SCOPE, headers))

    def is_limited(self) -> bool:
        key = self.caller().key
        return key is not None and key.limits is not None and key.limits.models == ("gpt-4o-mini",)


@pytest.fixture
def gate(database: Database) -> Gate:
    return Gate(database)


def test_a_key_keeps_its_limits_when_it_is_looked_up_again(gate: Gate) -> None:
    for _ in range(6):
        assert gate.is_limited()
        gate.timer.seconds += RENEWED * 0.7


def test_a_key_keeps_its_limits_when_looking_it_up_takes_long(gate: Gate) -> None:
    gate.timer.each = FRESH
    assert gate.is_limited()
    assert gate.is_limited()


@pytest.mark.parametrize("seconds", [RENEWED + 0.1, FRESH + 0.1])
def test_a_key_keeps_its_limits_while_the_database_is_away(sqlite_url: str, seconds: float) -> None:
    with Database(sqlite_url) as database:
        gate = Gate(database)
        assert gate.is_limited()
        with database.engine.begin() as connection:  # as good as away: nothing can be read
            connection.execute(text("ALTER TABLE cajanegra_keys RENAME TO elsewhere"))
        gate.timer.seconds += seconds
        assert [gate.is_limited() for _ in range(3)] == [True, True, True]
