from __future__ import annotations

import asyncio
import contextlib
import gc
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.gate import TRUSTED, WIDENING
from cajanegra.recovery.health import CLOCK_MARGIN, Health, Pass
from cajanegra.recovery.lines import Place
from cajanegra.recovery.target import Target
from scripted import Clock, ScriptedProvider


def _target(name: str = "p0", **known: Any) -> Target:
    return Target(ScriptedProvider(name), "m", 10.0, account=name, **known)


@dataclass
class Crowd:
    """Calls that wait for targets, and how often each was woken."""

    health: Health
    woken: Counter[int] = field(default_factory=Counter)
    went: list[int] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)
    keepers: set[int] = field(default_factory=set)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def add(self, *targets: Target, attempts: int = 0) -> asyncio.Task[None]:
        """A call comes that waits for whichever of the targets has room first."""
        place = self.health.lines.place()
        place.attempts = attempts
        self._tasks.append(asyncio.ensure_future(self._wait(place, targets)))
        return self._tasks[-1]

    async def settle(self) -> None:
        """Let everybody do what there is to do."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def leave(self) -> None:
        """All give up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self, place: Place, targets: tuple[Target, ...]) -> None:
        lines = self.health.lines
        try:
            while True:
                version = lines.version
                for target in targets:
                    if (leave := self.health.enter(target, urgent=False, place=place)) is not None:
                        self.went.append(place.number)
                        self.passes.append(leave)
                        return
                await lines.pause(place, targets, version, self._sleep(place))
                self.woken[place.number] += 1
        finally:
            lines.leave(place)

    def _sleep(self, place: Place) -> Callable[[bool], Awaitable[None]]:
        def sleep(keeps_time: bool) -> Awaitable[None]:
            (self.keepers.add if keeps_time else self.keepers.discard)(place.number)
            return asyncio.Event().wait()  # type: ignore[return-value]  # without end

        return sleep


@contextlib.asynccontextmanager
async def _crowd(health: Health, count: int, *targets: Target) -> AsyncIterator[Crowd]:
    crowd = Crowd(health)
    for _ in range(count):
        crowd.add(*targets)
    await crowd.settle()
    try:
        yield crowd
    finally:
        await crowd.leave()
        assert len(health.lines) == 0


def _entered(health: Health, target: Target) -> Pass:
    leave = health.enter(target, urgent=False)
    assert leave is not None
    return leave


def _limited(health: Health, target: Target, seconds: float) -> None:
    failure = Failure(FailureKind.RATE_LIMIT, "slow down", target.provider.name, retry_after=seconds)
    health.failed(_entered(health, target), failure)


def test_one_call_is_woken_for_each_place_that_becomes_free_in_the_order_in_which_they_came() -> None:
    async def run() -> None:
        health, target = Health(Clock()), _target(max_in_flight=3)
        async with _crowd(health, 1000, target) as crowd:
            assert crowd.went == [0, 1, 2]
            for number in range(100):
                health.answered(crowd.passes[number])
                await crowd.settle()
            assert crowd.went == list(range(103))
            assert crowd.woken == Counter(range(3, 103))

    asyncio.run(run())


def test_nobody_is_woken_by_what_lets_nobody_go() -> None:
    async def run() -> None:
        clock = Clock()
        health, target = Health(clock), _target()
        stragglers = [_entered(health, target) for _ in range(50)]
        _limited(health, target, 30.0)
        async with _crowd(health, 1000, target) as crowd:
            for leave in stragglers:
                health.failed(leave, Failure(FailureKind.CONNECTION, "reset", "p0"))
                await crowd.settle()
            assert crowd.went == []
            assert set(crowd.woken) == {0}  # the one that keeps the time
            assert crowd.keepers == {0}

    asyncio.run(run())


def test_after_a_probe_so_many_are_woken_as_may_go_and_at_last_one_more_for_each_answer() -> None:
    async def run() -> None:
        clock = Clock()
        health, target = Health(clock), _target()
        _limited(health, target, 3.0)
        clock.now += 3.0 + CLOCK_MARGIN
        probe = _entered(health, target)
        async with _crowd(health, 1000, target) as crowd:
            health.answered(probe)
            await crowd.settle()
            assert crowd.went == list(range(WIDENING))
            health.answered(crowd.passes[0])
            await crowd.settle()
            assert len(crowd.went) == TRUSTED + 1
            for number in range(1, 500):
                health.answered(crowd.passes[number])
                await crowd.settle()
            assert crowd.went == list(range(1000))
            assert set(crowd.woken.values()) == {1}
            for number in range(500, 1000):
                health.answered(crowd.passes[number])
            assert health.why(target) is None

    asyncio.run(run())


def test_a_probe_is_left_to_the_call_that_has_most_attempts_left() -> None:
    async def run() -> None:
        clock = Clock()
        health, target = Health(clock), _target()
        _limited(health, target, 3.0)
        crowd = Crowd(health)
        for attempts in (3, 1, 0, 2, 0):
            crowd.add(target, attempts=attempts)
        await crowd.settle()
        assert {0, 1, 2} == crowd.keepers
        clock.now += 3.0 + CLOCK_MARGIN
        health.lines.look("p0")
        await crowd.settle()
        assert crowd.went == [2]
        await crowd.leave()

    asyncio.run(run())


def test_who_comes_later_goes_behind_those_who_wait() -> None:
    async def run() -> None:
        health, target = Health(Clock()), _target(max_in_flight=1)
        async with _crowd(health, 3, target) as crowd:
            health.answered(crowd.passes[0])
            assert health.enter(target, urgent=True, place=health.lines.place()) is None
            crowd.add(target)
            await crowd.settle()
            assert crowd.went == [0, 1]

    asyncio.run(run())


def test_somebody_keeps_the_time_when_the_one_that_did_has_failed() -> None:
    async def run() -> None:
        health, target = Health(Clock()), _target()
        _limited(health, target, 30.0)
        crowd = Crowd(health)
        tired = crowd.add(target, attempts=2)
        await crowd.settle()
        keeper = crowd.add(target)
        for _ in range(3):
            crowd.add(target)
        await crowd.settle()
        crowd.keepers.clear()  # from here on those who are told so
        keeper.cancel()
        await crowd.settle()
        assert 2 in crowd.keepers, "the first of those who are left"
        tired.cancel()
        await crowd.settle()
        assert crowd.woken[3] == crowd.woken[4] == 0
        await crowd.leave()

    asyncio.run(run())


@pytest.mark.parametrize("woken_already", [False, True])
def test_a_call_that_is_given_up_hands_its_turn_on(woken_already: bool) -> None:
    async def run() -> None:
        health, target = Health(Clock()), _target(max_in_flight=1)
        async with _crowd(health, 1, target) as crowd:
            second = crowd.add(target)
            crowd.add(target)
            await crowd.settle()
            if woken_already:
                health.answered(crowd.passes[0])
            second.cancel()
            await crowd.settle()
            if not woken_already:
                health.answered(crowd.passes[0])
                await crowd.settle()
            assert crowd.went == [0, 2]

    asyncio.run(run())


def test_a_call_that_goes_elsewhere_leaves_its_other_lines() -> None:
    async def run() -> None:
        health = Health(Clock())
        first, second = _target("p0", max_in_flight=1), _target("p1", max_in_flight=1)
        leaves = [_entered(health, first), _entered(health, second)]
        async with _crowd(health, 2, first, second) as crowd:
            health.answered(leaves[1])
            health.answered(leaves[0])
            await crowd.settle()
            assert crowd.went == [0, 1]
            assert (health.lines.ahead(first), health.lines.ahead(second)) == (0, 0)

    asyncio.run(run())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # asyncio's, of what is left
def test_calls_whose_event_loop_was_closed_hold_nobody_up() -> None:
    health, target = Health(Clock()), _target(max_in_flight=1)
    leave = _entered(health, target)
    abandoned = asyncio.new_event_loop()
    crowd = Crowd(health)

    async def come(crowd: Crowd) -> None:
        crowd.add(target)
        await crowd.settle()

    abandoned.run_until_complete(come(crowd))
    abandoned.close()
    assert len(health.lines) == 1

    async def run() -> None:
        others = Crowd(health)
        others.add(target)
        await others.settle()
        health.answered(leave)
        await others.settle()
        assert len(others.went) == 1

    asyncio.run(run())
    del crowd
    gc.collect()  # here, where it is no surprise that tasks are left


steps = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 4)),
        st.tuples(st.sampled_from(["answered", "failed", "given up", "held"]), st.integers(0, 30)),
        st.tuples(st.just("time"), st.integers(1, 5)),
    ),
    max_size=40,
)


@given(steps)
def test_nobody_sleeps_while_there_is_room(script: list[tuple[str, int]]) -> None:
    async def run() -> None:
        clock = Clock()
        health, target = Health(clock), _target(max_in_flight=3)
        crowd, tasks = Crowd(health), []
        over: set[int] = set()
        for what, number in script:
            if what == "come":
                tasks.append(crowd.add(target, attempts=number))
            elif what == "time":
                clock.now += number
                health.lines.look("p0")  # whoever keeps the time looks then
            elif what == "given up" and tasks:
                tasks[number % len(tasks)].cancel()
            elif what in ("answered", "failed", "held") and (left := _left(crowd, over)):
                leave = left[number % len(left)]
                over.add(id(leave))
                wait = 3.0 if what == "held" else None
                failure = Failure(FailureKind.SERVER_ERROR, "it failed", "p0", retry_after=wait)
                health.answered(leave) if what == "answered" else health.failed(leave, failure)
            await crowd.settle()
            assert len(_left(crowd, over)) <= 3
            if health.lines.ahead(target):
                assert health.wait(target, urgent=False, place=_somebody(health)) > 0
        await crowd.leave()
        assert (len(health.lines), health.lines.ahead(target)) == (0, 0)

    asyncio.run(run())


def _left(crowd: Crowd, over: set[int]) -> list[Pass]:
    return [leave for leave in crowd.passes if id(leave) not in over]


def _somebody(health: Health) -> Place:
    """A place that stands in line already, with so many attempts that it takes every hesitation."""
    place = health.lines.place()
    place.attempts = 20
    return place


def test_who_waits_for_nobody_keeps_its_own_time() -> None:
    async def run() -> None:
        lines = Health(Clock()).lines
        told: list[bool] = []

        async def over() -> None:
            return

        def sleep(keeps_time: bool) -> Awaitable[None]:
            told.append(keeps_time)
            return over()

        await asyncio.wait_for(lines.pause(lines.place(), [], lines.version, sleep), math.inf)
        assert told == [True]

    asyncio.run(run())
