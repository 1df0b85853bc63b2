"""One streamed attempt: what it has brought, how long it may be silent, and what is kept back for a while."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing
from dataclasses import replace

import msgspec

from cajanegra.domain.call import Answer, Chunk, Usage
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.patience import Patience
from cajanegra.recovery.continuation import Echo
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
        self._texts: list[str] = [course.request.begun] if course.request.begun else []
        self._echo = Echo(course.request.begun)
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._repaired = False
        self._told = False
        """Whether the consumer was told who goes on with the answer."""

    @property
    def text(self) -> str:
        """The text so far, with what was there when the attempt began."""
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
        with closing(Patience()) as patience:
            async with aclosing(source):
                limit = course.limit()
                while (chunk := await self._next(source, patience, limit)) is not None:
                    chunk = self._add(chunk)
                    limit = target.idle_timeout or target.timeout
                    if kept is not None:
                        kept.append(chunk)
                    elif _has_something(chunk):
                        self.delivered = self.delivered or chunk.is_content
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

    async def _next(self, source: AsyncGenerator[Chunk], patience: Patience, seconds: float) -> Chunk | None:
        try:
            with patience.within(seconds):
                return await anext(source, None)
        except TimeoutError:
            what = "no further token" if self.first_ms is not None else "no token"
            target = self._course.target
            message = f"{what} within {seconds:.3g} s"
            raise ProviderError(
                Failure(FailureKind.TIMEOUT, message, target.provider.name, target.model)
            ) from None

    def _add(self, chunk: Chunk) -> Chunk:
        """Note what a chunk brings, and return what of it is new."""
        if self.first_ms is None and chunk.is_content:
            seconds = self._clock() - self._begun
            self.first_ms = round(seconds * 1000)
            self._course.first_content(seconds)
        if self._course.request.begun:
            text = self._echo.take(chunk.text, last=chunk.finish_reason is not None)
            tells = bool(text or chunk.finish_reason) and not self._told
            name = None
            if tells:
                self._told, name = True, self._course.target.provider.name
                self._course.gone_on()
            chunk = msgspec.structs.replace(chunk, text=text, continued_by=name, wire=b"")
        if chunk.text:
            self._texts.append(chunk.text)
        self._model = chunk.model or self._model
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._usage = chunk.usage or self._usage
        self._repaired = self._repaired or chunk.repaired
        return chunk

    def _check_delivered(self) -> None:
        """A prompt that turns out to have been cut after the answer was delivered is told all the same."""
        self._course.check_prompt(self.answer())


def _has_something(chunk: Chunk) -> bool:
    return bool(chunk.is_content or chunk.finish_reason or chunk.usage)
