"""Calls over time, in buckets of equal length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cajanegra.errors import UsageError
from cajanegra.storage.database import Database, snapshot
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.rollups.answers import answer, largest
from cajanegra.storage.rollups.questions import Coverage, Question
from cajanegra.storage.statistics import Grouping, dimension
from cajanegra.storage.sums import Figures, Sums

BUCKETS = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
}
MAX_BUCKETS = 1_000
USUAL_BUCKETS = 200
"""Buckets of a series that are aimed at where nobody says how long one is."""
USUAL_POINTS = 1_000
"""Buckets of all series together, likewise."""
MAX_SERIES = 20
SINGLY = timedelta(hours=6)
"""Up to which shorter buckets than those of the rollups are chosen, for which every call is looked at."""
_COUNTED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Series:
    """One group's calls over time.

    Attributes:
        value: what the calls have in common; ``None`` for all of them.
        points: begin of each bucket (UTC, aware) and what its calls come to, empty buckets included.
    """

    value: str | None
    points: Sequence[tuple[datetime, Figures]]


@dataclass(frozen=True, slots=True)
class Timeseries:
    """Calls over time.

    Attributes:
        bucket: how long a bucket is, one of ``BUCKETS``.
        series: one, or one of each group.
        coverage: what the answer is made of.
    """

    bucket: str
    series: Sequence[Series]
    coverage: Coverage


def timeseries(
    db: Database,
    where: CallFilter,
    *,
    since: datetime,
    until: datetime,
    bucket: str | None = None,
    by: Grouping | None = None,
) -> Timeseries:
    """The calls from ``since`` to ``until`` in buckets.

    The first bucket begins at a full multiple of its length since the Unix epoch, so that the buckets of two
    requests fit together; the first and the last hold the calls of the time asked for alone.

    Args:
        db: the database.
        where: which calls; where it does not say until when, the last bucket has what is there.
        since: begin, aware.
        until: end, aware.
        bucket: one of ``BUCKETS``; default is the shortest that gives at most 200 of them, and 1,000 in all
            series together, as far as days do; from an hour on for more than six hours.
        by: a series for each value of this, the 20 with most calls; default is one series of all.

    Raises:
        UsageError: a filter makes no sense, or there would be more than 1,000 buckets.
        StorageError: the database cannot be read.
    """
    _starts(since, until, bucket or "1d")  # refuses what makes no sense
    asked = Question(replace(where, since=since))
    with snapshot(db) as connection:
        names: list[str] = []
        if by is not None:
            asked = replace(asked, by=(dimension(by),))
            names = largest(db, connection, asked, MAX_SERIES)
            asked = replace(asked, values=tuple(names))
        name = bucket or _usual(until - since, max(1, len(names)))
        starts = _starts(since, until, name)
        length = int(BUCKETS[name].total_seconds())
        found = answer(db, connection, replace(asked, bucket=length))
    if by is None:
        whole = {number: sums for (number,), sums in found.groups.items()}
        return Timeseries(name, [_series(None, starts, length, whole)], found.coverage)
    own: dict[str, dict[int, Sums]] = {value: {} for value in names}
    for (number, value), sums in found.groups.items():
        own[value][number] = sums
    series = [_series(value, starts, length, of) for value, of in own.items()]
    return Timeseries(name, series, found.coverage)


def _usual(window: timedelta, series: int) -> str:
    most = min(USUAL_BUCKETS, USUAL_POINTS // series)
    fitting = (
        name
        for name, length in BUCKETS.items()
        if window <= length * most and (length >= _COUNTED or window <= SINGLY)
    )
    return next(fitting, "1d")


def _starts(since: datetime, until: datetime, name: str) -> range:
    """The buckets, as seconds since the Unix epoch."""
    if name not in BUCKETS:
        raise UsageError(f"there are no buckets of {name!r}; choose one of {', '.join(BUCKETS)}")
    if until <= since:
        raise UsageError("the time asked for ends before it begins")
    length = int(BUCKETS[name].total_seconds())
    first = int(since.timestamp() // length) * length
    starts = range(first, -int(-until.timestamp() // 1), length)
    if len(starts) > MAX_BUCKETS:
        raise UsageError(
            f"that would be {len(starts):,} buckets of {name}, and at most {MAX_BUCKETS:,} are shown; "
            "ask for longer buckets or less time"
        )
    return starts


def _series(value: str | None, starts: range, length: int, found: dict[int, Sums]) -> Series:
    points = []
    for start in starts:
        sums = found.get(start // length)
        entry = sums.figures() if sums is not None else Figures()
        points.append((datetime.fromtimestamp(start, UTC), entry))
    return Series(value, points)
