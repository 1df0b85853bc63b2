"""The recorder: notes what happens to a call, on the caller's thread, in microseconds."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import re
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self

from cajanegra.domain.call import Answer, CallStatus, Message, Strategy, prompt_hash, prompt_text
from cajanegra.domain.events import Begin, Feedback, Finish, Step, Trigger
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.domain.ids import uuid7
from cajanegra.domain.response import answer_from
from cajanegra.ports import FailureReader
from cajanegra.recording.writer import Writer, WriterStats

logger = logging.getLogger("cajanegra")

_HANDOVER = re.compile(r"^\s*([a-z0-9_-]{1,20})\s*->\s*([a-z0-9_-]{1,20})\s*$")
"""A fallback in words, ``"ollama -> openai"``: who failed, and who was asked next."""

P = ParamSpec("P")


def _never_raises(method: Callable[P, None]) -> Callable[P, None]:
    """What goes wrong in the recorder is reported, and is never the host's problem."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the promise of the recorder
            # The message may hold what the application passed, so only the type is said.
            logger.error("cajanegra could not record: %s in %s", type(error).__name__, method.__name__)  # noqa: TRY400

    return guarded


class RecordedCall:
    """A call that has begun: a ``ports.OpenCall``, and a context manager.

    An exception that leaves its block is recorded, classified and raised on untouched. A block that ends
    without ``finish`` is recorded as answered, with what is known.
    """

    def __init__(self, recorder: Recorder, request_id: str, provider: str, model: str | None) -> None:
        self.request_id = request_id
        self._recorder = recorder
        self._key = uuid7()
        self._begun = time.perf_counter()
        self._provider = provider
        self._model = model
        self._fell_back = False
        self._ended = False

    @_never_raises
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
        """Write down a recovery step that has ended; see ``ports.OpenCall.step``."""
        failed, asked = self._provider, provider or self._provider
        if provider is None and strategy == Strategy.FALLBACK and (words := _HANDOVER.match(action)):
            failed, asked = words.groups()
        trigger = self._trigger(error, failed) if error is not None else None
        self._provider = asked
        self._model = model or (self._model if asked == failed else None)
        self._fell_back = self._fell_back or (strategy == Strategy.FALLBACK and successful)
        self._recorder.sink.append(
            Step(
                self._key,
                self._recorder.clock(),
                str(strategy),
                action,
                successful,
                time_ms,
                trigger,
                dict(result) if result else None,
            )
        )

    @_never_raises
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
        answer = answer_from(response) if response is not None else Answer(text=text or "")
        content = text if text is not None else (answer.text if response is not None else None)
        self._end(
            CallStatus.FALLBACK if self._fell_back else CallStatus.SUCCESS,
            model=model or answer.model or self._model,
            text=content,
            tokens_used=tokens_used if tokens_used is not None else answer.usage.total_tokens,
            confidence=_probability(confidence if confidence is not None else answer.confidence),
            metadata={**_details(answer), **(metadata or {})},
        )

    @_never_raises
    def fail(
        self,
        error: BaseException,
        *,
        status: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        partial_text: str = "",
    ) -> None:
        """Write down that the call was given up; see ``ports.OpenCall.fail``."""
        trigger = self._trigger(error, self._provider)
        default = CallStatus.TIMEOUT if trigger.kind == FailureKind.TIMEOUT else CallStatus.ERROR
        self._end(
            status or default,
            model=trigger.model or self._model,
            text=partial_text or None,
            metadata=dict(metadata or {}),
            failure=trigger,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail(error)
        else:
            self.finish()

    def _trigger(self, error: BaseException, provider: str) -> Trigger:
        model = self._model if provider == self._provider else None
        return _to_event(self._recorder.reader.from_exception(error, provider=provider, model=model))

    def _end(
        self,
        status: str,
        *,
        model: str | None,
        text: str | None,
        tokens_used: int | None = None,
        confidence: float | None = None,
        metadata: dict[str, Any],
        failure: Trigger | None = None,
    ) -> None:
        if self._ended:
            return
        self._ended = True
        recorder = self._recorder
        recorder.sink.append(
            Finish(
                self._key,
                recorder.clock(),
                str(status),
                self._provider,
                model,
                round((time.perf_counter() - self._begun) * 1000),
                failure,
                len(text) if text is not None else None,
                tokens_used,
                confidence,
                metadata or None,
                text if recorder.captures else None,
            )
        )

    def begin_event(
        self,
        task: str,
        prompt: str | Sequence[Message] | None,
        tenant_id: str | None,
        module: str | None,
        user_id: str | None,
        temperature: float | None,
        max_tokens: int | None,
        metadata: Mapping[str, Any] | None,
    ) -> Begin:
        """The event that opens this call in the record."""
        text = prompt_text(prompt) if prompt is not None else None
        return Begin(
            self._key,
            self._recorder.clock(),
            self.request_id,
            task,
            self._provider,
            self._model,
            tenant_id,
            module,
            user_id,
            len(text) if text is not None else None,
            prompt_hash(text) if text is not None else None,
            temperature,
            max_tokens,
            dict(metadata) if metadata else None,
            prompt if self._recorder.captures else None,
        )


class Recorder:
    """Writes down AI calls that any client makes. One per process and database; safe for all threads.

    No method waits for the database or raises into the caller's code, but for ``flush`` and ``close``,
    which wait for at most their timeout.

    Args:
        new_writer: makes the writer; called again in a forked child, which writes for itself.
        reader: reads the failure in an exception.
        capture: whether the text of prompts and answers is kept.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        new_writer: Callable[[], Writer],
        reader: FailureReader,
        *,
        capture: Literal["none", "redacted", "full"] = "none",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.reader = reader
        self.clock = clock
        self.captures = capture != "none"
        self.sink = new_writer()
        self._new_writer = new_writer
        self._inherited: list[Writer] = []
        this = weakref.ref(self)

        def start_afresh() -> None:
            if recorder := this():
                recorder._start_afresh()  # noqa: SLF001

        def close() -> None:
            if recorder := this():
                recorder.close()

        os.register_at_fork(after_in_child=start_afresh)
        self._close_at_exit = atexit.register(close)

    def call(
        self,
        *,
        task: str,
        provider: str,
        model: str | None = None,
        prompt: str | Sequence[Message] | None = None,
        tenant_id: str | None = None,
        module: str | None = None,
        user_id: str | None = None,
        request_id: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> RecordedCall:
        """Write down that a call begins.

        Args:
            task: what the call is for: ``classification``, ``analysis``, ``chat``.
            provider: who is asked first.
            model: the model that the application asks for.
            prompt: a string or messages; only its length and hash are kept unless content is captured.
            tenant_id: on whose behalf.
            module: the part of the application that asks.
            user_id: the person who asked.
            request_id: the application's own id of the call; default is a new UUIDv7.
            temperature: as asked for.
            max_tokens: as asked for.
            metadata: anything else worth keeping, as JSON.

        Returns:
            The open call, to be used as a context manager.
        """
        call = RecordedCall(self, request_id or uuid7(), provider, model)
        self._begin(call, task, prompt, tenant_id, module, user_id, temperature, max_tokens, metadata)
        return call

    @_never_raises
    def feedback(
        self,
        request_id: str,
        feedback: str,
        *,
        tenant_id: str | None = None,
        correction: str | None = None,
    ) -> None:
        """Write down what a person thought of an answer: ``thumbs_up``, ``thumbs_down``, or another word."""
        self.sink.append(Feedback(self.clock(), request_id, feedback, tenant_id, correction))

    @property
    def stats(self) -> WriterStats:
        """How much is waiting, written and lost."""
        return self.sink.stats

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait for at most ``timeout`` seconds; whether every finished call is in the database."""
        return self.sink.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is waiting, for at most ``timeout`` seconds, and stop recording."""
        atexit.unregister(self._close_at_exit)
        self.sink.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @_never_raises
    def _begin(
        self,
        call: RecordedCall,
        task: str,
        prompt: str | Sequence[Message] | None,
        tenant_id: str | None,
        module: str | None,
        user_id: str | None,
        temperature: float | None,
        max_tokens: int | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        self.sink.append(
            call.begin_event(task, prompt, tenant_id, module, user_id, temperature, max_tokens, metadata)
        )

    def _start_afresh(self) -> None:
        """In a forked child: the inherited events are the parent's to write, its connections to close."""
        self._inherited.append(self.sink)
        self.sink = self._new_writer()


def _to_event(failure: Failure) -> Trigger:
    return Trigger(
        str(failure.kind),
        failure.message,
        failure.provider,
        failure.model,
        failure.http_status,
        failure.code,
        failure.exception_type,
        failure.retry_after,
    )


def _probability(value: float | None) -> float | None:
    return value if value is not None and 0 <= value <= 1 else None


def _details(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    details = {
        "finish_reason": answer.finish_reason,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    return {key: value for key, value in details.items() if value is not None}
