from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cajanegra.storage.recent import key_of

SIGNED_64_BITS = range(-(2**63), 2**63)


@given(st.text(max_size=50))
def test_any_id_has_a_key_that_its_column_holds(request_id: str) -> None:
    assert key_of(request_id) in SIGNED_64_BITS


@given(st.integers(0, 2**48 - 1), st.integers(0, 3_600_000), st.integers(0, 2**80 - 1))
def test_ids_of_one_hour_are_noted_side_by_side(begin_ms: int, later_ms: int, random: int) -> None:
    first, second = (f"{ms % 2**48:012x}{random:020x}" for ms in (begin_ms, begin_ms + later_ms))
    pages_apart = abs((key_of(second) >> 42) - (key_of(first) >> 42))
    assert pages_apart <= 1 or begin_ms + later_ms >= 2**48


@given(st.lists(st.text("0123456789abcdef-", min_size=1, max_size=36), unique=True, max_size=50))
def test_different_ids_have_different_keys(request_ids: list[str]) -> None:
    assert len({*map(key_of, request_ids)}) == len(request_ids)
