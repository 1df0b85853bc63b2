"""Makes one answer of the chunks of a streamed chat completion in OpenAI's form, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from cajanegra.domain.call import Chunk, Usage
from cajanegra.domain.response import usage_from
from cajanegra.providers.answers import Outcome
from cajanegra.providers.attempt import Attempt
from cajanegra.providers.delivery import Delivery
from cajanegra.providers.wire import event_of, events_of

_ALIVE = Chunk()
"""A sign of life: something came that is not handed out yet."""


class _Delta(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    content: str
    role: str | None = None


class _Choice(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    delta: _Delta
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None


class Text(msgspec.Struct, frozen=True, gc=False):
    """A chunk that brings text and nothing else, as nearly all do; most of it is not even looked at."""

    choices: tuple[_Choice]
    model: str | None = None
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    error: None = None
    usage: None = None


_TEXTS = msgspec.json.Decoder(Text)


def texts_of(events: Sequence[bytes]) -> Sequence[Text] | None:
    """The chunks, where all of them bring text and nothing else; they are read in a fraction of the time.

    They are read as lines. Where each line begins and ends with a brace none goes on with the one before, so
    that as many values as lines are one of each.
    """
    lines, most = b"\n".join(events), len(events)
    is_one_each = lines.count(b"\n") == lines.count(b"}\n{") == most - 1
    if not (is_one_each and lines.startswith(b"{") and lines.endswith(b"}")):
        return None
    try:
        if not lines.isascii():
            lines.decode()  # what is passed over is not looked at
        texts = _TEXTS.decode_lines(lines)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return texts if len(texts) == most else None


@dataclass(slots=True)
class ChatChunks:
    """What a stream of chat completion chunks has brought so far."""

    attempt: Attempt
    delivery: Delivery = field(init=False)
    finish_reason: str | None = None
    """Of the first choice."""
    _refused: bool = False
    _other_content: bool = False
    _model_told: bool = False
    _calls: dict[Any, dict[str, str]] = field(default_factory=dict)
    _others: dict[Any, bool] = field(default_factory=dict)
    """Further choices (``n``), and whether they have ended."""
    _held: list[bytes] = field(default_factory=list)
    """Events that are not handed out yet."""

    def __post_init__(self) -> None:
        self.delivery = Delivery(self.attempt.request)

    @property
    def has_ended(self) -> bool:
        """Whether every choice that has begun has ended."""
        return self.finish_reason is not None and all(self._others.values())

    @property
    def is_whole(self) -> bool:
        """Whether every choice that was asked for has ended."""
        wanted = self.attempt.request.parameters.get("n")
        return self.has_ended and (not isinstance(wanted, int) or len(self._others) + 1 >= wanted)

    def take_texts(self, chunks: Sequence[Text], events: Sequence[bytes]) -> Chunk | None:
        """As ``take``, of chunks that bring nothing else, with their events: at least one, all together."""
        text = "".join([chunk.choices[0].delta.content for chunk in chunks])
        said = self.delivery.take(text)
        wire = b""
        if self.attempt.request.raw:
            self._held.append(events_of(events))
            if said or self.finish_reason:
                wire = self._let_go()
        if text and not said and not wire:
            return _ALIVE
        model = next((chunk.model for chunk in chunks if chunk.model), None)
        return self._chunk(said, None, model, None, (), wire, repaired=False)

    def take(self, data: Mapping[str, Any], event: bytes | None = None) -> Chunk | None:
        """The piece for the consumer, if a chunk has something for it.

        Args:
            data: the chunk.
            event: the same as it came; default is to be written anew.

        Raises:
            ProviderError: the chunk ends an answer that is none.
        """
        choices = _list(data.get("choices"))
        choice = first_choice(data)
        delta = _delta(choice)
        others = len(choices) > bool(choice) and self._note_others(choices)
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
        wire = b""
        if self.attempt.request.raw:
            self._hold(data, event)
            if (
                said
                or calls
                or self.finish_reason
                or ((others or _says(delta)) and not self.delivery.withholds)
            ):
                wire = self._released(data, said if repaired and not self._others else None)
        if text and not said and not (finish_reason or usage or calls or wire):
            return _ALIVE
        model = _string(data.get("model"))
        return self._chunk(said, finish_reason, model, usage, calls, wire, repaired=repaired)

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

    def _note_others(self, choices: list[Any]) -> bool:
        """Whether another choice than the first says something."""
        says = False
        for choice in choices:
            if isinstance(choice, dict) and (index := choice.get("index", 0)) != 0:
                ends = bool(choice.get("finish_reason"))
                self._others[index] = self._others.get(index, False) or ends
                says = says or ends or _says(_delta(choice))
        return says

    def _hold(self, data: Mapping[str, Any], event: bytes | None) -> None:
        """Keep an event for the consumer, who wants no usage that it did not ask for."""
        asked = self.attempt.request.parameters.get("stream_options")
        wants_usage = isinstance(asked, Mapping) and bool(asked.get("include_usage"))
        if data.get("choices") or wants_usage or not data.get("usage"):
            self._held.append(event_of(msgspec.json.encode(data) if event is None else event))

    def _let_go(self) -> bytes:
        held, self._held = b"".join(self._held), []
        return held

    def _released(self, data: Mapping[str, Any], mended: str | None) -> bytes:
        """The events that were held, or one that has the whole text where that was mended."""
        held = self._let_go()
        if mended is None:
            return held
        choice = first_choice(data)
        delta = {"role": "assistant", **_delta(choice), "content": mended}
        return event_of(msgspec.json.encode({**data, "choices": [{**choice, "delta": delta}]}))

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
        calls: Sequence[dict[str, Any]],
        wire: bytes,
        *,
        repaired: bool,
    ) -> Chunk | None:
        if not (text or finish_reason or usage or calls or wire):
            return None
        told, self._model_told = self._model_told, True
        return Chunk(text, finish_reason, None if told else model, usage, calls, repaired=repaired, wire=wire)


def first_choice(body: Mapping[str, Any]) -> dict[str, Any]:
    """The choice with index 0, or nothing: further choices (``n``) are in the raw answer."""
    for choice in _list(body.get("choices")):
        if isinstance(choice, dict) and choice.get("index", 0) == 0:
            return choice
    return {}


def _delta(choice: Mapping[str, Any]) -> dict[str, Any]:
    delta = choice.get("delta")
    return delta if isinstance(delta, dict) else {}


def _says(delta: Mapping[str, Any]) -> bool:
    """Whether there is more in it than who speaks: text, reasoning, sound, or what nobody here knows."""
    return any(value for name, value in delta.items() if name != "role")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [part.get("text") for part in _list(content) if isinstance(part, dict)]
    return "".join(part for part in parts if isinstance(part, str))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
