"""Makes a request smaller, and says exactly what it changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from cajanegra.domain.call import MEANINGFUL, ChatRequest, Message, Strategy
from cajanegra.domain.correction import Simplify
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.domain.moves import MOVES

TOKENS_PER_CHARACTER = 0.25
"""A rule of thumb for English; the providers' own numbers are used where there are any."""
SAFETY = 0.95
"""Part of the room that is filled, since token counts are estimates."""
SHRINK = 0.5
"""What is kept of a prompt when nobody says how much is too much."""
SHORTEST_TEXT = 200
"""Characters of a message that are never cut away."""
CUT_MARK = "\n[…]\n"
_KEPT_ROLES = ("system", "developer")
_NEW_NAME = "max_completion_tokens"

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


def simplify(
    request: ChatRequest, failure: Failure, context_window: int | None, density: float = TOKENS_PER_CHARACTER
) -> Simplified | None:
    """A request that may avoid the failure, or ``None`` where nothing can be taken away.

    Args:
        request: what failed; it is not changed.
        failure: how; its message's own numbers are used where it gives them.
        context_window: tokens that the model can hold, when known.
        density: tokens per character of the prompt, as far as known.
    """
    if failure.kind is FailureKind.INVALID_REQUEST:
        return _without_parameter(request, failure.message)
    if failure.kind is FailureKind.MAX_TOKENS_INVALID:
        return _lower_max_tokens(request, failure.message) or _without_parameter(request, failure.message)
    limit, asked = numbers_of(failure.message)
    return _shrink(request, limit or context_window, asked, density, refused=True)


def simplified_as(
    correction: Simplify,
    request: ChatRequest,
    failure: Failure,
    context_window: int | None,
    density: float = TOKENS_PER_CHARACTER,
) -> Simplified | None:
    """The request made smaller as a correction says, or ``None`` where it changes nothing.

    One that does not say how does what the failure demands, or else leaves out half of the prompt.

    Args:
        correction: what to take away.
        request: what failed; it is not changed.
        failure: how.
        context_window: tokens that the model can hold, when known.
        density: tokens per character of the prompt, as far as known.
    """
    if not correction.config:
        if Strategy.SIMPLIFY in MOVES[failure.kind]:
            return simplify(request, failure, context_window, density)
        return _shrink(request, None, None, density, refused=True)
    changes = Simplified(request, {})
    for name in correction.remove:
        changes = both(changes, without(changes.request, name, None))
    if correction.max_tokens is not None:
        changes = both(changes, with_shorter_answer(changes.request, correction.max_tokens))
    if correction.context_window is not None:
        changes = both(changes, fit(changes.request, correction.context_window, density))
    return changes if changes.changed else None


def both(first: Simplified, then: Simplified | None) -> Simplified:
    """The changes of one request one after the other."""
    if then is None:
        return first
    changed = dict(first.changed)
    for name, value in then.changed.items():
        if isinstance(value, list):
            changed[name] = [*changed.get(name, []), *value]
        else:
            changed[name] = {**changed.get(name, {}), **value} if name == "parameters_renamed" else value
    return Simplified(then.request, changed)


def fit(
    request: ChatRequest, context_window: int | None, density: float = TOKENS_PER_CHARACTER
) -> Simplified | None:
    """The request made to fit a context window, or ``None`` where it seems to fit as it is, or cannot."""
    if context_window is None or fits(request, context_window, density):
        return None
    return _shrink(request, context_window, None, density, refused=False)


def fits(request: ChatRequest, context_window: int | None, density: float = TOKENS_PER_CHARACTER) -> bool:
    """Whether a request seems to fit a context window as it is."""
    if context_window is None:
        return True
    return characters_of(request.messages) * density + (answer_limit(request) or 0) <= context_window


def numbers_of(message: str) -> tuple[int | None, int | None]:
    """The numbers of a context-length message: the tokens that there is room for, and those asked for."""
    named = set(_numbers(message))
    numbers = sorted((number for number in named if number >= 256), reverse=True)  # noqa: PLR2004
    if len(numbers) < 2:  # noqa: PLR2004
        return (numbers[0] if numbers else None), None
    asked, *others = numbers
    # What was asked for is often told in its parts, prompt and answer; the limit is none of them.
    limits = [number for number in others if asked - number not in named]
    return (limits or others)[0], asked


def characters_of(messages: Sequence[Message]) -> int:
    """Characters of the texts of all messages."""
    return sum(_length(message.get("content")) for message in messages)


def _shrink(
    request: ChatRequest, limit: int | None, asked: int | None, density: float, *, refused: bool
) -> Simplified | None:
    total = characters_of(request.messages)
    answer = answer_limit(request) or 0
    if limit is None:
        return _cut(request, int(total * SHRINK), {}, exact=False)
    prompt = max((asked or 0) - answer, 0) or total * density
    changed: dict[str, Any] = {}
    if answer and prompt < limit * SAFETY and answer > limit - prompt:
        # The prompt alone would fit: it is the room for the answer that does not.
        lowered = int((limit - prompt) * SAFETY)
        change = {"from": answer, "to": lowered}
        return Simplified(_with_answer_limit(request, lowered), {"max_tokens": change}) if lowered else None
    if answer > limit // 2:
        changed["max_tokens"] = {"from": answer, "to": limit // 4}
        answer = limit // 4
        request = _with_answer_limit(request, answer)
    room = max(limit - answer, 0) * SAFETY
    if prompt <= room and not refused:
        return Simplified(request, changed) if changed else None
    if prompt <= room:  # it was said to be too long all the same: the numbers mean something else
        return _cut(request, int(total * SHRINK), changed, exact=False)
    return _cut(request, int(total * room / prompt), changed, exact=True)


def _cut(request: ChatRequest, keep: int, changed: dict[str, Any], *, exact: bool) -> Simplified | None:
    """Drop the oldest turns, then cut the longest texts, until ``keep`` characters are left.

    The system message and the last user message stay whole. Where they alone are more than an exact ``keep``,
    nothing helps.
    """
    messages = list(request.messages)
    before, count = characters_of(messages), len(messages)
    while characters_of(messages) > keep and (turn := _oldest_turn(messages)):
        del messages[turn]
    excess = characters_of(messages) - keep
    while excess > 0 and (cut := _cut_longest(messages, excess)):
        excess -= cut
    if exact and excess > 0:
        return None
    dropped, removed = count - len(messages), before - characters_of(messages)
    if removed <= 0 and not changed:
        return None
    if dropped:
        changed["messages_dropped"] = dropped
    if removed > 0:
        changed["characters_cut"] = removed
    return Simplified(replace(request, messages=messages), changed)


def answer_limit(request: ChatRequest) -> int | None:
    """The longest answer that is asked for, in tokens, under either of its names."""
    limit = request.max_tokens or request.parameters.get(_NEW_NAME)
    return limit if isinstance(limit, int) and limit > 0 else None


def _with_answer_limit(request: ChatRequest, limit: int) -> ChatRequest:
    if request.max_tokens is not None:
        return replace(request, max_tokens=limit)
    return replace(request, parameters={**request.parameters, _NEW_NAME: limit})


def _oldest_turn(messages: Sequence[Message]) -> slice | None:
    """The oldest message that may go, with the results of the tools that it called."""
    last_user = max(
        (i for i, message in enumerate(messages) if message.get("role") == "user"), default=len(messages)
    )
    for start, message in enumerate(messages[:last_user]):
        if message.get("role") in _KEPT_ROLES:
            continue
        end = start + 1
        while end < last_user and messages[end].get("role") == "tool":
            end += 1
        return slice(start, end)
    return None


def _cut_longest(messages: list[Message], excess: int) -> int:
    """Cut the middle out of the longest text that may be cut; how many characters went."""
    last_user = max((i for i, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    texts = [
        (len(text), i)
        for i, message in enumerate(messages)
        if isinstance(text := message.get("content"), str)
        and i != last_user
        and message.get("role") not in _KEPT_ROLES
    ]
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
    asked = answer_limit(request)
    if asked is None:
        return None
    to = max((number for number in _numbers(message) if number < asked), default=None)
    if to is not None:
        return with_shorter_answer(request, to)
    parameters = {name: value for name, value in request.parameters.items() if name != _NEW_NAME}
    without = replace(request, max_tokens=None, parameters=parameters)
    return Simplified(without, {"max_tokens": {"from": asked, "to": None}})


def _without_parameter(request: ChatRequest, message: str) -> Simplified | None:
    """Remove what the provider says it does not know; a renamed parameter is given its new name."""
    for name, new_name in rejected_in(message):
        if name not in MEANINGFUL and (changed := without(request, name, new_name)):
            return changed
    return None


def rejected_in(message: str) -> list[tuple[str, str | None]]:
    """The parameters that a message says the provider does not know, each with its new name if it has one."""
    names = [
        next(group for group in found.groups() if group).partition(".")[0]
        for found in _PARAMETER.finditer(message)
    ]
    return [(name, _NEW_NAME if name == "max_tokens" and _NEW_NAME in message else None) for name in names]


def without(request: ChatRequest, name: str, new_name: str | None) -> Simplified | None:
    """The request without a parameter, or with it under its new name; ``None`` where it does not have it."""
    removed = {"parameters_removed": [name]}
    if name == "max_tokens" and request.max_tokens is not None:
        if new_name is None:
            return Simplified(replace(request, max_tokens=None), removed)
        parameters = {**request.parameters, new_name: request.max_tokens}
        changed = {"parameters_renamed": {name: new_name}}
        return Simplified(replace(request, max_tokens=None, parameters=parameters), changed)
    if name == "temperature" and request.temperature is not None:
        return Simplified(replace(request, temperature=None), removed)
    if name in request.parameters:
        rest = {key: value for key, value in request.parameters.items() if key != name}
        return Simplified(replace(request, parameters=rest), removed)
    return None


def with_shorter_answer(request: ChatRequest, most: int) -> Simplified | None:
    """The request for an answer of at most so many tokens; ``None`` where it does not ask for more."""
    asked = answer_limit(request)
    if asked is None or asked <= most:
        return None
    return Simplified(_with_answer_limit(request, most), {"max_tokens": {"from": asked, "to": most}})


def _numbers(message: str) -> list[int]:
    return [int(text.replace(",", "")) for text in _NUMBER.findall(message[:4000])]


def _length(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, Sequence):
        return sum(len(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return 0
