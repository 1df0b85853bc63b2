"""What targets have rejected in requests, so that each of them is asked only for what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cajanegra.domain.call import MEANINGFUL, ChatRequest
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.memory import Memory
from cajanegra.recovery.simplify import (
    Simplified,
    both,
    rejected_in,
    with_shorter_answer,
    without,
)

Key = tuple[str, str]

REMEMBERED = 600.0
"""Seconds after which a target may take again what it rejected: it was changed, or the value was at fault."""
MOST_NAMES = 20
"""Parameters that are remembered of a target."""


class Demands:
    """The parameters that each target has rejected, and the longest answer that it gives.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rejected = Memory[Key, dict[str, tuple[str | None, float]]]()
        self._longest = Memory[Key, tuple[int, float]]()

    def learn(self, key: Key, failure: Failure, changed: Mapping[str, Any]) -> None:
        """A target failed in such a way, and this is what was changed to please it."""
        until = self._clock() + REMEMBERED
        if failure.kind is FailureKind.INVALID_REQUEST:
            names = self._rejected.get(key)
            if names is None:
                names = self._rejected[key] = {}
            for name, new_name in rejected_in(failure.message)[:1]:
                if len(names) < MOST_NAMES:
                    names[name] = (new_name, until)
        lowered = changed.get("max_tokens")
        if failure.kind is FailureKind.MAX_TOKENS_INVALID and lowered and lowered["to"]:
            self._longest[key] = (lowered["to"], until)

    def takes(self, key: Key, request: ChatRequest) -> bool:
        """Whether a target takes all that the answer depends on."""
        names = self._rejected.get(key)
        if not names:
            return True
        now = self._clock()
        return not any(
            name in MEANINGFUL and name in request.parameters and until > now
            for name, (_new_name, until) in names.items()
        )

    def adapt(self, key: Key, request: ChatRequest) -> Simplified | None:
        """The request without what a target has rejected; ``None`` where nothing has to be changed."""
        names, longest = self._rejected.get(key), self._longest.get(key)
        if not names and longest is None:
            return None
        now, changes = self._clock(), Simplified(request, {})
        for name, (new_name, until) in (names or {}).items():
            if name not in MEANINGFUL and until > now:
                changes = both(changes, without(changes.request, name, new_name))
        if longest is not None and longest[1] > now:
            changes = both(changes, with_shorter_answer(changes.request, longest[0]))
        return changes if changes.changed else None
