from __future__ import annotations

from typing import Any

import pytest

from cajanegra.domain.call import ChatRequest
from cajanegra.providers.ollama_request import UnsupportedContentError, payload_of, tool_calls_of

QUESTION = [{"role": "user", "content": "Hola"}]
SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}}


def payload(request: ChatRequest, window: int | None = None) -> dict[str, Any]:
    return payload_of(request, "llama3.2", window, stream=False)


def test_sampling_goes_into_options_and_the_rest_beside_them() -> None:
    request = ChatRequest(
        QUESTION, temperature=0.2, max_tokens=50, parameters={"top_p": 0.9, "seed": 7, "keep_alive": "5m"}
    )
    assert payload(request) == {
        "model": "llama3.2",
        "messages": QUESTION,
        "stream": False,
        "truncate": False,
        "shift": False,
        "keep_alive": "5m",
        "options": {"temperature": 0.2, "num_predict": 50, "top_p": 0.9, "seed": 7, "num_ctx": 4096},
    }


def test_window_has_room_for_a_long_prompt_and_is_the_applications_where_it_says_one() -> None:
    long = [{"role": "user", "content": "palabra " * 5000}]
    assert payload(ChatRequest(long))["options"]["num_ctx"] == 16_384
    assert payload(ChatRequest(long), 8192)["options"]["num_ctx"] == 8192
    given = ChatRequest(long, parameters={"options": {"num_ctx": 2048}})
    assert payload(given, 8192)["options"]["num_ctx"] == 2048


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "invoice", "schema": SCHEMA}}, SCHEMA),
        ({"type": "text"}, None),
    ],
)
def test_response_format_becomes_format(response_format: dict[str, Any], expected: Any) -> None:
    made = payload(ChatRequest(QUESTION, parameters={"response_format": response_format}))
    assert made.get("format") == expected
    assert "response_format" not in made


def test_a_conversation_with_tools_and_images_is_translated() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "total", "arguments": '{"invoice": 7}'}}
    messages: list[dict[str, Any]] = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aWNvbg=="}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "12.50"},
    ]
    assert payload(ChatRequest(messages))["messages"] == [
        {"role": "user", "content": "What is this?", "images": ["aWNvbg=="]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "total", "arguments": {"invoice": 7}}}],
        },
        {"role": "tool", "content": "12.50", "tool_name": "total"},
    ]


@pytest.mark.parametrize(
    "message",
    [
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}],
        },
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklGRg=="}}]},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]},
    ],
)
def test_what_cannot_be_said_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedContentError):
        payload(ChatRequest([message]))


def test_tool_calls_come_back_in_openais_form() -> None:
    message = {"tool_calls": [{"function": {"name": "total", "arguments": {"invoice": 7}}}]}
    assert tool_calls_of(message, 2) == [
        {
            "index": 2,
            "id": "call_2",
            "type": "function",
            "function": {"name": "total", "arguments": '{"invoice": 7}'},
        }
    ]
