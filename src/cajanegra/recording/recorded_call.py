"""A call while it happens: notes its steps and its end, on the caller's thread."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from cajanegra.domain.call import Answer, CallStatus, Strategy
from cajanegra.domain.events import Begin, Finish, Step, Trigger
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.domain.response import answer_from
from cajanegra.recording import plain
from cajanegra.recording.desk import Desk, never_raises

_HANDOVER = re.compile(r"\s*([a-z0-9_-]{1,20})\s*->\s*([a-z0-9_-]{1,20})\s*")
"""A fallback in words, ``"ollama -> openai"``: who failed, and who was asked next."""


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """Who is asked in an attempt."""

    provider: str
    model: str | None
    on_fallback: bool = False


class RecordedCall:
    """A call that has begun: a ``ports.OpenCall``, and a context manager.

    An exception that leaves its block is recorded, classified and raised on untouched. A block that ends
    without ``finish`` is recorded as answered, with what is known. Only the first end counts.

    Args:
        desk: what it writes with.
        begin: its first event, kept already.
        kept: whether there was room for that.
        prompt: what is to be masked and kept when the call has ended.
    """

    __slots__ = (
        *("_answered", "_asked", "_begin", "_begun", "_ended", "_first", "_prompt", "_sink", "_steps"),
        *("desk", "key", "request_id"),
    )

    def __init__(self, desk: Desk, begin: Begin, *, kept: bool, prompt: Any = None) -> None:
        self.desk = desk
        self.key = begin.call
        self.request_id = begin.request_id
        self._begin = begin
        self._steps: list[Step] = []
        self._sink = desk.sink
        self._prompt = prompt
        self._first = self._asked = self._answered = _Asked(begin.provider, begin.model)
        self._ended = not kept
        self._begun = desk.timer()

    def ask_instead(self, provider: str, model: str | None) -> None:
        """The first attempt goes to somebody else; see ``ports.OpenCall.ask_instead``."""
        self._asked = self._answered = _Asked(provider, model, on_fallback=True)

    @never_raises
    def step(
        self,
        strategy: str,
        *,
        action: str,
        error: BaseException | None = None,
        successful: bool,
        time_ms: int | None = None,
        provider: str | None = None,
        model: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down a recovery step that has ended; see ``ports.OpenCall.step``.

        A fallback whose ``action`` reads ``"ollama -> openai"`` says with it who failed and who was asked,
        where ``provider`` is not given. Without ``error`` the failure that led here is of unknown kind.
        """
        if self._ended:
            return
        words = plain.text(action) or ""
        strategy = plain.text(strategy) or ""
        failed, asked = self._asked.provider, plain.text(provider)
        if strategy == Strategy.FALLBACK:
            failed, asked = _handover(words, failed, asked)
        trigger = self._trigger(error, failed)
        self._asked = self._next(strategy, asked, plain.text(model))
        if successful:
            self._answered = self._asked
        known = _known(provider=self._asked.provider, model=self._asked.model)
        step = Step(
            self.key,
            self.desk.clock(),
            strategy,
            words,
            bool(successful),
            plain.whole(time_ms),
            trigger,
            known | _known(**plain.mapping(result)),
        )
        self._append(step)
        self._steps.append(step)

    @never_raises
    def finish(
        self,
        response: Any = None,
        *,
        text: str | None = None,
        tokens_used: int | None = None,
        confidence: float | None = None,
        model: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down that the call was answered; see ``ports.OpenCall.finish``."""
        if self._ended:
            return
        answer = answer_from(response) if response is not None else _NO_ANSWER
        content = plain.text(text)
        if content is None and (answer.text or answer.finish_reason or answer.tool_calls):
            content = answer.text
        asked = self._answered
        self._end(
            CallStatus.FALLBACK if asked.on_fallback else CallStatus.SUCCESS,
            asked,
            plain.text(model) or answer.model or asked.model,
            text=content,
            tokens_used=plain.whole(tokens_used) if tokens_used is not None else answer.usage.total_tokens,
            confidence=_probability(confidence if confidence is not None else answer.confidence),
            metadata=_details(answer) | plain.mapping(metadata) if metadata is not None else _details(answer),
        )

    @never_raises
    def fail(
        self,
        error: BaseException,
        *,
        status: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        partial_text: str = "",
    ) -> None:
        """Write down that the call was given up; see ``ports.OpenCall.fail``."""
        if self._ended:
            return
        trigger = self._trigger(error, self._asked.provider)
        if status not in (CallStatus.TIMEOUT, CallStatus.ERROR):
            status = CallStatus.TIMEOUT if trigger.kind == FailureKind.TIMEOUT else CallStatus.ERROR
        self._end(
            status,
            replace(self._asked, provider=trigger.provider),
            trigger.model or self._asked.model,
            text=plain.text(partial_text) or None,
            metadata=plain.mapping(metadata),
            failure=trigger,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.fail(error)

    def _next(self, strategy: str, provider: str | None, model: str | None) -> _Asked:
        """Who is asked in a step: its provider and model, else those of the attempt before."""
        before = self._asked
        provider = provider or before.provider
        if model is None and provider == before.provider and strategy != Strategy.FALLBACK:
            model = before.model
        if provider == before.provider and strategy != Strategy.FALLBACK:
            return _Asked(provider, model, before.on_fallback)
        came_back = provider == self._first.provider != before.provider
        return _Asked(provider, model, strategy == Strategy.FALLBACK and not came_back)

    def _trigger(self, error: Any, provider: str) -> Trigger:
        model = self._asked.model if provider == self._asked.provider else None
        if not isinstance(error, BaseException):
            return Trigger(FailureKind.UNKNOWN, plain.text(error) or "", provider, model)
        try:
            failure = self.desk.reader.from_exception(error, provider=provider, model=model)
        except Exception as unread:  # noqa: BLE001 - the failure is recorded even when it cannot be read
            self.desk.report(unread)
            failure = Failure(FailureKind.UNKNOWN, plain.text(error) or "", provider, model)
        # What is no Exception (KeyboardInterrupt, CancelledError, GeneratorExit) is the host that stops.
        stopped = not isinstance(error, Exception)
        return Trigger(
            str(FailureKind.CANCELLED if stopped else failure.kind),
            plain.text(failure.message) or "",
            plain.text(failure.provider) or provider,
            plain.text(failure.model),
            failure.http_status,
            plain.text(failure.code),
            failure.exception_type,
            failure.retry_after,
        )

    def _end(
        self,
        status: str,
        asked: _Asked,
        model: str | None,
        *,
        text: str | None,
        tokens_used: int | None = None,
        confidence: float | None = None,
        metadata: dict[str, Any],
        failure: Trigger | None = None,
    ) -> None:
        self._ended = True
        desk = self.desk
        self._append(
            Finish(
                self.key,
                desk.clock(),
                str(status),
                asked.provider,
                model,
                round((desk.timer() - self._begun) * 1000),
                failure,
                None if text is None else len(text),
                tokens_used,
                confidence,
                metadata or None,
                desk.content(text),
                asked.on_fallback,
            )
        )
        if desk.redacting is not None:
            desk.mask_later(self._begin, self._prompt, desk.content(text, masked=True))

    def _append(self, event: Step | Finish) -> None:
        """In a forked child, and at the very end, the whole call is noted again in another spool."""
        sink = self.desk.sink
        if sink is not self._sink:
            self._sink = sink
            sink.append(replace(self._begin, copied=True))
            for step in self._steps:
                sink.append(step)
        sink.append(event)


def _handover(words: str, now: str, asked: str | None) -> tuple[str, str | None]:
    """Who failed and who is asked next, by the words of a fallback where they speak of these providers."""
    if found := _HANDOVER.fullmatch(words):
        before, after = found.groups()
        if asked in (None, after) and now in (before, after):
            return before, after
    return now, asked


_NO_ANSWER = Answer(text="")


def _probability(value: Any) -> float | None:
    found = plain.number(value)
    return found if found is not None and 0 <= found <= 1 else None


def _details(answer: Answer) -> dict[str, Any]:
    if answer is _NO_ANSWER:
        return {}
    usage = answer.usage
    return _known(
        finish_reason=answer.finish_reason,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )


def _known(**details: Any) -> dict[str, Any]:
    return {name: value for name, value in details.items() if value is not None}
