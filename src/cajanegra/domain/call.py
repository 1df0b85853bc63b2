"""A call: what the application asks, what a provider answers, and how the call ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

Message = Mapping[str, Any]
"""One chat message in OpenAI's form: ``role`` and ``content`` (a string or a list of parts)."""
MEANINGFUL = frozenset(
    {
        *("messages", "model", "stream", "response_format", "tools", "tool_choice", "functions"),
        *("function_call", "n", "stop", "modalities", "audio", "web_search_options", "logit_bias"),
    }
)
"""Parameters without which the answer is not what was asked for: they are never left out."""


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


class Operation(StrEnum):
    """What is asked of a provider, by the name that a call has as its task unless it has another."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of an answer as the provider counts them; ``None`` is not reported.

    ``cached_tokens`` are a part of ``input_tokens``, ``reasoning_tokens`` a part of ``output_tokens``.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Cost(msgspec.Struct, frozen=True, gc=False):
    """What an answer costs: an amount of a currency (ISO 4217), and whose prices it was counted with."""

    amount: float
    currency: str
    prices: str


class ChatRequest(msgspec.Struct, frozen=True, gc=False):
    """What is sent to a provider: the application's request, or a simplified form of it.

    Attributes:
        messages: the conversation, oldest first.
        temperature: sampling temperature, or ``None`` for the provider's default.
        max_tokens: longest answer in tokens, or ``None`` for the provider's default.
        parameters: every other parameter, passed to the provider as it is.
        begun: what was delivered of the answer before it was cut off; the last message then is this text, and
            what is asked for is the rest.
        operation: what is asked; of anything but a chat, ``messages`` are empty and ``parameters`` are all.
        raw: whether the answer is wanted as it came on the wire, too.
    """

    messages: Sequence[Message]
    temperature: float | None = None
    max_tokens: int | None = None
    parameters: Mapping[str, Any] = {}
    begun: str = ""
    operation: Operation = Operation.CHAT
    raw: bool = False


class CallInfo(msgspec.Struct, frozen=True, gc=False):
    """What the application says about a call besides the request itself."""

    task: str = "chat"
    request_id: str | None = None
    tenant_id: str | None = None
    module: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, Any] | None = None


class ChatCall(msgspec.Struct, frozen=True, gc=False):
    """A call as the application makes it.

    Attributes:
        prompt: what the application passed, for the record: a string or messages; ``None`` where that is no
            text.
        request: the same as a request.
        info: whose call it is.
        model: the model that the application asked for, if it named one.
        timeout: this call's deadline in seconds; ``None`` for the usual one.
    """

    prompt: str | Sequence[Message] | None
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
        wire: the response body as it came, where that is in OpenAI's form and was asked for.
    """

    text: str
    model: str | None = None
    usage: Usage = Usage()
    finish_reason: str | None = None
    confidence: float | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    raw: Mapping[str, Any] = {}
    repaired: bool = False
    wire: bytes = b""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of a streamed answer.

    ``usage``, ``finish_reason`` and ``model`` are set on the chunk that brings them. One with nothing in it
    is a sign of life: something came that is not handed out yet. ``repaired`` is as in ``Answer``.
    ``continued_by`` names the provider that goes on from here, where the one before was cut off. ``wire`` is
    what the chunk stands for as server-sent events in OpenAI's form, where that was asked for; it may bring
    what no other attribute has, such as a second choice. ``is_last`` is set on one
    with ``wire`` where it is known already that the stream ends after it, at once.
    """

    text: str = ""
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    repaired: bool = False
    continued_by: str | None = None
    wire: bytes = b""
    is_last: bool = False

    @property
    def is_content(self) -> bool:
        """Whether it has something for the consumer besides how the answer ends."""
        return bool(self.text or self.tool_calls or self.wire)


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
