"""From items, which somebody else recorded, to records of calls."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec.structs import replace

from cajanegra.domain.call import CallStatus, prompt_hash, prompt_text
from cajanegra.domain.events import Begin, Event, Finish, Step, Trigger
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.ids import uuid7
from cajanegra.domain.record import CallRecord, is_credible
from cajanegra.domain.redactor import Redactor
from cajanegra.ports import LogReader
from cajanegra.recording import items, plain
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.items import Item

_KINDS = frozenset(FailureKind)
_UNKNOWN = "unknown"
_DERIVED = ("pattern", "patterns")
"""Keys of ``response_metadata`` that follow from the failures, and are found anew."""


class Ingest:
    """Makes of an item what the recorder would have made of the call.

    A failure kind that is one of ours is kept; any other code is the provider's own, and the failure is
    classified by it and by the message. Patterns are found anew. Used by one thread at a time.

    Args:
        assembler: puts events together, masks, and finds the patterns.
        reader: classifies failures.
        redactor: masks what takes no part in events.
        capture: whether the text of prompts and answers is kept.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        assembler: Assembler,
        reader: LogReader,
        redactor: Redactor,
        *,
        capture: Literal["none", "redacted", "full"] = "none",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._assembler = assembler
        self._reader = reader
        self._redactor = redactor
        self._captures = capture != "none"
        self._clock = clock

    def _events(self, item: Item) -> Sequence[Event]:
        """What the recorder would have noted: one ``Begin``, the steps, one ``Finish``."""
        key = uuid7()
        begun, ended = self._times(item)
        content = item.content or items.Content()
        return [
            self._begin(key, item, begun, content),
            *(self._step(key, item, step, ended) for step in _in_order(item.steps)),
            self._finish(key, item, ended, content),
        ]

    def record(self, item: Item, position: int = 0) -> CallRecord:
        """The record of the item's call, with what the item says and no event does.

        ``created_at`` is not a number where the item says none that is credible: such a call is known by its
        ``request_id`` alone.
        """
        *before, last = self._events(item)
        for event in before:
            self._assembler.add(event)
        (record,) = self._assembler.add(last, position)
        assert isinstance(record, CallRecord)  # noqa: S101 - a Finish completes a call
        given: dict[str, Any] = {
            "retry_count": item.retry_count,
            "fallback_used": item.fallback_used,
            "user_feedback": item.user_feedback,
            "correction_applied": self._masked(item.correction_applied),
        }
        if updated := self._credible(item.updated_at):
            given["updated_at"] = updated
        known = {name: value for name, value in given.items() if value is not None}
        if item.error_message is None or item.is_answered:
            known["error_message"] = self._masked(item.error_message)
        if item.is_answered:
            known["error_code"] = item.error_code
        return replace(record, **known)

    def _begin(self, key: str, item: Item, begun: float, content: items.Content) -> Begin:
        length, digest = item.prompt_length, item.prompt_hash
        if length is None and content.prompt is not None:
            text = prompt_text(content.prompt)
            length, digest = len(text), prompt_hash(text)
        metadata = plain.mapping(item.request_metadata)
        if math.isnan(begun) and item.created_at is not None:
            changed = metadata.get("changed")
            noted = changed if isinstance(changed, dict) else {}
            metadata["changed"] = {"created_at": str(item.created_at), **noted}
        return Begin(
            key,
            begun,
            item.request_id or key,
            item.task or _UNKNOWN,
            item.provider_used or _UNKNOWN,
            item.model_requested,
            item.tenant_id,
            item.module,
            item.user_id,
            length,
            digest,
            item.temperature,
            item.max_tokens,
            metadata or None,
            content.prompt if self._captures else None,
        )

    def _step(self, key: str, item: Item, step: items.Step, ended: float) -> Step:
        result = dict(step.recovery_result or {})
        trigger = result.pop("trigger", None)
        at = self._credible(step.created_at)
        return Step(
            key,
            ended if at is None else at,
            step.strategy_name,
            step.action_taken or "",
            bool(step.was_successful),
            step.recovery_time_ms,
            self._trigger(trigger, item) if isinstance(trigger, Mapping) else None,
            result,
        )

    def _finish(self, key: str, item: Item, ended: float, content: items.Content) -> Finish:
        metadata = {
            name: value
            for name, value in plain.mapping(item.response_metadata).items()
            if name not in _DERIVED
        }
        failure = None if item.is_answered else self._failure(item, metadata)
        length = item.response_content_length
        if length is None and content.answer is not None:
            length = len(content.answer)
        return Finish(
            key,
            ended,
            item.status or _status(failure),
            item.provider_used,
            item.provider_model,
            plain.whole(item.processing_time_ms),
            failure,
            length,
            item.tokens_used,
            item.confidence_score,
            metadata or None,
            content.answer if self._captures else None,
            on_fallback=bool(item.fallback_used),
        )

    def _failure(self, item: Item, metadata: Mapping[str, Any]) -> Trigger:
        details = {
            "message": item.error_message,
            "provider": item.provider_used,
            "model": item.provider_model,
            "kind": item.error_code,
            **{name: metadata.get(name) for name in _DETAILS},
        }
        if item.status == CallStatus.TIMEOUT and item.error_code is None:
            details["kind"] = FailureKind.TIMEOUT
        return self._trigger(details, item)

    def _trigger(self, details: Mapping[str, Any], item: Item) -> Trigger:
        """A failure as it was noted, with its kind where that was not."""
        message, kind, provider = (plain.text(details.get(name)) for name in ("message", "kind", "provider"))
        model, code, exception_type = (plain.text(details.get(name)) for name in ("model", *_DETAILS[:2]))
        status = plain.whole(details.get("http_status"))
        provider = provider or item.provider_used or _UNKNOWN
        if kind not in _KINDS:
            code = code or kind
            kind = self._reader.from_log(
                message or "", provider=provider, http_status=status, exception_type=exception_type, code=code
            ).kind
        after = plain.number(details.get("retry_after"))
        return Trigger(kind or _UNKNOWN, message or "", provider, model, status, code, exception_type, after)

    def _times(self, item: Item) -> tuple[float, float]:
        """When the call began, not a number where nobody knows, and when it ended."""
        begun, updated = self._credible(item.created_at), self._credible(item.updated_at)
        if begun is None:
            return math.nan, self._clock() if updated is None else updated
        if updated is not None and item.user_feedback is None:
            return begun, updated
        return begun, begun + (item.processing_time_ms or 0) / 1000

    def _credible(self, value: items.Time) -> float | None:
        at = items.seconds(value, "time")
        return at if at is not None and is_credible(at, self._clock()) else None

    def _masked(self, text: str | None) -> str | None:
        return self._redactor.text(text) if text else text


_DETAILS = ("provider_error_code", "exception_type", "http_status", "retry_after")


def _status(failure: Trigger | None) -> str:
    if failure is None:
        return CallStatus.SUCCESS
    return CallStatus.TIMEOUT if failure.kind == FailureKind.TIMEOUT else CallStatus.ERROR


def _in_order(steps: Sequence[items.Step]) -> Sequence[items.Step]:
    if all(step.step_number is not None for step in steps):
        return sorted(steps, key=lambda step: step.step_number or 0)
    return steps
