"""What people and the record say about a failure: its pattern, its correction, and what has helped before."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cajanegra.domain.correction import Correction, Models, correction_of
from cajanegra.domain.failure import Failure
from cajanegra.domain.pattern import Pattern
from cajanegra.domain.redactor import Redactor
from cajanegra.errors import UsageError
from cajanegra.ports import Lessons, Patterns, StoredCorrection
from cajanegra.recovery.learning import MOST_OUTCOMES, OVERLAP, ArmKey, Experience, Record

CORRECTIONS_EVERY = 2.0
"""Seconds between two looks at the corrections: they are obeyed within 5 s, and a fleet asks for them."""
OUTCOMES_EVERY = 10.0
"""Seconds between two looks at what recovery steps came to."""
MOST_WARNINGS = 5
"""Corrections that the log names in one minute; all others are counted."""
MINUTE = 60.0

_log = logging.getLogger("cajanegra.recovery")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about a failure beforehand.

    Attributes:
        correction: what people want to be done about it.
        records: what each step has achieved after such failures; ``None`` where that is not gone by.
    """

    correction: Correction | None = None
    records: Mapping[ArmKey, Record] | None = None


NOTHING = Known()
"""What is known where nobody says anything."""


class Advice:
    """Serves all calls of a client. ``study`` belongs to one thread; all else is for all, and never waits.

    Args:
        patterns: makes what says which failures belong together; not before the first one.
        redactor: masks messages as the record does, so that a failure has the same pattern here and there.
        models: who may be asked, for corrections.
        learns: whether to go by what has helped before.
        clock: seconds, monotonic.

    Attributes:
        is_current: whether what is known was read lately, or cannot be.
    """

    def __init__(
        self,
        patterns: Callable[[], Patterns],
        redactor: Redactor | None = None,
        *,
        models: Models | None = None,
        learns: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_current: Callable[[], bool] = lambda: True
        self._patterns = functools.cache(patterns)
        self._redactor = redactor or Redactor()
        self._models = models or {}
        self._experience = Experience() if learns else None
        self._clock = clock
        self._corrections: Mapping[str, Correction] = {}
        self._stored: Sequence[StoredCorrection] = ()
        self._complaints: Mapping[str, str] = {}
        self._warned: list[float] = []
        self._corrections_due = self._outcomes_due = -float("inf")

    def explain(self, failure: Failure) -> Pattern:
        """The pattern of a failure, as the record has it."""
        return self._patterns().explain(
            provider=failure.provider,
            kind=failure.kind,
            message=self._redactor.text(failure.message),
            http_status=failure.http_status,
            code=failure.code,
            exception_type=failure.exception_type,
        )

    def about(self, failure: Failure) -> Known:
        """What to go by after a failure; its pattern is looked for only where somebody asks for it."""
        if not self._corrections and self._experience is None:
            return NOTHING
        name = self.explain(failure).name
        records = None if self._experience is None else self._experience.of(name)
        return Known(self._corrections.get(name), records)

    def study(self, lessons: Lessons) -> None:
        """Read what has changed, if it is time to.

        Raises:
            StorageError: it cannot be read now; what is known stays.
        """
        now = self._clock()
        if now >= self._corrections_due:
            self.correct(lessons.corrections())
            self._corrections_due = now + CORRECTIONS_EVERY
        if self._experience is not None and now >= self._outcomes_due:
            after = max(self._experience.newest - OVERLAP, 0)
            outcomes = lessons.outcomes(after, MOST_OUTCOMES)
            self._experience.add(outcomes, datetime.now(UTC).replace(tzinfo=None))
            self._outcomes_due = now + OUTCOMES_EVERY

    def correct(self, stored: Sequence[StoredCorrection]) -> None:
        """These corrections are enabled, and no others; those that cannot be obeyed are complained about."""
        if stored == self._stored:
            return
        found: dict[str, Correction] = {}
        complaints: dict[str, str] = {}
        for one in stored:
            try:
                found[one.pattern] = correction_of(
                    one.strategy, one.settings, kind=one.kind, models=self._models
                )
            except UsageError as error:
                complaints[one.pattern] = str(error)
        new = {name: why for name, why in complaints.items() if self._complaints.get(name) != why}
        self._stored, self._corrections, self._complaints = stored, found, complaints
        self._complain(new)

    def _complain(self, complaints: Mapping[str, str]) -> None:
        now = self._clock()
        self._warned = [at for at in self._warned if at > now - MINUTE]
        room = MOST_WARNINGS - len(self._warned)
        for name, why in list(complaints.items())[: max(room, 0)]:
            self._warned.append(now)
            _log.warning("the correction of %s is ignored: %s", name, why)
        if len(complaints) > room > 0:
            _log.warning(
                "%d more corrections are ignored; 'cajanegra errors show PATTERN' says why",
                len(complaints) - room,
            )
