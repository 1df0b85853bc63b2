"""Limits of API keys: kept with them, shared by all processes, and never granted twice."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from cajanegra.domain.keys import KeyLimits
from cajanegra.domain.principal import Role
from cajanegra.errors import UsageError
from cajanegra.server.gateway.limits import Limits
from cajanegra.server.gateway.refusals import RefusalError
from cajanegra.storage import key_limits, keys
from cajanegra.storage.database import Database
from cajanegra.storage.key_limits import Used
from cajanegra.storage.keys import Key
from records import NOW

LIMITS = KeyLimits(("fast", "openai/*"), 60, 10_000, 12.5)
MINUTE = "2026-11-24T12:00"
OLDEST = "2026-11-24T11:00"


class Clock:
    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


def make(database: Database, limits: KeyLimits | None) -> Key:
    return keys.create(database, scope="acme", role=Role.WRITER, now=NOW, limits=limits)[0]


def test_limits_are_kept_with_the_key_and_replaced(database: Database) -> None:
    key, secret = keys.create(database, scope="acme", role=Role.WRITER, now=NOW, limits=LIMITS)
    assert key.limits == LIMITS
    found = keys.find(database, secret.text)
    assert found is not None
    assert found.limits == LIMITS
    keys.limit(database, key.prefix, KeyLimits(requests_per_minute=5))
    (listed,) = keys.listed(database, now=NOW)
    assert listed.limits == KeyLimits(requests_per_minute=5)
    keys.limit(database, key.prefix, KeyLimits())
    (listed,) = keys.listed(database, now=NOW)
    assert listed.limits is None


def test_a_limit_that_cannot_mean_anything_is_refused() -> None:
    with pytest.raises(UsageError, match="requests_per_minute must be more than 0"):
        KeyLimits(requests_per_minute=0)
    with pytest.raises(UsageError, match="monthly_budget"):
        KeyLimits(monthly_budget=-1)


def test_however_many_take_at_once_no_more_is_granted_than_there_is(database: Database) -> None:
    key = make(database, None)

    def take(_number: int) -> int:
        return key_limits.take(database, key.id, MINUTE, 7, 100)

    with ThreadPoolExecutor(4) as pool:
        granted = list(pool.map(take, range(40)))
    assert sum(granted) == 100
    assert key_limits.take(database, key.id, "2026-11-24T12:01", 7, 100) == 7


def test_what_was_used_adds_up_and_old_minutes_are_forgotten(database: Database) -> None:
    first, second = make(database, None), make(database, None)
    month = [(first.id, "2026-11")]
    key_limits.add(
        database, [Used(first.id, "2026-11", 0, 10, 5), Used(second.id, "2026-11", 0, 1, 1)], [], OLDEST
    )
    key_limits.add(database, [Used(first.id, "2026-11-24T10:59", 0, 3, 0)], [], "2026-11-24T10:00")
    assert key_limits.add(database, [Used(first.id, "2026-11", 0, 1, 2)], month, OLDEST) == [
        Used(first.id, "2026-11", 0, 11, 7)
    ]
    assert key_limits.add(database, [], [(first.id, "2026-11-24T10:59")], OLDEST) == []


def refused(limits: Limits, key: Key) -> RefusalError | None:
    async def ask() -> RefusalError | None:
        try:
            await limits.admit(key)
        except RefusalError as error:
            return error
        finally:
            await limits.aclose()
        return None

    return asyncio.run(ask())


def test_two_processes_grant_the_requests_of_a_minute_together(database: Database) -> None:
    clock = Clock()
    key = make(database, KeyLimits(requests_per_minute=45))
    both = [Limits(database, clock), Limits(database, clock)]

    async def ask() -> list[bool]:
        admitted = []
        for number in range(60):
            try:
                await both[number % 2].admit(key)
            except RefusalError:
                admitted.append(False)
            else:
                admitted.append(True)
        for one in both:
            await one.aclose()
        return admitted

    assert sum(asyncio.run(ask())) == 45
    error = refused(both[0], key)
    assert error is not None
    assert error.status == 429
    assert dict(error.headers)[b"retry-after"] == b"60"
    assert b'"reset_at":"2026-11-24T12:01:00Z"' in error.body("r")
    clock.now += 60
    assert refused(both[0], key) is None


@pytest.mark.parametrize(
    ("limits", "reset", "code"),
    [
        (KeyLimits(tokens_per_minute=100), "2026-11-24T12:01:00Z", "rate_limit_exceeded"),
        (KeyLimits(monthly_budget=0.01), "2026-12-01T00:00:00Z", "insufficient_quota"),
    ],
)
def test_what_one_process_spends_holds_in_the_others(
    database: Database, limits: KeyLimits, reset: str, code: str
) -> None:
    clock = Clock()
    key = make(database, limits)
    here, there = Limits(database, clock), Limits(database, clock)
    assert refused(there, key) is None

    async def spend() -> None:
        await here.admit(key)
        here.charge(key, 100, 0.01)
        await here.aclose()

    asyncio.run(spend())
    clock.now += 5
    error = refused(there, key)
    assert error is not None
    assert (error.status, reset in error.body(None).decode(), code in error.body(None).decode()) == (
        429,
        True,
        True,
    )


def test_calls_go_on_within_the_limit_while_the_database_is_away(tmp_path: object) -> None:
    with Database(f"sqlite:///{tmp_path}/none/nowhere.db") as away:
        limits = Limits(away, Clock())
        key = replace(make_free(), limits=KeyLimits(requests_per_minute=2))

        async def ask() -> list[bool]:
            admitted = []
            for _ in range(3):
                try:
                    await limits.admit(key)
                except RefusalError:
                    admitted.append(False)
                else:
                    admitted.append(True)
            await limits.aclose()
            return admitted

        assert asyncio.run(ask()) == [True, True, False]


def make_free() -> Key:
    return Key(1, "cn_abcdefghij", None, Role.WRITER, "acme", NOW, None, None, None)
