"""Alerts: what operations should be told of without asking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import msgspec

from cajanegra.domain.trend import Mark

PatternAlert = Literal["new", "regressed", "escalating"]
PATTERN_ALERTS: tuple[PatternAlert, ...] = get_args(PatternAlert)
AlertKind = Literal["new", "regressed", "escalating", "failures", "error_rate", "test"]


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something to be told, once.

    Attributes:
        kind: a mark of an error pattern; ``failures`` or ``error_rate`` of a rule.
        subject: what it is about: the same thing has the same subject, which has at most 200 characters.
        episode: tells one time of the same thing from the next; the same episode is told once.
        at: when it was found (UTC).
        pattern: the error pattern; of a rule, the one that was met most.
        error_code: its failure kind.
        template: its message, with ``<*>`` for what varies.
        probable_cause: why it happens.
        suggested_action: what to do.
        total: failures of the pattern since its first.
        first_occurred: its first failure.
        last_occurred: its last failure.
        recent: failures in the window.
        expected: failures that were to be expected in it.
        rule: name of the rule.
        provider: of whom the rule speaks, if of one.
        module: of which part of the application, if of one.
        minutes: length of the window.
        attempts: attempts in the window, those that were answered included.
    """

    kind: AlertKind
    subject: str
    episode: str = ""
    at: datetime
    pattern: str | None = None
    error_code: str | None = None
    template: str | None = None
    probable_cause: str | None = None
    suggested_action: str | None = None
    total: int | None = None
    first_occurred: datetime | None = None
    last_occurred: datetime | None = None
    recent: int | None = None
    expected: float | None = None
    rule: str | None = None
    provider: str | None = None
    module: str | None = None
    minutes: int | None = None
    attempts: int | None = None

    @property
    def rate(self) -> float | None:
        """The share of attempts that failed, 0 to 1."""
        return self.recent / self.attempts if self.attempts and self.recent is not None else None


@dataclass(frozen=True, slots=True)
class PatternState:
    """An error pattern that may be worth an alert.

    Attributes:
        pattern: its name.
        error_code: its failure kind.
        template: its message, with ``<*>`` for what varies.
        probable_cause: why it happens.
        suggested_action: what to do.
        marks: what is remarkable about it.
        total: failures since its first.
        recent: failures in the window of its trend.
        expected: failures that were to be expected in that; ``None`` where it is too young to tell.
        first_occurred: its first failure (UTC).
        last_occurred: its last failure (UTC).
        regressed_at: when a failure reopened it (UTC).
    """

    pattern: str
    error_code: str | None
    template: str | None
    probable_cause: str | None
    suggested_action: str | None
    marks: Sequence[Mark]
    total: int
    recent: int
    expected: float | None
    first_occurred: datetime | None
    last_occurred: datetime | None
    regressed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Attempts of one kind in a window.

    Attributes:
        provider: who was asked.
        module: which part of the application asked.
        error_code: the failure kind; ``None`` where they were answered.
        pattern: the error pattern that they met; ``None`` where they were answered.
        attempts: how many.
    """

    provider: str
    module: str | None
    error_code: str | None
    pattern: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Explained:
    """What is known of an error pattern.

    Attributes:
        template: its message, with ``<*>`` for what varies.
        probable_cause: why it happens.
        suggested_action: what to do.
    """

    template: str | None
    probable_cause: str | None
    suggested_action: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An alert on its way to a target.

    Attributes:
        id: the receiver sees it, and can tell a repetition by it.
        target: name of the target.
        alert: what is told.
        tries: how often it was tried before.
        more: alerts of the same look that are not told one by one.
    """

    id: str
    target: str
    alert: Alert
    tries: int = 0
    more: int = 0
