"""Translates between OpenAI's form of a request and Ollama's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cajanegra.domain.call import ChatRequest, Message
from cajanegra.providers.windows import window_for

_ANSWER_TOKENS = 1024
"""Room for an answer whose length the application does not bound."""
_IMAGE_BYTES = 4096
"""What an image adds to the prompt, at three bytes a token."""
_OPTIONS = frozenset(
    (
        "frequency_penalty",
        "min_p",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "num_batch",
        "num_ctx",
        "num_gpu",
        "num_keep",
        "num_predict",
        "num_thread",
        "presence_penalty",
        "repeat_last_n",
        "repeat_penalty",
        "seed",
        "stop",
        "top_k",
        "top_p",
        "typical_p",
    )
)
"""Parameters that Ollama expects under ``options``."""
_LENGTHS = ("max_tokens", "max_completion_tokens")


class UnsupportedContentError(Exception):
    """A message holds something that cannot be said in Ollama's format."""


def payload_of(
    request: ChatRequest, model: str, context_window: int | None, *, stream: bool
) -> dict[str, Any]:
    """The body for ``/api/chat``.

    An over-long prompt is to be refused, not cut: ``truncate`` and ``shift`` are off (servers from before
    October 2025 do not know them), and ``num_ctx`` has room for the prompt.

    Raises:
        UnsupportedContentError: a message holds something that cannot be translated.
    """
    parameters = {name: value for name, value in request.parameters.items() if name not in _LENGTHS}
    options = {name: parameters.pop(name) for name in _OPTIONS & parameters.keys()}
    if request.temperature is not None:
        options["temperature"] = request.temperature
    longest = request.max_tokens or request.parameters.get("max_completion_tokens")
    if longest is not None:
        options["num_predict"] = longest
    given = parameters.pop("options", None)
    options |= given if isinstance(given, Mapping) else {}
    response_format = parameters.pop("response_format", None)
    parameters.pop("stream_options", None)  # the counts come unasked
    payload: dict[str, Any] = {
        "model": model,
        "messages": _messages(request.messages),
        "truncate": False,
        "shift": False,
        **parameters,
        "stream": stream,
        "options": options,
    }
    wanted = _format(response_format)
    if wanted is not None:
        payload["format"] = wanted
    if "num_ctx" not in options:
        options["num_ctx"] = _window(request, payload, context_window)
    return payload


def tool_calls_of(message: Mapping[str, Any], first: int) -> list[dict[str, Any]]:
    """A message's tool calls in OpenAI's form, which has ids and writes arguments as text."""
    calls = message.get("tool_calls")
    translated: list[dict[str, Any]] = []
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            index = first + len(translated)
            arguments = function.get("arguments")
            text = (
                arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
            )
            translated.append(
                {
                    "index": index,
                    "id": call.get("id") or f"call_{index}",
                    "type": "function",
                    "function": {"name": function.get("name"), "arguments": text},
                }
            )
    return translated


def _window(request: ChatRequest, payload: Mapping[str, Any], context_window: int | None) -> int:
    longest = payload["options"].get("num_predict")
    answer_tokens = longest if isinstance(longest, int) and longest > 0 else _ANSWER_TOKENS
    tools = payload.get("tools")
    images = sum(len(message.get("images", ())) for message in payload["messages"])
    other = images * _IMAGE_BYTES + (len(json.dumps(tools, default=str)) if tools else 0)
    return window_for(request.messages, other, answer_tokens, context_window)


def _format(response_format: Any) -> Any:
    if not isinstance(response_format, Mapping):
        return None
    if response_format.get("type") == "json_object":
        return "json"
    schema = response_format.get("json_schema")
    if isinstance(schema, Mapping):
        return schema.get("schema", "json")
    return None


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    names: dict[Any, Any] = {}
    return [_message(message, names) for message in messages]


def _message(message: Message, names: dict[Any, Any]) -> dict[str, Any]:
    """One message; ``names`` remembers which tool an id stands for."""
    translated = dict(message)
    content = translated.get("content")
    if isinstance(content, list):
        translated["content"], images = _parts(content)
        if images:
            translated["images"] = images
    elif content is None:
        translated["content"] = ""
    calls = translated.get("tool_calls")
    if isinstance(calls, list):
        translated["tool_calls"] = [_tool_call(call, names) for call in calls]
    if "tool_call_id" in translated:
        name = names.get(translated.pop("tool_call_id"))
        if name is not None:
            translated.setdefault("tool_name", name)
    return translated


def _parts(parts: Sequence[Any]) -> tuple[str, list[str]]:
    texts, images = [], []
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
            continue
        image = part.get("image_url") if kind == "image_url" else None
        url = image.get("url") if isinstance(image, Mapping) else image
        head, comma, data = url.partition(",") if isinstance(url, str) else ("", "", "")
        if not (comma and head.startswith("data:") and head.endswith(";base64")):
            raise UnsupportedContentError(
                "a message has content other than text and base64 images, which is all that Ollama takes"
            )
        images.append(data)
    return "\n".join(texts), images


def _tool_call(call: Any, names: dict[Any, Any]) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return call
    names[call.get("id")] = function.get("name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments or "{}")
        except (msgspec.DecodeError, UnicodeError):
            raise UnsupportedContentError(
                "the arguments of an earlier tool call are not JSON, which Ollama needs"
            ) from None
    return {"function": {"name": function.get("name"), "arguments": arguments}}
