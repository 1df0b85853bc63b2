"""Makes one answer of the chunks of a streamed chat completion in OpenAI's form, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cajanegra.domain.call import Chunk, Usage
from cajanegra.domain.response import usage_from
from cajanegra.providers.answers import Outcome
from cajanegra.providers.attempt import Attempt
from cajanegra.providers.delivery import Delivery


@dataclass(slots=True)
class ChatChunks:
    """What a stream of chat completion chunks has brought so far."""

    attempt: Attempt
    delivery: Delivery = field(init=False)
    finish_reason: str | None = None
    _refused: bool = False
    _other_content: bool = False
    _model_told: bool = False
    _calls: dict[Any, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.delivery = Delivery(self.attempt.request)

    def take(self, data: Mapping[str, Any]) -> Chunk | None:
        """The piece for the consumer, if a chunk has something for it.

        Raises:
            ProviderError: the chunk ends an answer that is none.
        """
        choice = first_choice(data)
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        text = _text(delta.get("content"))
        calls = [call for call in _list(delta.get("tool_calls")) if isinstance(call, dict)]
        finish_reason = _string(choice.get("finish_reason"))
        usage = usage_from(data["usage"]) if isinstance(data.get("usage"), dict) else None
        self._collect(delta, calls)
        said = self.delivery.take(text)
        repaired = False
        if finish_reason and not self.finish_reason:
            checked = self.attempt.require_content(self._outcome(finish_reason))
            said += self.delivery.finish(checked)
            repaired = checked.repaired
            self.finish_reason = finish_reason
        if text and not said and not (finish_reason or usage or calls):
            return Chunk()  # a sign of life
        return self._chunk(said, finish_reason, _string(data.get("model")), usage, calls, repaired=repaired)

    def _collect(self, delta: dict[str, Any], calls: list[dict[str, Any]]) -> None:
        self._refused = self._refused or bool(delta.get("refusal"))
        self._other_content = self._other_content or bool(delta.get("audio") or delta.get("function_call"))
        for position, call in enumerate(calls):
            function = call.get("function")
            if not isinstance(function, dict):
                continue
            whole = self._calls.setdefault(str(call.get("index", position)), {"name": "", "arguments": ""})
            for part in whole:
                whole[part] += _string(function.get(part)) or ""

    def _outcome(self, finish_reason: str) -> Outcome:
        calls = [{"function": function} for function in self._calls.values()]
        text = self.delivery.text
        return Outcome(text, finish_reason, calls, self._refused, self._other_content)

    def _chunk(
        self,
        text: str,
        finish_reason: str | None,
        model: str | None,
        usage: Usage | None,
        calls: list[dict[str, Any]],
        *,
        repaired: bool,
    ) -> Chunk | None:
        if not (text or finish_reason or usage or calls):
            return None
        told, self._model_told = self._model_told, True
        return Chunk(text, finish_reason, None if told else model, usage, calls, repaired=repaired)


def first_choice(body: Mapping[str, Any]) -> dict[str, Any]:
    """The choice with index 0, or nothing: further choices (``n``) are in the raw answer."""
    for choice in _list(body.get("choices")):
        if isinstance(choice, dict) and choice.get("index", 0) == 0:
            return choice
    return {}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [part.get("text") for part in _list(content) if isinstance(part, dict)]
    return "".join(part for part in parts if isinstance(part, str))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
