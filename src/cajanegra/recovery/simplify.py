"""Makes a request smaller, and says exactly what it changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cajanegra.domain.call import ChatRequest, Message
from cajanegra.domain.failure import Failure, FailureKind

CHARACTERS_PER_TOKEN = 4.0
"""A rule of thumb for English; the providers' own numbers are used where an error gives them."""
SAFETY = 0.95
"""Part of the room that is filled, since token counts are estimates."""
SHRINK = 0.5
"""What is kept of a prompt when nobody says how much is too much."""
SHORTEST_TEXT = 200
"""Characters of a message that are never cut away."""
CUT_MARK = "\n[…]\n"

_NUMBER = re.compile(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?![\w])|(?<![\w.])\d{2,9}(?![\w])")
_PARAMETER = re.compile(
    r"(?:unsupported|unrecognized|unknown|unexpected|extra|invalid|not supported|not permitted|not support)"
    r"[^'\"`]{0,80}['\"`]([a-z_][a-z0-9_.]{1,40})['\"`]"
    r"|['\"`]([a-z_][a-z0-9_.]{1,40})['\"`][^'\"`]{0,60}(?:unsupported|not (?:supported|permitted|allowed))"
    r"|(?:argument supplied|parameter): ([a-z_][a-z0-9_]{1,40})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Simplified:
    """A smaller request and what was changed, under documented keys."""

    request: ChatRequest
    changed: Mapping[str, Any]

    @property
    def action(self) -> str:
        """The change in words."""
        changed = self.changed
        words = []
        if count := changed.get("messages_dropped"):
            words.append(f"drop {count} message{'s' if count > 1 else ''}")
        if count := changed.get("characters_cut"):
            words.append(f"cut {count} characters")
        if names := changed.get("parameters_removed"):
            words.append(f"remove {', '.join(names)}")
        if limits := changed.get("max_tokens"):
            words.append(f"max_tokens {limits['from']} -> {limits['to']}")
        if names := changed.get("parameters_renamed"):
            words.append("rename " + ", ".join(f"{old} to {new}" for old, new in names.items()))
        return ", ".join(words)


def simplify(request: ChatRequest, failure: Failure, context_window: int | None) -> Simplified | None:
    """A request that may avoid the failure, or ``None`` where nothing can be taken away.

    Args:
        request: what failed; it is not changed.
        failure: how; its message's own numbers are used where it gives them.
        context_window: tokens that the model can hold, when known.
    """
    if failure.kind is FailureKind.INVALID_REQUEST:
        return _without_parameter(request, failure.message)
    if failure.kind is FailureKind.MAX_TOKENS_INVALID:
        return _lower_max_tokens(request, failure.message) or _without_parameter(request, failure.message)
    limit, asked = _limit_and_asked(failure.message)
    return _shrink(request, limit or context_window, asked)


def fit(request: ChatRequest, context_window: int | None) -> Simplified | None:
    """The request made to fit a context window, or ``None`` where it seems to fit as it is."""
    if context_window is None:
        return None
    if _characters(request.messages) / CHARACTERS_PER_TOKEN + (request.max_tokens or 0) <= context_window:
        return None
    return _shrink(request, context_window, None)


def _shrink(request: ChatRequest, limit: int | None, asked: int | None) -> Simplified | None:
    total = _characters(request.messages)
    answer = request.max_tokens or 0
    if limit is None:
        return _cut(request, int(total * SHRINK), {})
    prompt = max((asked or 0) - answer, 0) or total / CHARACTERS_PER_TOKEN
    changed: dict[str, Any] = {}
    if answer and prompt < limit * SAFETY and answer > limit - prompt:
        # The prompt alone would fit: it is the room for the answer that does not.
        lowered = int((limit - prompt) * SAFETY)
        change = {"from": answer, "to": lowered}
        return Simplified(replace(request, max_tokens=lowered), {"max_tokens": change}) if lowered else None
    if answer > limit // 2:
        changed["max_tokens"] = {"from": answer, "to": limit // 4}
        answer = limit // 4
        request = replace(request, max_tokens=answer)
    room = max(limit - answer, 0) * SAFETY
    keep = int(total * room / prompt) if prompt > room else int(total * SHRINK)
    return _cut(request, keep, changed)


def _cut(request: ChatRequest, keep: int, changed: dict[str, Any]) -> Simplified | None:
    """Drop the oldest turns, then cut the longest texts, until ``keep`` characters are left."""
    messages = list(request.messages)
    before, count = _characters(messages), len(messages)
    while _characters(messages) > keep and (turn := _oldest_turn(messages)):
        del messages[turn]
    excess = _characters(messages) - keep
    while excess > 0 and (cut := _cut_longest(messages, excess)):
        excess -= cut
    dropped, removed = count - len(messages), before - _characters(messages)
    if removed <= 0 and not changed:
        return None
    if dropped:
        changed["messages_dropped"] = dropped
    if removed > 0:
        changed["characters_cut"] = removed
    return Simplified(replace(request, messages=messages), changed)


def _oldest_turn(messages: Sequence[Message]) -> slice | None:
    """The oldest message that may go, with the results of the tools that it called."""
    last_user = max(
        (i for i, message in enumerate(messages) if message.get("role") == "user"), default=len(messages)
    )
    for start, message in enumerate(messages[:last_user]):
        if message.get("role") in ("system", "developer"):
            continue
        end = start + 1
        while end < last_user and messages[end].get("role") == "tool":
            end += 1
        return slice(start, end)
    return None


def _cut_longest(messages: list[Message], excess: int) -> int:
    """Cut the middle out of the longest text; how many characters went."""
    texts = [(len(text), i) for i, m in enumerate(messages) if isinstance(text := m.get("content"), str)]
    longest, index = max(texts, default=(0, -1))
    cut = min(excess + len(CUT_MARK), longest - SHORTEST_TEXT)
    if cut <= len(CUT_MARK):
        return 0
    text = messages[index]["content"]
    head = (longest - cut) // 2
    shorter = text[:head] + CUT_MARK + text[head + cut :]
    messages[index] = {**messages[index], "content": shorter}
    return longest - len(shorter)


def _lower_max_tokens(request: ChatRequest, message: str) -> Simplified | None:
    asked = request.max_tokens
    if asked is None:
        return None
    limits = [number for number in _numbers(message) if number < asked]
    to = max(limits, default=None)
    return Simplified(replace(request, max_tokens=to), {"max_tokens": {"from": asked, "to": to}})


def _without_parameter(request: ChatRequest, message: str) -> Simplified | None:
    """Remove what the provider says it does not know; a renamed parameter is given its new name."""
    for found in _PARAMETER.finditer(message):
        name = next(group for group in found.groups() if group).partition(".")[0]
        if name == "max_tokens" and request.max_tokens is not None:
            parameters = dict(request.parameters)
            if "max_completion_tokens" in message:
                parameters["max_completion_tokens"] = request.max_tokens
                changed = {"parameters_renamed": {"max_tokens": "max_completion_tokens"}}
            else:
                changed = {"parameters_removed": [name]}  # type: ignore[dict-item]
            return Simplified(replace(request, max_tokens=None, parameters=parameters), changed)
        if name == "temperature" and request.temperature is not None:
            return Simplified(replace(request, temperature=None), {"parameters_removed": [name]})
        if name in request.parameters:
            rest = {key: value for key, value in request.parameters.items() if key != name}
            return Simplified(replace(request, parameters=rest), {"parameters_removed": [name]})
    return None


def _limit_and_asked(message: str) -> tuple[int | None, int | None]:
    """The two largest numbers of a context-length message: what was asked for, and what there is."""
    numbers = sorted({number for number in _numbers(message) if number >= 256}, reverse=True)  # noqa: PLR2004
    if not numbers:
        return None, None
    return (numbers[1], numbers[0]) if len(numbers) > 1 else (numbers[0], None)


def _numbers(message: str) -> list[int]:
    return [int(text.replace(",", "")) for text in _NUMBER.findall(message[:4000])]


def _characters(messages: Sequence[Message]) -> int:
    return sum(_length(message.get("content")) for message in messages)


def _length(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, Sequence):
        return sum(len(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return 0
