"""Makes attempts until a provider answers, the deadline passes, or nothing is left to try."""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import msgspec

from cajanegra.cohort import next_stage
from cajanegra.domain.call import Answer, CallStatus, ChatCall, Chunk
from cajanegra.domain.failure import ProviderError
from cajanegra.errors import CallError
from cajanegra.ports import CallLog, Prices
from cajanegra.recovery.advice import Advice
from cajanegra.recovery.balance import balanced
from cajanegra.recovery.course import Course
from cajanegra.recovery.decision import Policy
from cajanegra.recovery.health import Health
from cajanegra.recovery.minutes import StepTaken
from cajanegra.recovery.routing import Route
from cajanegra.recovery.streaming import Received
from cajanegra.recovery.surroundings import Surroundings
from cajanegra.recovery.target import Target


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """An answered call."""

    answer: Answer
    request_id: str
    status: CallStatus
    target: Target
    attempts: int
    steps: Sequence[StepTaken]


class OpenStream(msgspec.Struct, frozen=True, gc=False):
    """A streamed call: iterate over its chunks, and close them.

    Attributes:
        course: who is asked now, and how often somebody was.
        chunks: the answer piece by piece; see ``Engine.stream``.
    """

    course: Course
    chunks: AsyncGenerator[Chunk]


class Engine:
    """Answers calls through a chain of targets and writes down every attempt.

    Args:
        log: where calls are written down.
        advice: what is known of failures beforehand.
        policy: how far to go.
        routes: the providers, for corrections that name a model of theirs.
        health: what calls learn of the providers; default is what this engine's calls learn.
        prices: knows what answers cost; without, no cost is written down.
        on_call: told of every call that begins.
        clock: seconds, monotonic.
        sleep: waits for so many seconds.
        chance: a random number in [0, 1).
    """

    def __init__(
        self,
        log: CallLog,
        advice: Advice,
        policy: Policy,
        routes: Sequence[Route] = (),
        *,
        health: Health | None = None,
        prices: Prices | None = None,
        on_call: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy
        self.health = health or Health(clock, policy.retry_budget)
        self._on_call = on_call
        by_name = {route.provider.name: route for route in routes}
        self._around = Surroundings(log, policy, self.health, advice, by_name, clock, sleep, chance, prices)

    def with_log(self, log: CallLog) -> Engine:
        """The same engine, whose calls are written down elsewhere: what is learned is learned by both."""
        other = copy.copy(self)
        other._around = replace(self._around, log=log)  # noqa: SLF001 - its own
        return other

    async def chat(self, call: ChatCall, targets: Sequence[Target]) -> Outcome:
        """Get an answer from one of the targets, of which there is at least one, asked in order.

        Raises:
            CallError: nobody answered.
        """
        return await self.chat_through(self.open(call, targets))

    def open(self, call: ChatCall, targets: Sequence[Target]) -> Course:
        """A call that is about to be asked with ``chat_through``; its time begins now."""
        return self._course(call, targets, streamed=False)

    async def chat_through(self, course: Course) -> Outcome:
        """The same as ``chat``, for a caller that wants to know of the call's course in any case."""
        try:
            await course.begin()
            await next_stage()
            while True:
                target, sent = course.target, self._around.clock()
                try:
                    answer = await target.provider.chat(course.request, target.model, timeout=course.limit())
                    course.check_prompt(answer)
                except ProviderError as error:
                    await course.recover(error)
                else:
                    course.first_content(self._around.clock() - sent)
                    course.answered(answer, {})
                    return Outcome(
                        answer, course.request_id, course.status, target, course.attempts, course.steps
                    )
        except CallError:
            raise
        except BaseException as error:
            course.abandoned(error, "")
            raise

    def stream(self, call: ChatCall, targets: Sequence[Target]) -> AsyncGenerator[Chunk]:
        """Get an answer piece by piece; see ``chat``.

        A failure before the first content is recovered unseen. One after it ends the stream with a
        ``CallError`` that carries the text delivered so far, unless a target can go on with it: the chunk
        with which it does says so.
        """
        return self._chunks(lambda: self._course(call, targets, streamed=True))

    def open_stream(self, call: ChatCall, targets: Sequence[Target]) -> OpenStream:
        """The same as ``stream``, with what is known of its course; the call's time begins now."""
        course = self._course(call, targets, streamed=True)
        return OpenStream(course, self._chunks(lambda: course))

    async def _chunks(self, begin: Callable[[], Course]) -> AsyncGenerator[Chunk]:
        course = begin()
        received = Received(course, self._around.clock)
        try:
            await course.begin()
            await next_stage()
            while True:
                received = Received(course, self._around.clock)
                try:
                    async with aclosing(received.chunks()) as chunks:
                        async for chunk in chunks:
                            yield chunk
                except ProviderError as error:
                    if received.delivered:
                        await course.go_on(received.cut(error), error.failure)
                    else:
                        await course.recover(error)
                else:
                    course.answered(received.answer(), {"ttft_ms": received.first_ms})
                    return
        except CallError:
            raise
        except BaseException as error:
            course.abandoned(error, received.text if received.delivered else course.delivered)
            raise

    def _course(self, call: ChatCall, targets: Sequence[Target], *, streamed: bool) -> Course:
        if self._on_call is not None:
            self._on_call()
        around, task = self._around, call.info.task
        targets = balanced(targets, self.health, task, streamed=streamed, chance=around.chance)
        return Course(call, targets, around, streamed=streamed, begun=self._around.clock())
