"""Answers of providers that have no OpenAI form of their own, put into it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from cajanegra.domain.call import Answer, Chunk, Usage
from cajanegra.providers.wire import event_of

DONE = b"data: [DONE]\n\n"


def body_of(answer: Answer, request_id: str, model: str) -> bytes:
    """A chat completion.

    Args:
        answer: of any provider; where it is in OpenAI's form already, that is what is given out.
        request_id: of the call.
        model: who answered, where the answer does not say it.
    """
    if answer.wire:
        return answer.wire
    if isinstance(answer.raw.get("choices"), list):  # in OpenAI's form, and its JSON was mended
        return msgspec.json.encode(_with_text(answer.raw, answer.text))
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.tool_calls:
        message["tool_calls"] = list(answer.tool_calls)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    head = _head("chat.completion", request_id, answer.model or model)
    return msgspec.json.encode({**head, "choices": [choice], "usage": _usage(answer.usage)})


class StreamTranslation:
    """Makes server-sent events of chunks that do not bring their own.

    Args:
        request_id: of the call.
        model: who answers, where no chunk says it.
        wants_usage: whether the last event is to tell the usage.
    """

    def __init__(self, request_id: str, model: str, *, wants_usage: bool) -> None:
        self._head = _head("chat.completion.chunk", request_id, model)
        self._wants_usage = wants_usage
        self._begun = False

    def events(self, chunk: Chunk) -> bytes:
        """What is sent for a chunk."""
        if chunk.wire:
            self._begun = True
            return chunk.wire
        if chunk.model:
            self._head["model"] = chunk.model
        delta: dict[str, Any] = {} if self._begun else {"role": "assistant"}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.tool_calls:
            delta["tool_calls"] = list(chunk.tool_calls)
        events = b""
        if chunk.text or chunk.tool_calls or chunk.finish_reason:
            self._begun = True
            events = self._event([{"index": 0, "delta": delta, "finish_reason": chunk.finish_reason}])
        if chunk.usage is not None and self._wants_usage:
            events += self._event([], usage=_usage(chunk.usage))
        return events

    def _event(self, choices: list[Any], **more: Any) -> bytes:
        return event_of(msgspec.json.encode({**self._head, "choices": choices, **more}))


def _head(kind: str, request_id: str, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id}", "object": kind, "created": int(time.time()), "model": model}


def _with_text(raw: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The response with another text in its first choice."""
    choices = [
        {**choice, "message": {**choice["message"], "content": text}}
        if choice.get("index", 0) == 0
        else choice
        for choice in raw["choices"]
    ]
    return {**raw, "choices": choices}


def _usage(usage: Usage) -> dict[str, Any] | None:
    if usage.total_tokens is None:
        return None
    told: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens or 0,
        "completion_tokens": usage.output_tokens or 0,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    return told
