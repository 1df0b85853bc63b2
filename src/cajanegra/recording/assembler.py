"""Puts the events of a call together to the record of that call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cajanegra.domain.events import Begin, Carried, Content, Event, Feedback, Finish, Step, Trigger
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.pattern import pattern_name
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
from cajanegra.ports import Knowledge

MAX_OPEN_CALLS = 100_000
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, the last that a ``datetime`` can hold."""


@dataclass(slots=True)
class _OpenCall:
    begin: Begin
    position: int
    steps: list[Step] = field(default_factory=list)
    carried: bool = False
    """Whether it was noted again and that note is still to be read."""


class Assembler:
    """Groups the events of one track by call and makes a record of each call that has ended.

    Args:
        knowledge: says why failures happen.
        redactor: masks error messages, metadata and content; by default one without patterns of the user's.
        redacted_content: whether captured content is to be masked before it is stored.
        max_open: calls in flight at once; beyond it the oldest is taken for one that will never end.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        redactor: Redactor | None = None,
        *,
        redacted_content: bool = True,
        max_open: int = MAX_OPEN_CALLS,
    ) -> None:
        self.unclaimed = 0
        """Steps and ends whose call's beginning is not there."""
        self._knowledge = knowledge
        self._max_open = max_open
        self._redactor = redactor or Redactor()
        self._content: Callable[[Any], Any] = self._redactor.content if redacted_content else _as_it_is
        self._open: dict[str, _OpenCall] = {}
        self._early: dict[str, list[tuple[int, Step | Finish]]] = {}

    @property
    def open_calls(self) -> int:
        """Calls that have begun and not ended."""
        return len(self._open)

    @property
    def oldest(self) -> int | None:
        """The position of the oldest call that is open."""
        return next(iter(self._open.values())).position if self._open else None

    def add(self, event: Event, position: int = 0) -> Iterator[Record]:
        """Take an event, which ends at ``position`` of its track; yields the records that it completes."""
        if isinstance(event, Begin):
            yield from self._begin(_OpenCall(event, position))
        elif isinstance(event, Carried):
            yield from self._begin(_OpenCall(event.begin, position, list(event.steps)))
            for at, early in self._early.pop(event.begin.call, ()):
                self.unclaimed -= 1
                yield from self.add(early, at)
        elif isinstance(event, Feedback):
            yield FeedbackRecord(
                event.request_id, event.tenant_id, event.feedback, event.correction, _time(event.at), position
            )
        elif isinstance(event, Content):
            yield ContentRecord(
                event.request_id, event.tenant_id, event.prompt, event.answer, _time(event.at), position
            )
        elif call := self._open.get(event.call):
            if isinstance(event, Step):
                call.steps.append(event)
            else:
                del self._open[event.call]
                yield self._record(call, event, position)
        elif len(self._early) < self._max_open:
            # The segment in which the call began is gone, and where it was noted again is still to come.
            self._early.setdefault(event.call, []).append((position, event))
            self.unclaimed += 1

    def carry(self, before: int, append: Callable[[Event], bool]) -> None:
        """Note again the calls that are open and began before a position."""
        for call in self._open.values():
            if call.position >= before:
                break
            if not call.carried:
                call.carried = append(Carried(call.begin, call.steps))

    def interrupt_all(self, at: float) -> Iterator[CallRecord]:
        """Records of the calls that will never finish, because nobody goes on with this track at ``at``."""
        for position, key in enumerate(list(self._open), start=FINAL):
            yield self._interrupted(key, at, position)

    def _begin(self, call: _OpenCall) -> Iterator[Record]:
        key = call.begin.call
        if known := self._open.pop(key, None):
            if len(known.steps) > len(call.steps):
                call.steps = known.steps
        elif len(self._open) >= self._max_open:
            yield self._interrupted(next(iter(self._open)), call.begin.at, call.position)
        self._open[key] = call

    def _interrupted(self, key: str, at: float, position: int) -> CallRecord:
        call = self._open.pop(key)
        provider, model = call.begin.provider, call.begin.model
        failure = Trigger(FailureKind.INTERRUPTED, "the process ended before the call did", provider, model)
        return self._record(call, Finish(key, at, "error", provider, model, failure=failure), position)

    def _record(self, call: _OpenCall, end: Finish, position: int) -> CallRecord:
        begin, steps = call.begin, call.steps
        failures = [(step.trigger, step.at) for step in steps if step.trigger]
        if end.failure:
            failures.append((end.failure, end.at))
        occurrences = [self._occurrence(trigger, at) for trigger, at in failures]
        return CallRecord(
            request_id=begin.request_id,
            tenant_id=begin.tenant_id,
            module=begin.module,
            user_id=begin.user_id,
            task=begin.task,
            prompt_length=begin.prompt_length or 0,
            prompt_hash=begin.prompt_hash,
            temperature=begin.temperature,
            max_tokens=begin.max_tokens,
            model_requested=begin.model,
            provider_used=end.provider or begin.provider,
            provider_model=end.model,
            status=end.status,
            response_content_length=end.answer_length,
            tokens_used=end.tokens_used,
            processing_time_ms=end.duration_ms,
            error_message=self._redactor.text(end.failure.message) if end.failure else None,
            error_code=end.failure.kind if end.failure else None,
            retry_count=sum(step.strategy == "retry" for step in steps),
            fallback_used=end.provider if end.on_fallback else None,
            confidence_score=end.confidence,
            request_metadata=_request_metadata(begin, self._redactor),
            response_metadata=_response_metadata(begin, end, len(steps), occurrences, self._redactor),
            created_at=_time(begin.at),
            updated_at=_time(end.at),
            steps=[_step_record(number, step, self._redactor) for number, step in enumerate(steps, start=1)],
            occurrences=occurrences,
            prompt=self._content(begin.prompt),
            answer=self._content(end.answer),
            position=position,
        )

    def _occurrence(self, trigger: Trigger, at: float) -> Occurrence:
        known = self._knowledge.explain(trigger.provider, trigger.kind)
        return Occurrence(
            pattern=pattern_name(trigger.provider, trigger.kind),
            error_code=trigger.kind,
            message_pattern=f"{trigger.provider} {trigger.kind}: <*>",
            at=_time(at),
            probable_cause=known.probable_cause,
            suggested_action=known.suggested_action,
        )


def _request_metadata(begin: Begin, redactor: Redactor) -> Mapping[str, Any]:
    metadata = dict(redactor.json(begin.metadata or {}))
    if begin.prompt_length is None:
        metadata["prompt_unknown"] = True
    return metadata


def _response_metadata(
    begin: Begin, end: Finish, steps: int, occurrences: list[Occurrence], redactor: Redactor
) -> Mapping[str, Any]:
    metadata: dict[str, Any] = {"attempts": steps + 1, **redactor.json(end.metadata or {})}
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


def _step_record(number: int, step: Step, redactor: Redactor) -> StepRecord:
    result: dict[str, Any] = dict(redactor.json(step.result or {}))
    if step.trigger:
        result["trigger"] = _trigger(step.trigger, redactor)
    return StepRecord(
        strategy_name=step.strategy,
        step_number=number,
        action_taken=redactor.text(step.action),
        was_successful=step.successful,
        recovery_time_ms=step.time_ms,
        recovery_result=result,
        created_at=_time(step.at),
    )


def _trigger(trigger: Trigger, redactor: Redactor) -> dict[str, Any]:
    details = {
        "provider": trigger.provider,
        "model": trigger.model,
        "kind": trigger.kind,
        "pattern": pattern_name(trigger.provider, trigger.kind),
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
