from __future__ import annotations

import asyncio

from cajanegra.server.gateway.cohort import next_stage


def test_those_that_are_under_way_together_take_each_stage_together() -> None:
    taken: list[str] = []

    async def request(name: str) -> None:
        for stage in "12":
            taken.append(name + stage)
            await next_stage()

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(request(name))

    asyncio.run(together())
    assert taken == ["a1", "b1", "c1", "a2", "b2", "c2"]
