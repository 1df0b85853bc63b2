"""Whoever answers a request hears once that its client has left, whichever server it came through."""

from __future__ import annotations

import asyncio
from typing import Any

from cajanegra.server.departure import OfConnection, departure_of


def test_a_connection_tells_whoever_waits() -> None:
    connection, told = OfConnection(), list[str]()
    state = connection.joined({})
    departure = departure_of({"state": state}, _never)
    departure.tell(lambda: told.append("the first request"))
    departure.forget()
    departure.tell(lambda: told.append("the second request"))
    connection.happen()
    assert told == ["the second request"]


def test_who_comes_too_late_is_told_at_once() -> None:
    connection, told = OfConnection(), list[str]()
    connection.happen()
    connection.tell(lambda: told.append("gone"))
    assert told == ["gone"]


def test_any_other_server_is_asked_for_messages() -> None:
    async def story() -> list[str]:
        told: list[str] = []
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        forgotten, departure = departure_of({}, receive), departure_of({"state": {}}, receive)
        forgotten.tell(lambda: told.append("forgotten"))
        departure.tell(lambda: told.append("gone"))
        await asyncio.sleep(0)
        assert not told
        forgotten.forget()
        left.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return told

    assert asyncio.run(story()) == ["gone"]


def test_a_server_that_can_tell_nothing_more_is_as_one_whose_client_has_left() -> None:
    async def story() -> list[str]:
        told: list[str] = []

        async def receive() -> dict[str, Any]:
            raise ConnectionResetError

        departure_of({}, receive).tell(lambda: told.append("gone"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return told

    assert asyncio.run(story()) == ["gone"]


async def _never() -> dict[str, Any]:
    raise AssertionError("the connection is known")
