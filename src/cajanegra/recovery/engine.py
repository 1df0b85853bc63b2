"""Makes attempts until a provider answers, the deadline passes, or nothing is left to try."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from cajanegra.domain.call import Answer, CallStatus, ChatCall, Chunk
from cajanegra.domain.failure import ProviderError
from cajanegra.errors import CallError
from cajanegra.ports import CallLog, Knowledge
from cajanegra.recovery.course import Course, Surroundings
from cajanegra.recovery.decision import Policy
from cajanegra.recovery.health import Health
from cajanegra.recovery.minutes import StepTaken
from cajanegra.recovery.streaming import Received
from cajanegra.recovery.target import Target


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answered call."""

    answer: Answer
    request_id: str
    status: CallStatus
    target: Target
    attempts: int
    steps: Sequence[StepTaken]


class Engine:
    """Answers calls through a chain of targets and writes down every attempt.

    Args:
        log: where calls are written down.
        knowledge: what to tell a caller whose call cannot be answered.
        policy: how far to go.
        health: what calls learn of the providers; default is what this engine's calls learn.
        on_call: told of every call that begins.
        clock: seconds, monotonic.
        sleep: waits for so many seconds.
        chance: a random number in [0, 1).
    """

    def __init__(
        self,
        log: CallLog,
        knowledge: Knowledge,
        policy: Policy,
        *,
        health: Health | None = None,
        on_call: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy
        self.health = health or Health(clock, policy.retry_budget)
        self._on_call = on_call
        self._around = Surroundings(log, policy, self.health, knowledge, clock, sleep, chance)

    async def chat(self, call: ChatCall, targets: Sequence[Target]) -> Outcome:
        """Get an answer from one of the targets, of which there is at least one, asked in order.

        Raises:
            CallError: nobody answered.
        """
        course = self._course(call, targets, streamed=False)
        try:
            await course.begin()
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
            course.abandoned(error)
            raise

    async def stream(self, call: ChatCall, targets: Sequence[Target]) -> AsyncGenerator[Chunk]:
        """Get an answer piece by piece; see ``chat``.

        A failure before the first content is recovered unseen. One after it ends the stream with a
        ``CallError`` that carries the text delivered so far.
        """
        course = self._course(call, targets, streamed=True)
        received = Received(course, self._around.clock)
        try:
            await course.begin()
            while True:
                received = Received(course, self._around.clock)
                try:
                    async with aclosing(received.chunks()) as chunks:
                        async for chunk in chunks:
                            yield chunk
                except ProviderError as error:
                    if received.delivered:
                        raise course.broke_off(received.cut(error)) from error
                    await course.recover(error)
                else:
                    course.answered(received.answer(), {"ttft_ms": received.first_ms})
                    return
        except CallError:
            raise
        except BaseException as error:
            course.abandoned(error, received.text if received.delivered else "")
            raise

    def _course(self, call: ChatCall, targets: Sequence[Target], *, streamed: bool) -> Course:
        if self._on_call is not None:
            self._on_call()
        return Course(call, targets, self._around, streamed=streamed, begun=self._around.clock())
