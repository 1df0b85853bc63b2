"""The targets of one call: which were tried how often, which fit the request, which may be asked when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cajanegra.domain.call import ChatRequest
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.domain.moves import is_repeatable
from cajanegra.recovery.backoff import backoff
from cajanegra.recovery.continuation import going_on
from cajanegra.recovery.health import Health
from cajanegra.recovery.simplify import characters_of, fit, fits
from cajanegra.recovery.target import Target

ERROR_OF_ESTIMATE = 1.5
"""How many times too many the estimated tokens of a prompt may be."""


class Candidate(msgspec.Struct, gc=False):
    """What is known of a target in this call."""

    target: Target
    request: ChatRequest
    changed: Mapping[str, Any] = {}
    """What was left out of the request so that it fits."""
    attempts: int = 0
    failures: int = 0
    timeouts: int = 0
    retries: int = 0
    simplifications: int = 0
    backed_off: float = 0.0
    """Seconds of the last wait of our own choosing."""
    not_before: float = -math.inf
    """Clock time before which this call does not repeat its request."""
    hopeless: bool = False
    _characters: int | None = None

    @property
    def characters(self) -> int:
        """Characters of the prompt that is sent to it."""
        if self._characters is None:
            self._characters = characters_of(self.request.messages)
        return self._characters

    def change(self, request: ChatRequest, changed: Mapping[str, Any]) -> None:
        """Send a request from which something was left out."""
        self.request, self.changed, self._characters = request, changed, None

    def failed(self, failure: Failure, now: float, chance: float) -> None:
        """An attempt failed: whether and when this call may repeat it.

        Args:
            failure: how.
            now: the clock's time.
            chance: a random number in [0, 1).
        """
        wait = backoff(self.failures, failure.retry_after, chance, self.backed_off)
        if failure.retry_after is None:
            self.backed_off = wait
        self.failures += 1
        self.timeouts += failure.kind is FailureKind.TIMEOUT
        self.not_before = now + wait
        self.hopeless = not is_repeatable(failure)

    def simplify(self, request: ChatRequest) -> None:
        """Go on with a smaller request, which starts anew."""
        self.change(request, self.changed)
        self.simplifications += 1
        self.retries = 0
        self.failures = 0
        self.backed_off = 0.0
        self.hopeless = False


class Candidates:
    """The targets of one call in the order in which they are asked.

    Args:
        request: as the application made it.
        targets: in order of preference; there is at least one.
        health: what all calls have learned.
    """

    def __init__(self, request: ChatRequest, targets: Sequence[Target], health: Health) -> None:
        self.all = [Candidate(target, request) for target in targets]
        self.place = health.lines.place()
        """Where the call stands among all that wait."""
        self._request = request
        self._health = health
        self._added: dict[tuple[str, str], Candidate] = {}

    def window(self, target: Target) -> int | None:
        """Tokens that a target can hold, as far as anybody knows."""
        return self._health.windows.window(target.key, target.context_window)

    def preferred(self) -> Candidate | None:
        """The one to ask when nothing is wrong with it."""
        first = self.all[0]
        return first if self._holds(first.target) and self._prepare(first) else None

    def first(self, *, urgent: bool) -> tuple[Candidate, float]:
        """Whom to ask first, and in how many seconds.

        Who holds the whole request goes before who would need a smaller one.
        """
        viable = [one for one in self.all if self._holds(one.target) and self._prepare(one)]
        if not viable:
            viable = [one for one in self.all if self._prepare(one)] or self.all
            viable.sort(key=lambda one: -(self.window(one.target) or 0))
        return self._soonest(viable, urgent=urgent)

    def others(
        self,
        now: Candidate,
        among: Sequence[Candidate],
        most_retries: int,
        *,
        within: float,
        urgent: bool,
    ) -> list[tuple[Candidate, float]]:
        """The targets to fall back to, and in how many seconds, best first.

        Who was not asked yet and may be asked now goes before all others; who has to wait for longer than
        ``within`` seconds comes last, behind one that is being tried.
        """
        others = [
            one
            for one in among
            if one is not now and not one.hopeless and (not one.attempts or one.retries < most_retries)
        ]
        others = [one for one in others if one.attempts or self._prepare(one) or self._might_hold(one)]
        waits = [(one, self._wait(one, urgent=urgent)) for one in others]
        return sorted(
            waits,
            key=lambda item: (
                within <= item[1] < math.inf,
                item[1] > 0,
                item[0].attempts > 0,
                not self._holds(item[0].target),
                item[1],
            ),
        )

    def named(self, provider: str, target: Target | None) -> list[Candidate]:
        """Who is meant by a provider's name, or by a model of it that the call would not ask by itself."""
        served = [one for one in self.all if one.target.provider.name == provider]
        if target is None or not served:  # whoever asks for some providers only is not taken elsewhere
            return served
        known = [one for one in served if one.target.model == target.model]
        return known or [self._added.setdefault(target.key, Candidate(target, self._request))]

    def other_could_answer(self, now: Candidate) -> bool:
        """Whether a target that was not asked yet could be asked now instead."""
        return any(
            one is not now
            and not one.attempts
            and self._health.wait(one.target, urgent=False) <= 0
            and self._holds(one.target)
            for one in self.all
        )

    def one_is_tried(self) -> bool:
        """Whether an attempt is under way that may show one of the targets to be well."""
        return any(math.isinf(self._wait(one, urgent=True)) for one in self.all)

    def waited_for(self, *, urgent: bool) -> tuple[list[Target], float, float]:
        """Who may not be asked yet, by what all calls know.

        Returns:
            The targets, the seconds until the first of them may be asked, and those until the call itself
            would repeat its request to another one.
        """
        now, targets, soonest, own = self._health.now(), [], math.inf, math.inf
        for one in (*self.all, *self._added.values()):
            if one.hopeless:
                continue
            if one.not_before > now:
                own = min(own, one.not_before - now)
            elif (wait := self._health.wait(one.target, urgent=urgent, place=self.place)) > 0:
                targets.append(one.target)
                soonest = min(soonest, wait)
        return targets, soonest, own

    def go_on(self, now: Candidate, begun: str, most_retries: int) -> bool:
        """Leave those who can go on with an answer that is begun; whether there are any."""
        now.retries = most_retries
        for one in self.all:
            way = one.target.continues
            if one is now or way is None or one.hopeless:
                one.hopeless = True
                continue
            key, density = one.target.key, self._health.windows.density(one.target.key)
            request = going_on(self._request, begun, way, density)
            adapted = self._health.demands.adapt(key, request)
            changed = {} if adapted is None else adapted.changed
            request = request if adapted is None else adapted.request
            one.hopeless = not (self._holds(one.target) and fits(request, self.window(one.target), density))
            one.change(request, {**changed, "continued_after_characters": len(begun)})
        return any(not one.hopeless for one in self.all)

    def surely_holds_all(self, one: Candidate) -> bool:
        """Whether a target's window is known, and has room for the whole request."""
        return self.window(one.target) is not None and self._holds(one.target)

    def skipped(self, chosen: Candidate) -> list[dict[str, Any]]:
        """Who would have been asked before the one that is, and why it is not, for the record."""
        skipped = []
        for one in self.all:
            if one is chosen:
                break
            held = self._health.why(one.target)
            because = held.kind if held is not None and self._holds(one.target) else "context_window"
            if held is None and self._holds(one.target):
                because = "in_flight"
            skipped.append(
                {"provider": one.target.provider.name, "model": one.target.model, "because": str(because)}
            )
        return skipped

    def _soonest(self, candidates: Sequence[Candidate], *, urgent: bool) -> tuple[Candidate, float]:
        best, least = candidates[0], math.inf
        for one in candidates:
            wait = self._wait(one, urgent=urgent)
            if wait <= 0:
                return one, 0.0
            if wait < least:
                best, least = one, wait
        return best, least

    def _wait(self, one: Candidate, *, urgent: bool) -> float:
        own = one.not_before - self._health.now()
        return max(self._health.wait(one.target, urgent=urgent, place=self.place), own, 0.0)

    def _holds(self, target: Target) -> bool:
        """Whether a target takes the whole request, but for what makes no difference to the answer."""
        if not self._health.demands.takes(target.key, self._request):
            return False
        window = self.window(target)
        return window is None or fits(self._request, window, self._health.windows.density(target.key))

    def _might_hold(self, one: Candidate) -> bool:
        """Whether the estimate may be so wrong that the request fits all the same."""
        window = self.window(one.target)
        density = self._health.windows.density(one.target.key)
        return window is None or fits(self._request, window, density / ERROR_OF_ESTIMATE)

    def _prepare(self, one: Candidate) -> bool:
        """Make the request such that a target takes it; whether it does, or seems to."""
        if one.changed or one.attempts:
            return True
        key, demands = one.target.key, self._health.demands
        if not demands.takes(key, self._request):
            return False
        adapted = demands.adapt(key, one.request)
        request = adapted.request if adapted is not None else one.request
        changed = adapted.changed if adapted is not None else {}
        window, density = self.window(one.target), self._health.windows.density(key)
        if window is not None and not fits(request, window, density):
            fitted = fit(request, window, density)
            if fitted is None:
                return False
            request, changed = fitted.request, {**changed, **fitted.changed}
        if changed:
            one.change(request, changed)
        return True
