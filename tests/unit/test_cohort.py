from __future__ import annotations

import asyncio

from cajanegra import cohort


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


def test_who_has_left_counts_no_more() -> None:
    stages_taken(cohort.FEWEST)
    assert stages_taken(2) == [(0, 0), (1, 0), (0, 1), (1, 1)]
