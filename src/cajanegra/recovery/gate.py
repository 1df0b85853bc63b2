"""Whether somebody may be asked now: a circuit breaker that also keeps what it was asked to keep."""

from __future__ import annotations

import math

from cajanegra.domain.failure import Failure

WEIGHT = 0.25
"""Of the last attempt in the share of failures."""
TOO_OFTEN = 0.55
"""Share of failures that closes: three in a row, or more than half for a while."""
FIRST_REST = 1.0
"""Seconds until a gate that closed by itself lets a probe through; doubles with every probe that fails."""
LONGEST_REST = 30.0
TROUBLED_REST = 0.5
"""The first rest where attempts fail in a way that passes by itself, often within a second."""
FIRST_DEAD_REST = 5.0
"""The same where a key, model or quota is dead, which passes less often."""
LONGEST_DEAD_REST = 120.0
WIDENING = 8
"""How many times as many attempts an answer lets through on trial, at first."""
TRUSTED = 64
"""From so many at once on, it is no trial any more, but each answer lets one more through until nobody waits:
were all that have gathered to go at the same moment, they would be the next outage."""


class Gate:
    """Open, closed until a time, or on trial: then so many attempts at a time, one at first.

    ``not_before`` is what the provider asked for and holds for everybody. A rest is our own choice, and grows
    with every probe that fails; who has nobody else to ask may probe after its first length already, which
    grows to ``FIRST_REST`` where it is shorter.
    """

    __slots__ = (
        "_on_trial",
        "_rests_until",
        "_share",
        "_urgent_from",
        "failure",
        "not_before",
        "strikes",
        "trial",
    )

    def __init__(self) -> None:
        self.not_before = -math.inf
        self.failure: Failure | None = None
        """Why it closed the last time."""
        self.strikes = 0
        """How often it closed in a row."""
        self.trial: int | None = None
        self._rests_until = -math.inf
        self._urgent_from = -math.inf
        self._on_trial = 0
        self._share = 0.0

    @property
    def closed_until(self) -> float:
        """Clock time at which the next probe may go, when nobody is in a hurry."""
        return max(self.not_before, self._rests_until)

    def wait(self, now: float, *, urgent: bool, hesitation: float = 0.0) -> float:
        """Seconds until an attempt may be made; infinite while one that is on trial is awaited.

        Args:
            now: the clock's time.
            urgent: whether there is nobody else to ask.
            hesitation: seconds for which a probe is left to others who may come.
        """
        if self.trial is None:
            return 0.0
        rests_until = min(self._rests_until, self._urgent_from) if urgent else self._rests_until
        until = max(self.not_before, rests_until) + (hesitation if self.trial == 1 else 0.0)
        if until > now:
            return until - now
        return math.inf if self._on_trial >= self.trial else 0.0

    def room(self, now: float) -> float:
        """How many attempts may be made now; one where that depends on the time alone."""
        if self.trial is None:
            return math.inf
        return 1 if self.closed_until > now else max(self.trial - self._on_trial, 0)

    def probes(self, now: float) -> bool:
        """Whether the next attempt finds out if all is well."""
        return self.trial is not None and (self.trial == 1 or self.closed_until > now)

    def enter(self) -> bool:
        """An attempt begins; whether it is on trial."""
        if self.trial is None:
            return False
        self._on_trial += 1
        return True

    def leave(self, *, tried: bool) -> None:
        """An attempt ended without telling anything."""
        if tried:
            self._on_trial -= 1

    def answered(self, now: float, *, tried: bool, awaited: bool = False) -> bool:
        """An attempt showed that all is well; whether that is news.

        Args:
            now: the clock's time.
            tried: whether the attempt was on trial.
            awaited: whether calls have gathered that wait for this.
        """
        self._share *= 1 - WEIGHT
        if self.trial is None or not (tried or self.closed_until <= now):
            return False
        if self.trial < TRUSTED:
            self.trial *= WIDENING
            return True
        if awaited:
            self.trial += 1
            return False
        self.reopen()
        return True

    def reopen(self) -> None:
        """All is well again."""
        self.trial, self.failure, self.strikes, self._share = None, None, 0, 0.0
        self._rests_until = -math.inf

    def hold(self, until: float, failure: Failure) -> None:
        """The provider asked everybody to stay away until then; a later time never becomes an earlier one."""
        self.not_before = max(self.not_before, until)
        self.failure = failure
        self.trial = 1

    def rest(self, failure: Failure, now: float, *, first: float, longest: float, tried: bool) -> None:
        """Stay away by our own choice, longer with every probe that fails."""
        self.failure = failure
        if self.trial is not None and not tried and self.closed_until > now:
            return  # it was sent before the gate closed, and says nothing new
        self._rests_until = now + min(first * 2.0**self.strikes, longest)
        self._urgent_from = now + min(first * 2.0**self.strikes, max(first, FIRST_REST))
        self.strikes += 1
        self.trial = 1

    def trouble(self, failure: Failure, now: float, *, tried: bool) -> None:
        """An attempt failed in a way that may pass: too many of these are a reason to rest."""
        self._share += WEIGHT * (1 - self._share)
        probed = tried and self.trial is not None and self.trial < TRUSTED
        if probed or self._share >= TOO_OFTEN:
            self.rest(failure, now, first=TROUBLED_REST, longest=LONGEST_REST, tried=tried)

    def adopt(self, until: float, failure: Failure, now: float, *, asked: bool) -> None:
        """Another process closed this gate until then."""
        if until <= max(now, self.closed_until):
            return
        self.failure = failure
        if asked:
            self.not_before = until
        else:
            self._rests_until, self._urgent_from = until, min(until, now + FIRST_DEAD_REST)
            self.strikes = max(self.strikes, 1)
        self.trial = 1
