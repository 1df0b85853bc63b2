from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Message

from cajanegra import cohort
from cajanegra.server.gateway.gateway import Gateway


def stages_taken(requests: int) -> list[tuple[int, int]]:
    """The stages of requests that are under way together, in the order in which they were taken."""
    taken: list[tuple[int, int]] = []

    async def request(number: int, member: object) -> None:
        for stage in range(2):
            taken.append((stage, number))
            await cohort.next_stage()
        await asyncio.sleep(0)  # others are under way until all have ended
        cohort.leave(member)

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(requests):
                group.create_task(request(number, cohort.join()))

    asyncio.run(together())
    return taken


def test_many_that_are_under_way_together_take_each_stage_together() -> None:
    taken = stages_taken(cohort.FEWEST)
    assert taken == sorted(taken)
    assert len(taken) == 2 * cohort.FEWEST


def test_few_do_not_give_way() -> None:
    assert stages_taken(3) == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]


def test_requests_that_were_refused_are_under_way_no_more() -> None:
    nobody: Any = None
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    async def refused() -> None:
        one = Gateway(nobody, nobody, nobody, max_body_bytes=1)
        await one({"type": "http", "method": "GET", "path": "/v1/nothing", "headers": []}, nobody, send)

    for _ in range(cohort.FEWEST):
        asyncio.run(refused())
    assert [message["status"] for message in told if "status" in message] == [404] * cohort.FEWEST
    assert stages_taken(2) == [(0, 0), (1, 0), (0, 1), (1, 1)]
