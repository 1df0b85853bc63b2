from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.outcome import Outcome, achievements, wilson


def _outcome(**known: Any) -> Outcome:
    usual: dict[str, Any] = {
        "id": 1,
        "pattern": "ollama_timeout",
        "strategy": "retry",
        "provider": "ollama",
        "model": "m",
        "worked": True,
        "time_ms": 100,
        "wait_ms": 0,
        "tokens": None,
        "cost": None,
        "at": None,
    }
    return Outcome(**(usual | known))


@pytest.mark.parametrize(
    ("successes", "trials", "lowest", "highest"),
    [
        # R's binom.confint(method="wilson"), and Brown, Cai, DasGupta for the extremes.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (10, 10, 0.7225, 1.0),
    ],
)
def test_the_interval_is_wilsons(successes: int, trials: int, lowest: float, highest: float) -> None:
    assert wilson(successes, trials) == pytest.approx((lowest, highest), abs=5e-5)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_narrows(counts: tuple[int, int]) -> None:
    successes, trials = counts
    lowest, highest = wilson(successes, trials)
    assert 0 <= lowest <= successes / trials <= highest <= 1
    assert lowest < highest
    more_lowest, more_highest = wilson(successes * 4, trials * 4)
    assert more_highest - more_lowest < highest - lowest


def test_each_strategy_is_summed_up_and_fallbacks_by_whom_they_asked() -> None:
    steps = [
        _outcome(strategy="retry", worked=worked, time_ms=ms) for worked, ms in ((True, 100), (False, 900))
    ]
    steps += [
        _outcome(strategy="fallback", provider="openai", model="gpt-4o", tokens=tokens, cost=0.01)
        for tokens in (10, 20, 30)
    ]
    steps += [_outcome(strategy="fallback", provider="azure", model="gpt-4o", worked=False, time_ms=None)]
    first, second, third = achievements(steps)
    assert (first.strategy, first.target, first.steps, first.tokens) == ("fallback", "openai/gpt-4o", 3, 20)
    assert first.cost == pytest.approx(0.01)
    assert (second.strategy, second.target, second.successes) == ("retry", None, 1)
    assert (second.p50_ms, second.p95_ms) == (100, 900)
    assert (third.target, third.successes, third.p50_ms, third.tokens) == ("azure/gpt-4o", 0, None, None)
    assert achievements([]) == []


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_sorted_times(times: list[int]) -> None:
    (found,) = achievements([_outcome(time_ms=ms) for ms in times])
    assert found.p50_ms == sorted(times)[math.ceil(len(times) / 2) - 1]
    assert found.p95_ms == sorted(times)[math.ceil(0.95 * len(times)) - 1]
