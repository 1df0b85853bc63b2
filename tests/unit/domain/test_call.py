from __future__ import annotations

import hashlib
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import prompt_hash, prompt_text
from cajanegra.domain.ids import derived_id, uuid7


def test_a_strings_text_is_itself() -> None:
    assert prompt_text("¿Qué?") == "¿Qué?"


def test_the_text_of_messages_is_their_text_parts_joined_by_newlines() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}, {"text": "b"}]},
        {"role": "assistant", "content": None, "tool_calls": [{}]},
        {"role": "user", "content": "c"},
    ]  # fmt: skip
    assert prompt_text(messages) == "be brief\na\nb\nc"


def test_the_hash_is_the_sha_256_of_the_utf_8() -> None:
    assert prompt_hash("¿Qué?") == hashlib.sha256("¿Qué?".encode()).hexdigest()


@given(st.text(st.characters(), max_size=50))
def test_any_text_has_a_hash(text: str) -> None:
    assert len(prompt_hash(text)) == 64


def test_ids_are_version_7_unique_and_in_order_of_time() -> None:
    ids = [uuid7() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(one) == 36 and one[14] == "7" and one[19] in "89ab" for one in ids)
    milliseconds = int(ids[0].replace("-", "")[:12], 16)
    assert abs(milliseconds / 1000 - time.time()) < 60
    assert [one[:13] for one in ids] == sorted(one[:13] for one in ids)


@given(st.text(), st.text())
def test_derived_ids_keep_the_different_apart(one: str, other: str) -> None:
    assert (derived_id(one) == derived_id(other)) == (one == other)
