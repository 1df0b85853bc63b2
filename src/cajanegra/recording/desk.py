"""What a recorder and its open calls write with, and their promise never to raise."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

from cajanegra.domain.events import Begin, Content
from cajanegra.ports import EventSink, FailureReader
from cajanegra.recording import plain
from cajanegra.recording.redacting import Redacting
from cajanegra.recording.throttle import Throttle

logger = logging.getLogger("cajanegra")


@dataclass(slots=True)
class Desk:
    """What is shared by a recorder and its open calls; a forked child gets another sink."""

    sink: EventSink
    reader: FailureReader
    clock: Callable[[], float]
    """Seconds since the Unix epoch."""
    timer: Callable[[], float]
    """Seconds of a monotonic clock."""
    capture: Literal["none", "redacted", "full"] = "none"
    """Whether the text of prompts and answers is kept, and how."""
    redacting: Redacting | None = None
    """Masks the text first, for ``redacted``."""
    lost: int = 0
    """Events that could not be made or handed over."""
    throttle: Throttle = field(default_factory=Throttle)

    def content(self, value: Any, *, masked: bool = False) -> Any:
        """A copy of a text or of messages, for the call's events or for one of its own that is ``masked``.

        ``None`` where it is not kept in this way.
        """
        if value is None or self.capture == "none" or masked != (self.capture == "redacted"):
            return None
        return plain.json(value)

    def mask_later(self, begin: Begin, prompt: Any, answer: str | None) -> None:
        """Have the text of a call that has ended masked, and then kept."""
        if self.redacting is not None and (prompt is not None or answer is not None):
            self.redacting.put(Content(begin.at, begin.request_id, begin.tenant_id, prompt, answer))

    def report(self, error: Exception) -> None:
        """Log what went wrong in the recorder: only its type, since a message may quote a prompt."""
        if self.throttle.due():
            logger.error("the recorder could not note what it was told: %s", type(error).__name__)


class _AtDesk(Protocol):
    @property
    def desk(self) -> Desk: ...


_S = TypeVar("_S", bound=_AtDesk)
_P = ParamSpec("_P")


def never_raises(method: Callable[Concatenate[_S, _P], None]) -> Callable[Concatenate[_S, _P], None]:
    """What goes wrong in the recorder is reported, and is never the host's problem."""

    @functools.wraps(method)
    def guarded(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the promise of the recorder
            self.desk.lost += 1
            self.desk.report(error)

    return guarded
