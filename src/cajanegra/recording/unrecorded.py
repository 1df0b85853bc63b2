"""Calls that somebody else writes down: a ``ports.CallLog`` that keeps nothing."""

from __future__ import annotations

from typing import Any

from cajanegra.domain.ids import uuid7


class Unrecorded:
    """Opens calls that leave no trace."""

    def call(self, *, request_id: str | None = None, **_asked: Any) -> UnrecordedCall:
        """A call that is written down elsewhere."""
        return UnrecordedCall(request_id or uuid7())


class UnrecordedCall:
    """An open call; see ``ports.OpenCall``."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id

    def ask_instead(self, provider: str, model: str | None) -> None:
        """Not noted."""

    def step(self, strategy: str, **_ended: Any) -> None:
        """Not noted."""

    def finish(self, response: Any = None, **_known: Any) -> None:
        """Not noted."""

    def fail(self, error: BaseException, **_known: Any) -> None:
        """Not noted."""
