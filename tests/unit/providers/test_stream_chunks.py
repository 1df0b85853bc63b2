"""Chunks that bring text alone are read in a shorter way, which must come to the same."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import ChatRequest, Chunk
from cajanegra.domain.failure import ProviderError
from cajanegra.providers import openai_compatible
from cajanegra.providers.attempt import Attempt
from cajanegra.providers.chat_chunks import ChatChunks, texts_of
from cajanegra.providers.lines import ServerEvent

TEXT = b'{"choices": [{"delta": {"content": "a"}}]}'
DELTAS: list[dict[str, Any]] = [
    {"content": "word "},
    {"content": ""},
    {"role": "assistant", "content": "I"},
    {"role": "assistant"},
    {"content": None},
    {"content": "é", "reasoning_content": "hm"},
    {"content": "x", "refusal": None},
    {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]},
]
CHOICES = st.builds(
    lambda delta, index, reason, more: {"index": index, "delta": delta, "finish_reason": reason} | more,
    st.sampled_from(DELTAS),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([None, None, None, "stop"]),
    st.sampled_from([{}, {}, {"logprobs": None}, {"logprobs": {"content": []}}]),
)
EVENTS = st.builds(
    lambda choices, more: msgspec.json.encode({"id": "c-1", "choices": choices} | more),
    st.lists(CHOICES, min_size=1, max_size=2) | st.just([]),
    st.sampled_from(
        [
            {},
            {},
            {"model": "m"},
            {"model": ""},
            {"object": "chat.completion.chunk"},
            {"usage": None},
            {"usage": {}},
        ]
    ),
)


def _chunks(events: list[bytes], *, raw: bool) -> tuple[list[Chunk], str]:
    request = ChatRequest([{"role": "user", "content": "hi"}], raw=raw)
    state = ChatChunks(Attempt("openai", "m", request, str, mock.Mock()))
    named = [ServerEvent("message", event) for event in events]
    try:
        found = [*openai_compatible._chunks(state, named, {})]
    except ProviderError as error:
        return [], error.failure.kind
    return [
        msgspec.structs.replace(chunk, tool_calls=[*chunk.tool_calls]) for chunk in found
    ], state.delivery.text


@given(st.lists(EVENTS, max_size=6), st.booleans())
def test_texts_alone_come_to_the_same_as_all_that_is_read(events: list[bytes], raw: bool) -> None:
    found = _chunks(events, raw=raw)
    with mock.patch.object(openai_compatible, "texts_of", return_value=None):
        assert found == _chunks(events, raw=raw)


@pytest.mark.parametrize(
    "event",
    [
        b'{"choices": [{"delta": {"content": "a"}}], "x": "\xff\xfe"}',
        b'{"choices": [{"delta": {"content": "a"}}], "error": {"message": "no"}}',
        b'{"choices": [{"delta": {"content": "a"}}], "object": "error"}',
        b'{"choices": [{"delta": {"content": "\\ud800"}}]}',
        b'{"choices": [{"index": 1, "delta": {"content": "a"}}]}',
        b'{"choices": [{"delta": {"content": "a", "audio": {}}}]}',
        b"[1]",
        b"",
    ],
)
def test_what_may_be_more_than_text_is_read_whole(event: bytes) -> None:
    assert texts_of([event]) is None
    assert texts_of([TEXT, event, TEXT]) is None


@given(
    st.lists(st.sampled_from([TEXT, b"{", b"}", b"{}", b" ", b",", b"\n", b'"x": ']), min_size=1, max_size=8)
)
def test_chunks_that_are_read_together_are_one_each(parts: list[bytes]) -> None:
    """Whatever stands in the events: one with two values does not make up for two with half of one each."""
    for count in range(1, len(parts) + 1):
        events = [b"".join(parts[at::count]) for at in range(count)]
        alone = [texts_of([event]) for event in events]
        together = texts_of(events)
        assert together == (None if None in alone else [one for found in alone for one in found or ()])


def test_an_event_with_two_values_is_none() -> None:
    two, half, rest = TEXT + b" " + TEXT, b'{"x": {}', b'{}, "choices": []}'
    assert texts_of([two]) is None
    assert texts_of([two, half, rest]) is None
    assert texts_of([two, TEXT[:-1], b"}"]) is None
