"""A thousand calls in flight on one event loop, over real connections."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

from cajanegra import AIClient, Settings
from cajanegra.client import Reply
from provider_servers import Exchange, chat_completion, http, serve

ANSWER = http(json.dumps(chat_completion("It is due.")).encode())


class Gathering:
    """A server that answers nobody until a number of requests are there at once."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.here = 0
        self.most = 0
        self.complete = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        self.here += 1
        self.most = max(self.most, self.here)
        if self.here >= self.number:
            self.complete.set()
        await self.complete.wait()
        self.here -= 1
        await exchange.send(ANSWER)


async def _at_once(exchange: Exchange) -> None:
    await exchange.send(ANSWER)


def _settings(path: Path, *urls: str, **provider: Any) -> Settings:
    return Settings(
        database={"url": f"sqlite:///{path / 'calls.db'}"},
        providers=[
            {"name": f"p{i}", "base_url": url, "models": ["m"], "timeout": 20, **provider}
            for i, url in enumerate(urls)
        ],
        recovery={"timeout": 30},
    )


async def _many(ai: AIClient, count: int, **arguments: Any) -> list[Reply]:
    return await asyncio.gather(*(ai.chat("What is due?", **arguments) for _ in range(count)))


def test_a_thousand_calls_are_in_flight_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        gathering = Gathering(1000)
        async with serve(gathering) as server, AIClient(_settings(tmp_path, server.url)) as ai:
            replies = await _many(ai, 1000)
            assert {(reply.text, reply.attempts) for reply in replies} == {("It is due.", 1)}
            assert gathering.most == 1000

    asyncio.run(run())


def test_beyond_its_limit_calls_go_to_the_next_provider(tmp_path: Path) -> None:
    async def run() -> None:
        gathering = Gathering(5)
        async with (
            serve(gathering) as first,
            serve(_at_once) as second,
            AIClient(_settings(tmp_path, first.url, second.url, max_in_flight=5)) as ai,
        ):
            replies = await _many(ai, 8)
        assert Counter(reply.provider for reply in replies) == {"p0": 5, "p1": 3}
        assert {reply.attempts for reply in replies} == {1}
        assert gathering.most == 5

    asyncio.run(run())


def test_with_nobody_else_calls_wait_for_their_turn_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    async def run() -> None:
        most = here = 0

        async def counted(exchange: Exchange) -> None:
            nonlocal most, here
            here += 1
            most = max(most, here)
            await asyncio.sleep(0)
            here -= 1
            await exchange.send(ANSWER)

        async with serve(counted) as server, AIClient(_settings(tmp_path, server.url, max_in_flight=3)) as ai:
            replies = await asyncio.gather(*(ai.chat(str(number)) for number in range(200)))
            came = [int(request["messages"][0]["content"]) for request in server.requests]
        assert {reply.attempts for reply in replies} == {1}
        assert 1 <= most <= 3
        assert sorted(came) == list(range(200))
        assert max(abs(place - number) for place, number in enumerate(came)) < 3

    asyncio.run(run())


def test_a_provider_that_hangs_does_not_hold_up_calls_to_another(tmp_path: Path) -> None:
    async def run() -> None:
        held = asyncio.Event()

        async def hang(exchange: Exchange) -> None:
            held.set()
            await exchange.gone()

        async with (
            serve(hang) as slow,
            serve(_at_once) as quick,
            AIClient(_settings(tmp_path, slow.url, quick.url)) as ai,
        ):
            hanging = [asyncio.ensure_future(ai.chat("?", model="p0/m", timeout=20)) for _ in range(200)]
            await held.wait()
            replies = await asyncio.wait_for(_many(ai, 200, model="p1/m"), 15)
            assert {reply.provider for reply in replies} == {"p1"}
            assert not any(one.done() for one in hanging)
            for one in hanging:
                one.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)

    asyncio.run(run())
