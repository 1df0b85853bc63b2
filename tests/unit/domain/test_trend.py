from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.trend import (
    HISTORY,
    LEAST,
    WINDOW,
    Mark,
    Trend,
    hour_of,
    marks,
    series,
    trend,
)

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=90)
counts = st.lists(st.integers(0, 10_000), min_size=HISTORY, max_size=HISTORY)
ages = st.integers(0, 400).map(lambda hours: NOW - timedelta(hours=hours))


def _daily(today: int, *days: int) -> list[int]:
    """So many failures at this time of the day: today, yesterday, the day before, ..."""
    hours = [0] * HISTORY
    for day, count in enumerate([today, *days]):
        hours[-1 - 24 * day] = count
    return hours


def test_a_daily_peak_is_no_escalation() -> None:
    found = trend(_daily(100, 95, 104, 99, 101, 97, 102, 98), LONG_AGO, NOW)
    assert found.expected == pytest.approx(99.43, abs=0.01)
    assert not found.is_escalating


def test_more_than_the_days_before_explain_is_an_escalation() -> None:
    assert trend(_daily(140, 95, 104, 99, 101, 97, 102, 98), LONG_AGO, NOW).is_escalating
    assert not trend(_daily(140, 10, 250, 20, 180, 15, 160, 12), LONG_AGO, NOW).is_escalating


def test_the_same_number_at_another_time_of_the_day_is_an_escalation() -> None:
    hours = [0] * HISTORY
    for day in range(1, 8):
        hours[-1 - 24 * day + 12] = 50
    hours[-2] = 50
    assert trend(hours, LONG_AGO, NOW).is_escalating


def test_a_handful_of_failures_is_no_escalation() -> None:
    assert not trend(_daily(LEAST - 1), LONG_AGO, NOW).is_escalating
    assert trend(_daily(LEAST), LONG_AGO, NOW).is_escalating


def test_what_has_no_yesterday_has_no_baseline() -> None:
    young = trend(_daily(500), NOW - timedelta(hours=28), NOW)
    assert (young.expected, young.is_escalating) == (None, False)
    assert trend(_daily(500), NOW - timedelta(hours=29), NOW).is_escalating


def test_days_before_the_first_failure_are_no_baseline() -> None:
    first = NOW - timedelta(days=3)
    assert trend(_daily(60, 50, 55), first, NOW).expected == pytest.approx(52.5)


@given(st.integers(0, 10_000), ages)
def test_a_constant_rate_never_escalates(rate: int, first: datetime) -> None:
    assert not trend([rate] * HISTORY, first, NOW).is_escalating


@given(counts, ages, st.integers(0, 1_000), st.integers(1, WINDOW))
def test_more_failures_now_never_make_it_calmer(
    hours: list[int], first: datetime, more: int, back: int
) -> None:
    grown = [*hours]
    grown[-back] += more
    before, after = trend(hours, first, NOW), trend(grown, first, NOW)
    if before.expected is not None:
        assert after.score >= before.score
    assert after.is_escalating or not before.is_escalating


@given(counts, ages)
def test_what_happened_before_the_first_failure_does_not_matter(hours: list[int], first: datetime) -> None:
    age = int((NOW - first) / timedelta(hours=1))
    cut = [count if HISTORY - place <= age + 1 else 0 for place, count in enumerate(hours)]
    assert trend(cut, first, NOW).expected == trend(hours, first, NOW).expected


def test_hours_are_put_in_their_places() -> None:
    found = series({hour_of(NOW): 3, hour_of(NOW - timedelta(hours=2)): 1}, NOW, 4)
    assert found == (0, 1, 0, 3)
    assert hour_of(NOW.astimezone()) == datetime(2026, 11, 24, 12)  # noqa: DTZ001 - as stored


CALM, RISING = Trend(0, 5.0, 3.0), Trend(100, 5.0, 3.0)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, ()),
        ({"first": NOW - timedelta(hours=23)}, ("new",)),
        ({"regressed": True, "trend": RISING}, ("regressed", "escalating")),
        ({"last": NOW - timedelta(days=7)}, ("quiet",)),
        ({"last": (NOW - timedelta(days=8)).replace(tzinfo=None)}, ("quiet",)),
        ({"first": None, "last": None}, ()),
        ({"status": "wontfix", "regressed": True, "trend": RISING}, ("escalating",)),
        ({"status": "wontfix", "last": NOW - timedelta(days=30)}, ()),
        ({"status": "resolved", "trend": RISING, "first": NOW}, ()),
    ],
)
def test_marks(known: dict[str, Any], expected: tuple[Mark, ...]) -> None:
    usual: dict[str, Any] = {
        "status": "open",
        "regressed": False,
        "first": LONG_AGO,
        "last": NOW - timedelta(hours=1),
        "trend": CALM,
    }
    assert marks(**(usual | known), now=NOW) == expected


@given(counts, st.integers(0, 400), st.integers(0, 400), st.booleans())
def test_what_is_quiet_is_neither_new_nor_escalating(
    hours: list[int], one: int, other: int, regressed: bool
) -> None:
    first, last = (NOW - timedelta(hours=back) for back in (max(one, other), min(one, other)))
    silent = [0 if HISTORY - place <= min(one, other) else count for place, count in enumerate(hours)]
    found = marks(
        status="open", regressed=regressed, first=first, last=last, trend=trend(silent, first, NOW), now=NOW
    )
    assert not ("quiet" in found and {"new", "escalating"}.intersection(found))
