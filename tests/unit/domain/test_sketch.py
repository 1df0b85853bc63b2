from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain import sketch

SHARES = (0.01, 0.5, 0.95, 0.99, 1.0)
TIMES = st.lists(st.one_of(st.integers(0, 2**31), st.floats(1, 1e6)), min_size=1, max_size=60)


@given(TIMES, TIMES)
def test_quantiles_of_a_sum_are_within_a_per_cent(some: list[float], others: list[float]) -> None:
    both = sketch.of_times(Counter(some)) + sketch.of_times(Counter(others))
    ordered = sorted([*some, *others])
    for share, found in zip(SHARES, sketch.quantiles(both, SHARES), strict=True):
        exact = ordered[math.ceil(share * len(ordered)) - 1]
        assert found == pytest.approx(exact, rel=0.0101)


@given(TIMES, TIMES)
def test_what_is_taken_out_leaves_no_trace(some: list[float], others: list[float]) -> None:
    one, other = sketch.of_times(Counter(some)), sketch.of_times(Counter(others))
    out = sketch.of_times({ms: -count for ms, count in Counter(others).items()})
    assert one + other + out == one
    assert other + out == sketch.EMPTY


@given(TIMES, st.integers(1, 100_000))
def test_what_is_stored_is_read_back(times: list[float], many: int) -> None:
    found = sketch.of_times(dict.fromkeys(times, many))
    assert sketch.decode(sketch.encode(found)) == found
    assert sketch.encode(sketch.EMPTY) == b""


def test_the_sketch_of_one_time_takes_four_bytes() -> None:
    assert len(sketch.encode(sketch.of_times({1_234: 1}))) == 4


def test_of_no_times_nothing_is_said() -> None:
    assert sketch.quantiles(sketch.of_times({}), SHARES) == [None] * len(SHARES)


@pytest.mark.parametrize(
    ("ms", "shown"), [(-1, 0.0), (0, 0.0), (0.5, 0.0), (math.nan, 0.0), (math.inf, 2.0**32)]
)
def test_strange_times(ms: float, shown: float) -> None:
    assert sketch.quantiles(sketch.of_times({ms: 1}), [0.5]) == [pytest.approx(shown, rel=0.03)]
