"""What the hourly counts of an error pattern say: whether it is new, came back, grows, or has gone quiet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import msgspec

Mark = Literal["regressed", "new", "escalating", "quiet"]
MARKS: tuple[Mark, ...] = get_args(Mark)

NEW_FOR = timedelta(days=1)
"""How long after its first failure a pattern is new."""
QUIET_AFTER = timedelta(days=7)
"""How long after its last failure a pattern is quiet."""
WINDOW = 6
"""Hours that are compared: the current one, which has only begun, and those before it."""
DAYS = 7
"""Days before today that they are compared with, which is a whole week."""
HISTORY = 24 * DAYS + WINDOW
"""Hours that have to be known."""
LEAST = 10
"""Failures in the window below which a rise says nothing."""
SIGMAS = 3.0
"""How far above its baseline a pattern escalates, in standard deviations."""


class Trend(msgspec.Struct, frozen=True):
    """The last hours of a pattern beside the same hours of the days before.

    Attributes:
        recent: failures in the window.
        expected: mean of the failures in the same hours of the days before; ``None`` where the pattern is too
            young to have a baseline.
        spread: standard deviation to be expected of ``recent``; 1 or more.
    """

    recent: int
    expected: float | None
    spread: float

    @property
    def score(self) -> float:
        """How far the pattern is above its baseline, in standard deviations; negative is below."""
        return (self.recent - (self.expected or 0.0)) / self.spread

    @property
    def is_escalating(self) -> bool:
        """Whether it fails more than its baseline explains."""
        return self.expected is not None and self.recent >= LEAST and self.score > SIGMAS


def series(counts: Mapping[datetime, int], now: datetime, length: int = HISTORY) -> tuple[int, ...]:
    """Counts by the hour in which they fall as so many numbers, oldest first; the last is the current hour's.

    Times without a zone are UTC, as they are stored.
    """
    current = hour_of(now)
    hours = (current - timedelta(hours=back) for back in range(length - 1, -1, -1))
    return tuple(counts.get(hour, 0) for hour in hours)


def hour_of(time: datetime) -> datetime:
    """The beginning of the hour in which a time is, in UTC and without a zone."""
    utc = time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    return utc.replace(minute=0, second=0, microsecond=0)


def trend(hours: Sequence[int], first: datetime | None, now: datetime) -> Trend:
    """Compare the last hours with the same hours of the seven days before.

    A count is unusual when it is more than three standard deviations above the mean of comparable periods:
    the rule C1 of EARS (Hutwagner and others, Journal of Urban Health 80, 2003, i89-i96). Comparable are the
    same hours of other days, the variance is at least that of a Poisson distribution, and the threshold is
    one for a prediction, wider by 1 + 1/n for a baseline of n periods: all three after Farrington and others,
    Journal of the Royal Statistical Society A 159, 1996, 547-563.

    Args:
        hours: failures of each of the last ``HISTORY`` hours, oldest first.
        first: the first failure; the time before it is no baseline. ``None`` where it is not known.
        now: the time that it is.
    """
    known = HISTORY if first is None else (hour_of(now) - hour_of(first)) // timedelta(hours=1)
    days = min(DAYS, (known - WINDOW + 1) // 24)
    recent = sum(hours[-WINDOW:])
    if days < 1:
        return Trend(recent, None, max(1.0, math.sqrt(recent)))
    baseline = [sum(hours[-24 * day - WINDOW : -24 * day]) for day in range(1, days + 1)]
    mean = sum(baseline) / days
    squares = sum((count - mean) ** 2 for count in baseline)
    variance = max(squares / (days - 1) if days > 1 else 0.0, mean, 1.0)
    return Trend(recent, mean, math.sqrt(variance * (1 + 1 / days)))


def marks(
    *,
    status: str,
    regressed: bool,
    first: datetime | None,
    last: datetime | None,
    trend: Trend,
    now: datetime,
) -> tuple[Mark, ...]:
    """The marks of a pattern, the most urgent first.

    Nobody waits for a resolved pattern, so it has none. One that will not be mended has ``escalating`` alone.

    Args:
        status: ``open``, ``resolved`` or ``wontfix``.
        regressed: whether it was reopened by a failure that came after it was resolved.
        first: its first failure, where that is known.
        last: its last failure, where that is known.
        trend: what its last hours say.
        now: the time that it is, aware.
    """
    found = {
        "regressed": status == "open" and regressed,
        "new": status == "open" and first is not None and _age(first, now) < NEW_FOR,
        "escalating": status != "resolved" and trend.is_escalating,
        "quiet": status == "open" and last is not None and _age(last, now) >= QUIET_AFTER,
    }
    return tuple(mark for mark in MARKS if found[mark])


def _age(time: datetime, now: datetime) -> timedelta:
    return now - (time if time.tzinfo else time.replace(tzinfo=UTC))
