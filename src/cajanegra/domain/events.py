"""What the recorder writes down, in order, while a call happens.

A call is one ``Begin``, any number of ``Step`` and one ``Finish``, tied together by ``call``, a key that is
unique to the call even when two calls are given the same ``request_id``. They are encodable as they are
(msgspec), so that they can be kept outside the process: fields are only ever added at the end, with a
default, since a newer version has to read what an older one left. The garbage collector leaves them alone
(``gc=False``): they hold plain values that never lead back to them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cajanegra.domain.record import CallRecord


class Trigger(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The failure that ended an attempt (see ``domain.failure.Failure``)."""

    kind: str
    message: str
    provider: str
    model: str | None = None
    http_status: int | None = None
    code: str | None = None
    exception_type: str | None = None
    retry_after: float | None = None


class Begin(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="begin"):
    """A call has begun. Times are seconds since the Unix epoch (UTC)."""

    call: str
    at: float
    request_id: str
    task: str
    provider: str
    model: str | None = None
    tenant_id: str | None = None
    module: str | None = None
    user_id: str | None = None
    prompt_length: int | None = None
    prompt_hash: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    metadata: dict[str, Any] | None = None
    prompt: Any = None
    """The prompt itself (a string or messages) where content is captured as it is."""
    copied: bool = False
    """Whether this repeats a call that began in another track, where it may end as well."""


class Step(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="step"):
    """A recovery step has ended, well or not."""

    call: str
    at: float
    strategy: str
    action: str
    successful: bool
    time_ms: int | None = None
    """Wait and attempt together."""
    trigger: Trigger | None = None
    """The failure that this step answers."""
    result: dict[str, Any] | None = None
    """Why this step, the wait asked and taken, what was changed, the outcome."""


class Finish(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="finish"):
    """A call has ended."""

    call: str
    at: float
    status: str
    provider: str | None = None
    """The provider that answered, or the last one tried; ``None`` where nobody was."""
    model: str | None = None
    duration_ms: int | None = None
    failure: Trigger | None = None
    """The failure that the call ended with; ``None`` for an answered call."""
    answer_length: int | None = None
    tokens_used: int | None = None
    confidence: float | None = None
    metadata: dict[str, Any] | None = None
    """Goes to ``response_metadata``: usage, finish reason, attempts and the like."""
    answer: str | None = None
    """The answer's text where content is captured as it is."""
    on_fallback: bool = False
    """Whether ``provider`` was reached by falling back, and not by coming back to the first."""


class Feedback(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="feedback"):
    """What a person thought of an answer."""

    at: float
    request_id: str
    feedback: str
    tenant_id: str | None = None
    correction: str | None = None


class Content(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="content"):
    """Text of a call that was masked first, off the caller's thread, and so comes behind its events."""

    at: float
    """When the call began: with its id this says which call is meant."""
    request_id: str
    tenant_id: str | None = None
    prompt: Any = None
    answer: str | None = None


class Carried(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="carried"):
    """A call that is still open, noted again so that the segment in which it began can be given back."""

    begin: Begin
    steps: list[Step]
    upto: int = 0
    """The position behind the last event that these take into account."""


class Recorded(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="recorded"):
    """A whole call that somebody else recorded, analysed and masked."""

    record: CallRecord


Event = Begin | Step | Finish | Feedback | Content | Carried | Recorded
