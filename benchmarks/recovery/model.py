"""What the model behind a provider says to a request: the right thing, or the right thing spoilt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.recovery import wire
from benchmarks.recovery.calls import Message, answer_to, text_of, tokens_of
from benchmarks.recovery.world import Fault, Kind, Shape

_REFUSAL = "I'm sorry, but I can't help with that."


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: its key, its body and the JSON in it."""

    key: str
    body: bytes
    asked: dict[str, Any]

    @property
    def messages(self) -> list[Message]:
        messages = self.asked.get("messages")
        return [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []

    @property
    def model(self) -> str:
        return str(self.asked.get("model", ""))

    @property
    def streamed(self) -> bool:
        return self.asked.get("stream") is True

    @property
    def with_usage(self) -> bool:
        options = self.asked.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def shape(self) -> Shape:
        longest = self.asked.get("max_tokens") or self.asked.get("max_completion_tokens")
        return Shape(
            tokens_of(self.messages),
            self.as_json,
            "temperature" in self.asked,
            longest if isinstance(longest, int) else 0,
        )

    @property
    def as_json(self) -> bool:
        wanted = self.asked.get("response_format")
        return isinstance(wanted, dict) and wanted.get("type") in ("json_schema", "json_object")


def said(request: Request, fault: Fault | None) -> wire.Answer:
    """What the model says when the request meets this fault."""
    messages: Sequence[Message] = request.messages
    kind = fault.kind if fault else None
    if fault is not None and kind is Kind.TRUNCATING:
        messages = _truncated(messages, int(fault.amount))
    text = answer_to(messages, as_json=request.as_json)
    answer = wire.Answer(request.model, text, "stop", None, tokens_of(messages))
    checksum, half = text[14:30], text[: len(text) // 2]
    spoilt: dict[Kind | None, dict[str, Any]] = {
        Kind.EMPTY: {"text": ""},
        Kind.FILTERED: {"text": "", "finish_reason": "content_filter"},
        Kind.NO_FINISH: {"text": half, "finish_reason": None},
        Kind.CUT_AT_LIMIT: {"text": half, "finish_reason": "length"},
        Kind.REFUSAL: {"text": "", "refusal": _REFUSAL},
        Kind.NOT_JSON: {"text": f"Sure! Here is the checksum you asked for: {checksum}"},
        Kind.WRONG_SCHEMA: {"text": json.dumps({"result": checksum, "ok": True})},
        Kind.FENCED_JSON: {"text": f"```json\n{text}\n```"},
    }
    return replace(answer, **spoilt.get(kind, {}))


def _truncated(messages: Sequence[Message], window: int) -> list[Message]:
    """The prompt as Ollama cuts it: the oldest turns go, then the beginning of what is left."""
    kept = list(messages)
    while tokens_of(kept) > window and len(kept) > 1:
        oldest = next((i for i, message in enumerate(kept[:-1]) if message.get("role") != "system"), None)
        if oldest is None:
            break
        del kept[oldest]
    excess = tokens_of(kept) - window
    if excess > 0:
        kept[-1] = {**kept[-1], "content": text_of(kept[-1])[(excess + 1) * 4 :]}
    return kept
