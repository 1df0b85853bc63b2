from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain import keys


def test_a_key_names_itself_and_is_stored_as_a_hash() -> None:
    made = keys.new_key()
    assert made.text.startswith(f"{made.prefix}_")
    assert keys.key_prefix(made.text) == made.prefix
    assert made.digest == keys.digest(made.text)
    assert made.text not in repr(made)


def test_no_two_are_the_same() -> None:
    assert len({keys.new_key().text for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize("text", ["", "cn_", "sk-proj-abc", "cn_abcdefghij_short", "Bearer cn_x"])
def test_what_cannot_be_a_key_has_no_prefix(text: str) -> None:
    assert keys.key_prefix(text) is None


@given(st.text())
def test_any_text_can_be_asked_about(text: str) -> None:
    assert keys.key_prefix(text) is None
    keys.is_session(text)


def test_a_session_is_not_taken_for_a_key() -> None:
    assert keys.key_prefix(keys.new_session().text) is None
    assert not keys.is_session(keys.new_key().text)
