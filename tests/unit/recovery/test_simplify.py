from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import ChatRequest
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.simplify import Simplified, fit, numbers_of, simplify

SYSTEM = {"role": "system", "content": "be brief"}
QUESTION = {"role": "user", "content": "what now?"}


def _failure(kind: FailureKind, message: str) -> Failure:
    return Failure(kind, message, "acme-ai")


def _conversation(turns: int, size: int = 2000) -> list[dict[str, Any]]:
    history = [
        {"role": ("user", "assistant")[i % 2], "content": f"{i:04d}" * (size // 4)} for i in range(turns)
    ]
    return [SYSTEM, *history, QUESTION]


def _size(request: ChatRequest) -> int:
    return sum(len(message["content"]) for message in request.messages)


def _simplified(
    request: ChatRequest, kind: FailureKind, message: str, window: int | None = None
) -> Simplified:
    simplified = simplify(request, _failure(kind, message), window)
    assert simplified is not None
    return simplified


def test_the_oldest_turns_go_and_system_and_question_stay() -> None:
    request = ChatRequest(_conversation(10))
    message = (
        "This model's maximum context length is 3000 tokens. However, your messages resulted in 5000 tokens."
    )
    simplified = _simplified(request, FailureKind.CONTEXT_LENGTH, message)
    assert simplified.request.messages[0] == SYSTEM
    assert simplified.request.messages[-1] == QUESTION
    assert 0 < _size(simplified.request) / _size(request) <= 3000 / 5000
    dropped = simplified.changed["messages_dropped"]
    assert len(simplified.request.messages) == len(request.messages) - dropped
    assert simplified.changed["characters_cut"] == _size(request) - _size(simplified.request)
    assert (
        simplified.action == f"drop {dropped} messages, cut {simplified.changed['characters_cut']} characters"
    )


def test_what_came_after_the_question_is_cut_in_the_middle() -> None:
    text = "BEGIN" + "x" * 20_000 + "END"
    called = {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}
    request = ChatRequest([QUESTION, called, {"role": "tool", "tool_call_id": "1", "content": text}])
    simplified = _simplified(request, FailureKind.CONTEXT_LENGTH, "too long", window=2000)
    question, _, result = simplified.request.messages
    assert question == QUESTION
    assert result["content"].startswith("BEGIN")
    assert result["content"].endswith("END")
    assert len(result["content"]) <= 8000


def test_a_question_that_is_too_long_by_itself_is_never_cut() -> None:
    request = ChatRequest([SYSTEM, {"role": "user", "content": "x" * 20_000}])
    assert simplify(request, _failure(FailureKind.CONTEXT_LENGTH, "too long"), 2000) is None


def test_results_of_tools_go_with_the_call_that_asked_for_them() -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    result = {"role": "tool", "tool_call_id": "1", "content": "y" * 4000}
    request = ChatRequest([SYSTEM, {"role": "user", "content": "x" * 4000}, called, result, QUESTION])
    simplified = _simplified(request, FailureKind.CONTEXT_LENGTH, "too long", window=300)
    assert [message["role"] for message in simplified.request.messages] == ["system", "user"]


def test_room_for_the_answer_is_lowered_when_the_prompt_alone_fits() -> None:
    request = ChatRequest([QUESTION], max_tokens=4000)
    message = (
        "This model's maximum context length is 4097 tokens. However, you requested 4128 tokens "
        "(128 in the messages, 4000 in the completion)."
    )
    simplified = _simplified(request, FailureKind.CONTEXT_LENGTH, message)
    assert simplified.request.messages == [QUESTION]
    lowered = simplified.request.max_tokens
    assert lowered is not None
    assert 3500 < lowered <= 4097 - 128
    assert simplified.changed == {"max_tokens": {"from": 4000, "to": lowered}}


def test_max_tokens_is_lowered_to_what_the_error_allows() -> None:
    request = ChatRequest([QUESTION], max_tokens=100_000)
    message = "max_tokens is too large: 100000. This model supports at most 16384 completion tokens."
    simplified = _simplified(request, FailureKind.MAX_TOKENS_INVALID, message)
    assert simplified.request.max_tokens == 16384
    assert simplified.action == "max_tokens 100000 -> 16384"


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Unsupported parameter: 'top_k' is not supported with this model.", "top_k"),
        ("Unrecognized request argument supplied: top_k", "top_k"),
        ('unknown field "top_k"', "top_k"),
        ("Unsupported value: 'temperature' does not support 0.2 with this model.", "temperature"),
    ],
)  # fmt: skip
def test_a_parameter_that_the_provider_does_not_know_is_removed(message: str, name: str) -> None:
    request = ChatRequest([QUESTION], temperature=0.2, parameters={"top_k": 3, "seed": 1})
    simplified = _simplified(request, FailureKind.INVALID_REQUEST, message)
    assert simplified.changed == {"parameters_removed": [name]}
    assert (simplified.request.temperature is None) == (name == "temperature")
    assert ("top_k" in simplified.request.parameters) == (name != "top_k")
    assert simplified.request.parameters["seed"] == 1


def test_a_renamed_parameter_is_given_its_new_name() -> None:
    request = ChatRequest([QUESTION], max_tokens=50)
    message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    simplified = _simplified(request, FailureKind.INVALID_REQUEST, message)
    assert simplified.request.max_tokens is None
    assert simplified.request.parameters == {"max_completion_tokens": 50}
    assert simplified.action == "rename max_tokens to max_completion_tokens"


def test_a_request_that_is_wrong_in_another_way_is_left_alone() -> None:
    request = ChatRequest([QUESTION], parameters={"top_k": 3})
    assert simplify(request, _failure(FailureKind.INVALID_REQUEST, "roles must alternate"), None) is None


def test_nothing_is_cut_from_a_short_prompt() -> None:
    assert simplify(ChatRequest([QUESTION]), _failure(FailureKind.CONTEXT_LENGTH, "too long"), 10) is None


def test_a_prompt_is_fitted_to_a_known_window_only_when_it_does_not_fit() -> None:
    request = ChatRequest(_conversation(10), max_tokens=100)
    assert fit(request, None) is None
    assert fit(request, 100_000) is None
    fitted = fit(request, 2000)
    assert fitted is not None
    assert _size(fitted.request) / 4 + 100 <= 2000


texts = st.text(max_size=3000)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": texts}
    ),
    min_size=1,
)


@given(
    messages,
    st.none() | st.integers(1, 10**6),
    st.none() | st.integers(1, 10**6),
    st.sampled_from(
        [FailureKind.CONTEXT_LENGTH, FailureKind.MAX_TOKENS_INVALID, FailureKind.PAYLOAD_TOO_LARGE]
    ),
    texts | st.just("maximum context length is 500 tokens, you requested 900 tokens"),
)
def test_a_simplified_request_is_smaller_and_the_original_untouched(
    conversation: list[dict[str, str]],
    window: int | None,
    max_tokens: int | None,
    kind: FailureKind,
    message: str,
) -> None:
    request = ChatRequest(conversation, max_tokens=max_tokens)
    before = copy.deepcopy(conversation)
    simplified = simplify(request, _failure(kind, message), window)
    assert conversation == before
    if simplified is None:
        return
    assert simplified.changed
    assert simplified.action
    smaller_prompt = _size(simplified.request) < _size(request)
    less_room = simplified.request.max_tokens != max_tokens
    assert smaller_prompt or less_room
    assert _size(simplified.request) <= _size(request)
    kept = [m for m in simplified.request.messages if m["role"] == "system"]
    assert kept == [m for m in conversation if m["role"] == "system"]
    asked = [m for m in conversation if m["role"] == "user"]
    assert [m for m in simplified.request.messages if m["role"] == "user"][-1:] == asked[-1:]


@pytest.mark.parametrize(
    ("message", "limit", "asked"),
    [
        ("This model's maximum context length is 8192 tokens.", 8192, None),
        ("maximum context length is 4097 tokens. However, your messages resulted in 5000 tokens", 4097, 5000),
        (
            "maximum context length is 131072 tokens, you requested 156652 (152556 in the messages, 4096 in the answer)",
            131072,
            156652,
        ),
        (
            "maximum context length is 8192. You requested a total of 9200: 9000 and 200 for the answer",
            8192,
            9200,
        ),
        ("The input (9000 tokens) is longer than the model's context length (8192 tokens).", 8192, 9000),
        ("Input length (9000 tokens) exceeds the maximum allowed length (8185 tokens).", 8185, 9000),
        ("prompt is too long: 210000 tokens > 200000 maximum", 200000, 210000),
        ("maximum context length is 4096 tokens, you requested 8192 (4096 and 4096)", 4096, 8192),
        ("the prompt is too long", None, None),
    ],
)
def test_the_limit_is_told_from_what_was_asked_for_and_its_parts(
    message: str, limit: int | None, asked: int | None
) -> None:
    assert numbers_of(message) == (limit, asked)
