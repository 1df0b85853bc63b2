"""One streamed attempt: what it has brought, how long it may be silent, and what is kept back for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from cajanegra.domain.call import Answer, Chunk, Usage
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.recovery.course import Course


class Received:
    """What a streamed attempt has brought so far.

    Args:
        course: the call that it belongs to.
        clock: seconds, monotonic.
    """

    def __init__(self, course: Course, clock: Callable[[], float]) -> None:
        self.first_ms: int | None = None
        """Milliseconds until the first content."""
        self.delivered = False
        """Whether the consumer has had any content."""
        self._course = course
        self._clock = clock
        self._begun = clock()
        self._texts: list[str] = []
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._repaired = False

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    async def chunks(self) -> AsyncGenerator[Chunk]:
        """Make the attempt.

        Raises:
            ProviderError: it failed.
        """
        course, target = self._course, self._course.target
        kept: list[Chunk] | None = [] if course.holds else None
        source = target.provider.stream(
            course.request, target.model, timeout=min(target.timeout, max(course.remaining, 0.05))
        )
        async with aclosing(source):
            limit = course.limit()
            while (chunk := await self._next(source, limit)) is not None:
                self._add(chunk)
                limit = target.idle_timeout or target.timeout
                if kept is not None:
                    kept.append(chunk)
                elif _has_something(chunk):
                    self.delivered = self.delivered or bool(chunk.text or chunk.tool_calls)
                    yield chunk
        if kept is not None:
            course.check_prompt(self.answer())
            for chunk in filter(_has_something, kept):
                self.delivered = True
                yield chunk
        else:
            self._check_delivered()

    def cut(self, error: ProviderError) -> ProviderError:
        """A stream that failed after its first content was interrupted, whatever interrupted it."""
        return ProviderError(replace(error.failure, kind=FailureKind.STREAM_INTERRUPTED), self.text)

    def answer(self) -> Answer:
        """The whole answer, once it is complete."""
        return Answer(self.text, self._model, self._usage, self._finish_reason, repaired=self._repaired)

    async def _next(self, source: AsyncGenerator[Chunk], seconds: float) -> Chunk | None:
        try:
            async with asyncio.timeout(seconds):
                return await anext(source, None)
        except TimeoutError:
            what = "no further token" if self.first_ms is not None else "no token"
            target = self._course.target
            message = f"{what} within {seconds:.3g} s"
            raise ProviderError(
                Failure(FailureKind.TIMEOUT, message, target.provider.name, target.model)
            ) from None

    def _add(self, chunk: Chunk) -> None:
        if (chunk.text or chunk.tool_calls) and self.first_ms is None:
            seconds = self._clock() - self._begun
            self.first_ms = round(seconds * 1000)
            self._course.first_content(seconds)
        if chunk.text:
            self._texts.append(chunk.text)
        self._model = chunk.model or self._model
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._usage = chunk.usage or self._usage
        self._repaired = self._repaired or chunk.repaired

    def _check_delivered(self) -> None:
        """A prompt that turns out to have been cut after the answer was delivered is told all the same."""
        self._course.check_prompt(self.answer())


def _has_something(chunk: Chunk) -> bool:
    return bool(chunk.text or chunk.tool_calls or chunk.finish_reason or chunk.usage)
