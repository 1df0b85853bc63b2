"""A call: what the application asks, what a provider answers, and how the call ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

Message = Mapping[str, Any]
"""One chat message in OpenAI's form: ``role`` and ``content`` (a string or a list of parts)."""


class CallStatus(StrEnum):
    """How a call ended: a closed set, stored as ``status``."""

    SUCCESS = "success"
    FALLBACK = "fallback"
    TIMEOUT = "timeout"
    ERROR = "error"


class Strategy(StrEnum):
    """Why an attempt after the first was made, stored as ``strategy_name``."""

    RETRY = "retry"
    FALLBACK = "fallback"
    SIMPLIFY = "simplify"


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of an answer as the provider counts them; ``None`` is not reported.

    ``cached_tokens`` are a part of ``input_tokens``, ``reasoning_tokens`` a part of ``output_tokens``.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is sent to a provider: the application's request, or a simplified form of it.

    Attributes:
        messages: the conversation, oldest first.
        temperature: sampling temperature, or ``None`` for the provider's default.
        max_tokens: longest answer in tokens, or ``None`` for the provider's default.
        parameters: every other parameter, passed to the provider as it is.
    """

    messages: Sequence[Message]
    temperature: float | None = None
    max_tokens: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallInfo:
    """What the application says about a call besides the request itself."""

    task: str = "chat"
    request_id: str | None = None
    tenant_id: str | None = None
    module: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A call as the application makes it.

    Attributes:
        prompt: what the application passed, for the record: a string or messages.
        request: the same as a request.
        info: whose call it is.
        model: the model that the application asked for, if it named one.
        timeout: this call's deadline in seconds; ``None`` for the usual one.
    """

    prompt: str | Sequence[Message]
    request: ChatRequest
    info: CallInfo = CallInfo()
    model: str | None = None
    timeout: float | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a provider answered.

    Attributes:
        text: the answer's text; empty when the model only called tools.
        model: the exact model that answered, as the provider names it.
        usage: token counts.
        finish_reason: why the model stopped, in OpenAI's words (``stop``, ``length``, ``tool_calls``).
        confidence: mean token probability (0 to 1) when the provider returned log probabilities.
        tool_calls: tool calls in OpenAI's form.
        raw: the provider's response body as decoded JSON.
        repaired: whether the text is JSON that the provider had written wrongly.
    """

    text: str
    model: str | None = None
    usage: Usage = Usage()
    finish_reason: str | None = None
    confidence: float | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    raw: Mapping[str, Any] = {}
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed answer.

    ``usage``, ``finish_reason`` and ``model`` are set on the chunk that brings them. One with nothing in it
    is a sign of life: something came that is not handed out yet. ``repaired`` is as in ``Answer``.
    """

    text: str = ""
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    repaired: bool = False


def prompt_text(prompt: str | Sequence[Message]) -> str:
    """The text that ``prompt_length`` and ``prompt_hash`` are taken from.

    A string is itself; of messages, the text parts of all of them in order, joined by a newline.
    """
    return prompt if isinstance(prompt, str) else "\n".join(_text_parts(prompt))


def prompt_hash(text: str) -> str:
    """SHA-256 (hexadecimal) of the UTF-8 of a prompt's text; lone surrogates count as ``U+FFFD``."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        encoded = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    return hashlib.sha256(encoded).hexdigest()


def _text_parts(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        elif isinstance(content, Sequence):
            for part in content:
                if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                    yield part["text"]
