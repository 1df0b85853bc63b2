from __future__ import annotations

import asyncio

from cajanegra import cohort


def taken_by(*names: str) -> list[str]:
    """The stages of requests that are under way together, in the order in which they were taken."""
    taken: list[str] = []

    async def request(name: str, member: object) -> None:
        for stage in "12":
            taken.append(name + stage)
            await cohort.next_stage()
        cohort.leave(member)

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(request(name, cohort.join()))

    asyncio.run(together())
    return taken


def test_those_that_are_under_way_together_take_each_stage_together() -> None:
    assert taken_by("a", "b", "c") == ["a1", "b1", "c1", "a2", "b2", "c2"]


def test_one_that_is_alone_does_not_give_way() -> None:
    ran: list[str] = []

    async def alone() -> None:
        member = cohort.join()
        asyncio.get_running_loop().call_soon(ran.append, "another")
        await cohort.next_stage()
        ran.append("own")
        cohort.leave(member)
        await asyncio.sleep(0)

    asyncio.run(alone())
    assert ran == ["own", "another"]
