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


RESPONSES_BODY = {
    "model": "gpt-4o",
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": []},
        {
            "type": "message",
            "content": [
                {
                    "type": "output_text",
                    "text": "Ho",
                    "logprobs": [{"token": "Ho", "logprob": math.log(0.5)}],
                },
                {"type": "output_text", "text": "la"},
            ],
        },
    ],
    "usage": {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14},
}


def test_responses_are_read_as_chat_completions_are() -> None:
    answer = answer_from(RESPONSES_BODY)
    assert (answer.text, answer.model, answer.finish_reason) == ("Hola", "gpt-4o", "stop")
    assert answer.usage == Usage(10, 4, 14)
    assert answer.confidence == pytest.approx(0.5)


def test_tool_calls_of_responses_take_the_form_of_chat_completions() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"}
    answer = answer_from({"status": "completed", "output": [call]})
    assert answer.finish_reason == "tool_calls"
    assert answer.tool_calls == [
        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    ]


@pytest.mark.parametrize(
    ("reason", "expected"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
)
def test_a_response_that_was_cut_says_why(reason: str, expected: str) -> None:
    body = {**RESPONSES_BODY, "status": "incomplete", "incomplete_details": {"reason": reason}}
    assert answer_from(body).finish_reason == expected


def test_a_text_completion_and_a_text() -> None:
    body = {"choices": [{"text": "Hola.", "logprobs": {"token_logprobs": [math.log(0.4)]}}]}
    assert answer_from(body).text == "Hola."
    assert answer_from(body).confidence == pytest.approx(0.4)
    assert answer_from("Hola.").text == "Hola."


def test_an_object_without_a_dump_is_read_by_its_attributes() -> None:
    choice = SimpleNamespace(message=SimpleNamespace(content="Hola."), finish_reason="stop")
    response = SimpleNamespace(choices=[choice], model="gpt-4o", usage=SimpleNamespace(total_tokens=5))
    answer = answer_from(response)
    assert (answer.text, answer.model, answer.finish_reason) == ("Hola.", "gpt-4o", "stop")
    assert answer.usage == Usage(total_tokens=5)


class Broken:
    @property
    def choices(self) -> list[Any]:
        raise RuntimeError("the stream was closed")

    def model_dump(self, **_options: Any) -> dict[str, Any]:
        raise RuntimeError("the stream was closed")


def test_an_object_that_raises_says_nothing() -> None:
    assert answer_from(Broken()) == Answer("", tool_calls=[])
