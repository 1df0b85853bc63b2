"""One attempt under way: how long it may take, and what its end tells all calls."""

from __future__ import annotations

from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.candidates import Candidate
from cajanegra.recovery.decision import LEAST_ATTEMPT
from cajanegra.recovery.health import Health, Pass
from cajanegra.recovery.pace import Pace

COLD_LIMIT = 5.0
"""Seconds after which a target is left for another one while nobody knows how long it usually needs."""


class Turn:
    """The leave to make one attempt, which is over with ``answered``, ``failed`` or ``left``.

    Args:
        asked: who is asked.
        leave: from ``health``.
        health: what all calls have learned.
        pace: how long the target usually takes for such a call.
        tenant: on whose behalf.
    """

    def __init__(self, asked: Candidate, leave: Pass, health: Health, pace: Pace, tenant: str | None) -> None:
        self._asked = asked
        self._leave = leave
        self._health = health
        self._pace = pace
        self._tenant = tenant
        self._sent_at = health.now()
        self._limited = False
        """Whether the attempt has less time than its target is usually given."""

    def limit(self, remaining: float, *, streamed: bool, among: int | None) -> float:
        """Seconds that the attempt may take: until its whole answer, or the first content of a stream.

        Args:
            remaining: seconds until the call's deadline.
            streamed: whether it is a stream.
            among: how many share what remains, if another target could be asked instead.
        """
        target, usual = self._asked.target, self._pace.limit
        longer = 2.0**self._asked.timeouts
        most = target.timeout
        if streamed and target.first_token_timeout is not None:
            most = min(most, target.first_token_timeout * longer)
        if among is not None:
            most = min(most, (max(COLD_LIMIT, remaining / among) if usual is None else usual) * longer)
        self._limited = remaining < min(most, usual or most)
        return max(min(most, remaining), LEAST_ATTEMPT)

    def answered(self) -> None:
        """The attempt was answered."""
        self._health.answered(self._leave)
        self._health.budget.answered(self._leave.key[0], self._tenant)

    def failed(self, failure: Failure) -> None:
        """The attempt failed."""
        timed_out = failure.kind is FailureKind.TIMEOUT
        if timed_out and self._limited:  # the call's own deadline was short: the provider is not to blame
            self._health.left(self._leave)
            return
        if timed_out and self._leave.probing:
            # Who is slow for long is slow, and does not hang: its probes say so, bit by bit.
            self._pace.add(self._health.now() - self._sent_at)
        self._health.failed(self._leave, failure)
        if failure.retry_after is None:
            self._health.budget.failed(self._leave.key[0], self._tenant)

    def left(self) -> None:
        """The attempt was given up by its caller."""
        self._health.left(self._leave)
