"""Puts the events of a call together to the record of that call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from cajanegra.domain.events import Begin, Carried, Event, Feedback, Finish, Recorded, Step, Trigger
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.record import (
    COPIED,
    FINAL,
    CallRecord,
    ContentRecord,
    FeedbackRecord,
    Occurrence,
    Record,
    StepRecord,
)
from cajanegra.domain.redactor import Redactor
from cajanegra.ports import Patterns

MAX_OPEN_CALLS = 100_000
MAX_ENDED = 10_000
"""Calls, and at most twice as many, whose end is remembered, for when one is noted again as it ends."""
_NOTHING: Mapping[str, Any] = {}
"""Shared by all calls without metadata: what the garbage collector need not look at costs nothing."""
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, the last that a ``datetime`` can hold."""


class _OpenCall(msgspec.Struct, gc=False):
    begin: Begin
    position: int
    steps: Sequence[Step] = ()
    carried: bool = False
    """Whether it was noted again and that note is still to be read."""


class Assembler:
    """Groups the events of one track by call and makes a record of each call that has ended.

    Args:
        patterns: says which failures belong together, and why they happen.
        redactor: masks error messages, metadata and content; by default one without patterns of the user's.
        redacted_content: whether captured content is to be masked before it is stored.
        max_open: calls in flight at once; beyond it the oldest is taken for one that will never end.
    """

    def __init__(
        self,
        patterns: Patterns,
        redactor: Redactor | None = None,
        *,
        redacted_content: bool = True,
        max_open: int = MAX_OPEN_CALLS,
    ) -> None:
        self._patterns = patterns
        self._max_open = max_open
        self._redactor = redactor or Redactor()
        self._content: Callable[[Any], Any] = self._redactor.content if redacted_content else _as_it_is
        self._open: dict[str, _OpenCall] = {}
        self._ended: set[str] = set()
        self._ended_before: set[str] = set()
        self._early: dict[str, list[tuple[int, Step | Finish]]] = {}

    def get_ready(self) -> None:
        """Load what the first failure would need, while nobody waits for it and it can be tried again.

        Raises:
            OSError: it cannot be read now: this machine may be out of files.
        """
        self._patterns.explain(provider="", kind=FailureKind.UNKNOWN, message="")

    @property
    def open_calls(self) -> int:
        """Calls that have begun and not ended."""
        return len(self._open)

    @property
    def oldest(self) -> int | None:
        """The position of the oldest call that is open."""
        return next(iter(self._open.values())).position if self._open else None

    def add(self, event: Event, position: int = 0) -> Sequence[Record]:
        """Take an event, which ends at ``position`` of its track; returns the records that it completes."""
        if isinstance(event, Begin):
            return self._begin(_OpenCall(event, position))
        if isinstance(event, Finish):
            return self._finish(event, position)
        if isinstance(event, Step):
            return self._step(event, position)
        if isinstance(event, Carried):
            return self._carried(event, position)
        if isinstance(event, Recorded):
            return [msgspec.structs.replace(event.record, position=position)]
        if isinstance(event, Feedback):
            at = _time(event.at)
            return [
                FeedbackRecord(
                    event.request_id, event.tenant_id, event.feedback, event.correction, at, position
                )
            ]
        return [
            ContentRecord(
                event.request_id, event.tenant_id, event.prompt, event.answer, _time(event.at), position
            )
        ]

    def carry(self, before: int, upto: int, append: Callable[[Event], bool]) -> None:
        """Note again the calls that are open and began before a position; ``upto`` is how far was read."""
        for call in self._open.values():
            if call.position >= before:
                break
            if not call.carried:
                call.carried = append(Carried(call.begin, [*call.steps], upto))

    def interrupt_all(self, at: float) -> Iterator[CallRecord]:
        """Records of the calls that will never finish, because nobody goes on with this track at ``at``."""
        for position, key in enumerate(list(self._open), start=FINAL):
            yield self._interrupted(key, at, position)

    def _begin(self, call: _OpenCall) -> Sequence[Record]:
        key = call.begin.call
        if key in self._open:
            return ()
        evicted: list[Record] = []
        if len(self._open) >= self._max_open:
            evicted.append(self._interrupted(next(iter(self._open)), call.begin.at, call.position))
        self._open[key] = call
        return evicted

    def _finish(self, event: Finish, position: int) -> Sequence[Record]:
        call = self._open.get(event.call)
        if call is None:
            return self._too_early(event, position)
        record = self._record(call, event, position)  # first: a call whose end makes no sense stays open
        del self._open[event.call]
        self._ended.add(event.call)
        if len(self._ended) >= MAX_ENDED:
            self._ended, self._ended_before = set(), self._ended
        return (record,)

    def _step(self, event: Step, position: int) -> Sequence[Record]:
        call = self._open.get(event.call)
        if call is None:
            return self._too_early(event, position)
        call.steps = [*call.steps, event]
        return ()

    def _too_early(self, event: Step | Finish, position: int) -> Sequence[Record]:
        """Keep an event of a call that was noted again behind it, since the segment it began in is gone."""
        if len(self._early) < self._max_open:
            self._early.setdefault(event.call, []).append((position, event))
        return ()

    def _carried(self, event: Carried, position: int) -> Sequence[Record]:
        key = event.begin.call
        if key in self._ended or key in self._ended_before:  # it ended while it was being noted again
            return ()
        if known := self._open.pop(key, None):
            self._open[key] = _OpenCall(event.begin, position, known.steps)
            return ()
        records = [*self._begin(_OpenCall(event.begin, position, event.steps))]
        for at, early in self._early.pop(key, ()):
            if at > event.upto:
                records += self.add(early, at)
        return records

    def _interrupted(self, key: str, at: float, position: int) -> CallRecord:
        call = self._open.pop(key)
        provider, model = call.begin.provider, call.begin.model
        failure = Trigger(FailureKind.INTERRUPTED, "the process ended before the call did", provider, model)
        return self._record(call, Finish(key, at, "error", provider, model, failure=failure), position)

    def _record(self, call: _OpenCall, end: Finish, position: int) -> CallRecord:
        begin, steps, failure = call.begin, call.steps, end.failure
        met: Sequence[Occurrence | None] = ()
        occurrences: Sequence[Occurrence] = ()
        if steps or failure is not None:
            met = [self._occurrence(step.trigger, step.at) if step.trigger else None for step in steps]
            occurrences = [occurrence for occurrence in met if occurrence is not None]
            if failure is not None:
                occurrences.append(self._occurrence(failure, end.at))
        redactor = self._redactor
        return CallRecord(
            begin.request_id,
            begin.tenant_id,
            begin.module,
            begin.user_id,
            begin.task,
            begin.prompt_length or 0,
            begin.prompt_hash,
            begin.temperature,
            begin.max_tokens,
            begin.model,
            end.provider or begin.provider,
            end.model,
            end.status,
            end.answer_length,
            end.tokens_used,
            end.duration_ms,
            None if failure is None else redactor.text(failure.message),
            None if failure is None else failure.kind,
            sum(step.strategy == "retry" for step in steps) if steps else 0,
            end.provider if end.on_fallback else None,
            end.confidence,
            None,  # feedback and correction come later
            None,
            _request_metadata(begin, redactor),
            _response_metadata(begin, end, len(steps), occurrences, redactor),
            begin.at,
            end.at,
            [
                _step_record(number, step, occurrence, redactor)
                for number, (step, occurrence) in enumerate(zip(steps, met, strict=True), start=1)
            ]
            if steps
            else (),
            occurrences,
            None if begin.prompt is None else self._content(begin.prompt),
            None if end.answer is None else self._content(end.answer),
            position,
        )

    def _occurrence(self, trigger: Trigger, at: float) -> Occurrence:
        pattern = self._patterns.explain(
            provider=trigger.provider,
            kind=trigger.kind,
            message=self._redactor.text(trigger.message),
            http_status=trigger.http_status,
            code=trigger.code,
            exception_type=trigger.exception_type,
        )
        return Occurrence(
            pattern.name,
            trigger.kind,
            pattern.template,
            _time(at),
            pattern.probable_cause,
            pattern.suggested_action,
            trigger.provider,
            trigger.model,
        )


def _request_metadata(begin: Begin, redactor: Redactor) -> Mapping[str, Any]:
    if begin.metadata is None and begin.prompt_length is not None:
        return _NOTHING
    metadata = dict(redactor.json(begin.metadata or _NOTHING))
    if begin.prompt_length is None:
        metadata["prompt_unknown"] = True
    return metadata


def _response_metadata(
    begin: Begin, end: Finish, steps: int, occurrences: Sequence[Occurrence], redactor: Redactor
) -> Mapping[str, Any]:
    metadata: dict[str, Any] = {"attempts": steps + 1}
    if end.metadata:
        metadata |= redactor.json(end.metadata)
    if begin.copied:
        metadata[COPIED] = True
    if occurrences:
        metadata["patterns"] = list(dict.fromkeys(occurrence.pattern for occurrence in occurrences))
    if end.failure:
        details = {
            "pattern": occurrences[-1].pattern,
            "http_status": end.failure.http_status,
            "provider_error_code": _masked(end.failure.code, redactor),
            "exception_type": end.failure.exception_type,
            "retry_after": end.failure.retry_after,
        }
        metadata |= {key: value for key, value in details.items() if value is not None}
    return metadata


def _step_record(number: int, step: Step, occurrence: Occurrence | None, redactor: Redactor) -> StepRecord:
    result: dict[str, Any] = dict(redactor.json(step.result or {}))
    if step.trigger and occurrence:
        result["trigger"] = _trigger(step.trigger, occurrence.pattern, redactor)
    return StepRecord(
        strategy_name=step.strategy,
        step_number=number,
        action_taken=redactor.text(step.action),
        was_successful=step.successful,
        recovery_time_ms=step.time_ms,
        recovery_result=result,
        created_at=_time(step.at),
    )


def _trigger(trigger: Trigger, pattern: str, redactor: Redactor) -> dict[str, Any]:
    details = {
        "provider": trigger.provider,
        "model": trigger.model,
        "kind": trigger.kind,
        "pattern": pattern,
        "http_status": trigger.http_status,
        "provider_error_code": _masked(trigger.code, redactor),
        "exception_type": trigger.exception_type,
        "retry_after": trigger.retry_after,
        "message": redactor.text(trigger.message),
    }
    return {key: value for key, value in details.items() if value is not None}


def _masked(text: str | None, redactor: Redactor) -> str | None:
    return redactor.text(text) if text else None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds if 0 <= seconds <= _LAST_SECOND else 0, UTC)


def _as_it_is(content: Any) -> Any:
    return content
