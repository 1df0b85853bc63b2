from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.providers.windows import fewest_tokens, looks_truncated, window_for


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@given(st.text(max_size=500).map(lambda text: text * 50), st.integers(min_value=1, max_value=10_000))
def test_window_holds_prompt_and_answer(text: str, answer_tokens: int) -> None:
    window = window_for(user(text), 0, answer_tokens, None)
    assert window >= fewest_tokens(user(text)) / 2 + answer_tokens
    assert window >= len(text.encode(errors="replace")) // 3 + answer_tokens
    assert window & (window - 1) == 0


@pytest.mark.parametrize(
    ("characters", "most", "window"),
    [(10, None, 4096), (30_000, None, 16_384), (30_000, 8192, 8192), (10, 2048, 2048)],
)
def test_window_grows_with_the_prompt_up_to_the_limit(characters: int, most: int | None, window: int) -> None:
    assert window_for(user("x" * characters), 0, 1024, most) == window


@pytest.mark.parametrize(
    ("words", "reported", "truncated"),
    [
        (12_000, 2050, True),  # cut to half of a window of 4096, as servers of 2026 do
        (3000, 4096, True),  # fills the window to the brim
        (3000, 3000, False),
        (3000, 3700, False),
        (3000, 40, False),  # an old server, which counts only what its cache did not have
        (20, 25, False),
    ],
)
def test_truncation_is_seen_by_the_reported_tokens(words: int, reported: int, truncated: bool) -> None:
    assert looks_truncated(user("palabra " * words), reported, 4096) is truncated


def test_ideographs_count_though_no_space_parts_them() -> None:
    assert fewest_tokens(user("漢字" * 100)) == 1 + 200 // 4
