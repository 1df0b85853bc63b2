"""Makes attempts until a provider answers, the deadline passes, or nothing is left to try."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from cajanegra.domain.call import Answer, CallStatus, ChatCall, Chunk, Usage
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.ports import CallLog, Knowledge
from cajanegra.recovery.course import Course, StepTaken, Surroundings, Target
from cajanegra.recovery.decision import Policy


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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy
        self._log = log
        self._around = Surroundings(policy, knowledge, clock, sleep, chance)

    async def chat(self, call: ChatCall, targets: Sequence[Target]) -> Outcome:
        """Get an answer from one of the targets, of which there is at least one, asked in order.

        Raises:
            CallError: nobody answered.
        """
        course = self._begin(call, targets)
        while True:
            target = course.target
            try:
                answer = await target.provider.chat(
                    course.request, target.model, timeout=course.attempt_timeout
                )
            except ProviderError as error:
                await self._recover(course, error)
            except BaseException as error:
                course.abandoned(error)
                raise
            else:
                course.answered(answer)
                return Outcome(
                    answer, course.call.request_id, course.status, target, course.attempts, course.steps
                )

    async def stream(self, call: ChatCall, targets: Sequence[Target]) -> AsyncGenerator[Chunk]:
        """Get an answer piece by piece; see ``chat``.

        A failure before the first content is recovered unseen. One after it ends the stream with a
        ``CallError`` that carries the text delivered so far.
        """
        course = self._begin(call, targets)
        while True:
            collected = _Collected(self._around.clock())
            target = course.target
            chunks = target.provider.stream(course.request, target.model, timeout=course.attempt_timeout)
            try:
                async with aclosing(chunks):
                    async for chunk in chunks:
                        collected.add(chunk, self._around.clock)
                        yield chunk
            except ProviderError as error:
                if collected.has_content:
                    raise course.broke_off(ProviderError(_cut(error.failure), collected.text)) from error
                await self._recover(course, error)
            except BaseException as error:
                course.abandoned(error, collected.text)
                raise
            else:
                course.answered(collected.answer(), {"ttft_ms": collected.first_ms})
                return

    def _begin(self, call: ChatCall, targets: Sequence[Target]) -> Course:
        info, request = call.info, call.request
        recorded = self._log.call(
            task=info.task,
            provider=targets[0].provider.name,
            model=call.model,
            prompt=call.prompt,
            tenant_id=info.tenant_id,
            module=info.module,
            user_id=info.user_id,
            request_id=info.request_id,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            metadata=info.metadata,
        )
        allowed = self.policy.timeout if call.timeout is None else call.timeout
        return Course(recorded, request, targets, self._around, self._around.clock() + allowed)

    async def _recover(self, course: Course, error: ProviderError) -> None:
        try:
            await course.recover(error)
        except asyncio.CancelledError as cancelled:
            course.abandoned(cancelled)
            raise


class _Collected:
    """What a stream has brought so far."""

    def __init__(self, begun: float) -> None:
        self.first_ms: int | None = None
        self.has_content = False
        self._begun = begun
        self._texts: list[str] = []
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._usage = Usage()

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def add(self, chunk: Chunk, clock: Callable[[], float]) -> None:
        if chunk.text or chunk.tool_calls:
            if not self.has_content:
                self.first_ms = round((clock() - self._begun) * 1000)
            self.has_content = True
            self._texts.append(chunk.text)
        self._model = chunk.model or self._model
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._usage = chunk.usage or self._usage

    def answer(self) -> Answer:
        return Answer(self.text, self._model, self._usage, self._finish_reason)


def _cut(failure: Failure) -> Failure:
    """A stream that failed after its first content was interrupted, whatever interrupted it."""
    return Failure(
        FailureKind.STREAM_INTERRUPTED,
        failure.message,
        failure.provider,
        failure.model,
        failure.http_status,
        failure.code,
        failure.exception_type,
        failure.retry_after,
    )
