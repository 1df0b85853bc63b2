"""A limit for many waits ends each that takes too long, and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import pytest

from cajanegra import patience as module
from cajanegra.patience import Patience


@pytest.fixture(autouse=True, params=["each its timer", "one timer for a second"])
def _timers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "one timer for a second":
        monkeypatch.setattr(module, "NEAR", 0.0)


def test_a_wait_that_takes_too_long_ends() -> None:
    async def story() -> None:
        with closing(Patience()) as patience:
            for _ in range(3):
                with pytest.raises(TimeoutError), patience.within(0.01):
                    await asyncio.Event().wait()
            with patience.within(60):
                await asyncio.sleep(0)  # the task goes on as if nothing had been

    asyncio.run(story())


def test_a_wait_may_take_longer_than_the_one_before_and_shorter_than_the_first() -> None:
    async def story() -> None:
        with closing(Patience()) as patience:
            with patience.within(0.01):
                await asyncio.sleep(0)
            with patience.within(60):
                await asyncio.sleep(0.03)  # beyond the limit of the first wait
            with pytest.raises(TimeoutError), patience.within(0.01):
                await asyncio.Event().wait()

    asyncio.run(story())


def test_between_waits_nobody_is_disturbed() -> None:
    async def story() -> None:
        with closing(Patience()) as patience:
            with patience.within(0.01):
                await asyncio.sleep(0)
            await asyncio.sleep(0.03)

    asyncio.run(story())


def test_limits_within_limits_end_the_wait_that_they_are_about() -> None:
    async def story() -> str:
        with closing(Patience()) as outer, closing(Patience()) as inner:
            try:
                with outer.within(60), inner.within(0.01):
                    await asyncio.Event().wait()
            except TimeoutError:
                pass
            try:
                with outer.within(0.01):
                    try:
                        with inner.within(60):
                            await asyncio.Event().wait()
                    except TimeoutError:
                        return "the wrong one"
            except TimeoutError:
                return "the outer one"
        return "none"

    assert asyncio.run(story()) == "the outer one"


def test_who_is_cancelled_stays_cancelled() -> None:
    async def wait() -> None:
        with closing(Patience()) as patience, patience.within(60):
            await asyncio.Event().wait()

    async def story() -> bool:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return task.cancelled()
        return False

    assert asyncio.run(story())


def test_a_cancellation_at_the_limit_is_one() -> None:
    async def wait() -> None:
        task = asyncio.current_task()
        assert task is not None
        with closing(Patience()) as patience, patience.within(0):
            asyncio.get_running_loop().call_soon(task.cancel)
            await asyncio.Event().wait()

    async def story() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(wait())

    asyncio.run(story())


def test_after_an_error_of_its_own_a_wait_leaves_no_timer() -> None:
    async def story() -> None:
        patience = Patience()
        with pytest.raises(ValueError, match="of its own"), closing(patience), patience.within(0.01):
            raise ValueError("of its own")
        await asyncio.sleep(0.03)

    asyncio.run(story())


def test_many_waits_that_end_later_cost_one_timer_a_second() -> None:
    async def story() -> int:
        loop = asyncio.get_running_loop()
        timers = 0
        arm = loop.call_at

        def counted(*given: Any, **named: Any) -> asyncio.TimerHandle:
            nonlocal timers
            timers += 1
            return arm(*given, **named)

        loop.call_at = counted  # type: ignore[method-assign, assignment]
        for _ in range(100):
            with closing(Patience()) as patience, patience.within(60):
                pass
        return timers

    assert asyncio.run(story()) <= 2  # a second may end meanwhile


def test_loops_one_after_the_other_have_timers_of_their_own() -> None:
    for _ in range(2):
        test_a_wait_that_takes_too_long_ends()
