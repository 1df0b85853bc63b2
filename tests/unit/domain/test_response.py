from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import Answer, Usage
from cajanegra.domain.response import answer_from, confidence_from, usage_from

BODY = {
    "model": "gpt-4o",
    "choices": [{"message": {"content": "Hola."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "usage", "logprobs", "logprob", "tool_calls", "text"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def test_a_dict_an_sdks_object_and_an_answer_say_the_same() -> None:
    answer = answer_from(BODY)
    assert (answer.text, answer.model, answer.finish_reason) == ("Hola.", "gpt-4o", "stop")
    assert answer.usage == Usage(3, 2, 5)
    assert answer_from(SimpleNamespace(model_dump=lambda: BODY)) == answer
    assert answer_from(answer) is answer


@given(JSON)
def test_no_shape_is_too_strange(body: Any) -> None:
    answer = answer_from(body)
    assert isinstance(answer, Answer)
    assert answer.confidence is None or 0 <= answer.confidence <= 1


def test_parts_of_a_text_are_joined() -> None:
    parts = [
        {"type": "text", "text": "Ho"},
        {"type": "thinking", "thinking": []},
        {"type": "text", "text": "la"},
    ]
    assert answer_from({"choices": [{"message": {"content": parts}}]}).text == "Hola"


def test_usage_comes_under_either_name_and_totals_are_summed() -> None:
    usage = usage_from(
        {
            "input_tokens": 10,
            "output_tokens": 4,
            "input_tokens_details": {"cached_tokens": 8},
            "output_tokens_details": {"reasoning_tokens": 3},
        }
    )
    assert usage == Usage(10, 4, 14, cached_tokens=8, reasoning_tokens=3)
    assert usage_from({"total_tokens": True, "prompt_tokens": -1}) == Usage()


def test_confidence_is_the_mean_probability() -> None:
    tokens = [{"logprob": math.log(0.2)}, {"logprob": math.log(0.4)}]
    assert confidence_from({"content": tokens}) == pytest.approx(0.3)
    assert confidence_from(tokens) == pytest.approx(0.3)
    assert confidence_from({"content": []}) is None
