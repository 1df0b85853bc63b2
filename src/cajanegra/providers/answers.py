"""Finds the failures that hide in answers with a status of success."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cajanegra.domain.call import ChatRequest
from cajanegra.domain.failure import FailureKind
from cajanegra.providers.json_answers import NOT_JSON, decode, mismatch, repaired, schema_of, wants_json

Found = tuple[FailureKind, str]

LONGEST_REFUSAL = 300
"""Characters; a longer answer that begins like a refusal says something."""
_REFUSAL = re.compile(
    r"(?:(?:i'm|i am) (?:very |so |really )?sorry|sorry|i apologi[sz]e|lo siento)?"
    r"[,.;:! ]{0,3}(?:pero |but )?"
    r"(?:(?:i|we) (?:can't|cannot|am (?:unable|not able) to"
    r"|(?:won't|will not)(?: be able to)?|must decline to)"
    r"|no puedo) (?:assist|help|comply|fulfil|engage|provide|respond to|answer|continue"
    r"|ayudar|atender|responder a)"
)
_OPENINGS = (
    *("i'm sorry", "i am sorry", "i'm very sorry", "sorry", "i apologi", "lo siento", "no puedo"),
    *("i can't", "i cannot", "i am unable", "i won't", "i will not"),
)
_FIRST_LETTERS = frozenset(one[0] for one in _OPENINGS)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What an answer comes to, whether it came in one piece or streamed."""

    text: str
    finish_reason: str | None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    refused: bool = False
    other_content: bool = False
    """Whether there is content that is neither text nor a tool call, such as audio."""


class Checked(msgspec.Struct, frozen=True, gc=False):
    """An answer that may be handed out."""

    text: str
    repaired: bool = False


def check(outcome: Outcome, request: ChatRequest) -> Checked | Found:
    """The text of a good answer, mended where it can be, or what is wrong with it."""
    if outcome.refused:
        return FailureKind.REFUSAL, "the model refused to answer"
    if outcome.finish_reason is None:
        return FailureKind.INVALID_RESPONSE, "the answer does not say why it ends"
    if outcome.finish_reason == "content_filter":
        return FailureKind.CONTENT_FILTER, "the provider's content filter stopped the answer"
    if outcome.tool_calls:
        return _tool_failure(outcome.tool_calls, request) or Checked(outcome.text)
    if outcome.text.strip():
        if _is_refusal(outcome.text):
            return FailureKind.REFUSAL, "the model answered that it will not help"
        return _checked_json(outcome, request) if wants_json(request) else Checked(outcome.text)
    if outcome.other_content or request.begun:
        return Checked(outcome.text)  # of an answer that is begun, there may be nothing left to say
    cut = outcome.finish_reason == "length"
    return FailureKind.INVALID_RESPONSE, (
        "the answer was cut at max_tokens before it had any text" if cut else "the answer is empty"
    )


def may_be_refusal(text: str) -> bool:
    """Whether a text that has only begun may become a refusal, so that it is kept back for now."""
    if len(text) > LONGEST_REFUSAL:
        return False
    begun = _plain(text)
    if not begun:
        return True
    if begun[0] not in _FIRST_LETTERS:
        return False
    return begun.startswith(_OPENINGS) or any(one.startswith(begun) for one in _OPENINGS)


def _is_refusal(text: str) -> bool:
    return len(text) <= LONGEST_REFUSAL and _REFUSAL.match(_plain(text)) is not None


def _plain(text: str) -> str:
    """A text as it is compared: lower case, with the typewriter's apostrophe."""
    return text.lstrip().lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _checked_json(outcome: Outcome, request: ChatRequest) -> Checked | Found:
    if outcome.finish_reason == "length":
        return FailureKind.INVALID_RESPONSE, "the JSON answer was cut at max_tokens"
    schema = schema_of(request)
    value = decode(outcome.text.encode(errors="surrogatepass"))
    problem = mismatch(value, schema) if value is not NOT_JSON else None
    if value is not NOT_JSON and problem is None:
        return Checked(outcome.text)
    mended = repaired(outcome.text, schema)
    if mended is not None:
        return Checked(mended, repaired=True)
    if value is NOT_JSON:
        return FailureKind.INVALID_RESPONSE, "the answer is not JSON, which response_format asks for"
    return FailureKind.SCHEMA_VALIDATION, f"the answer does not match the JSON schema at {problem}"


def _tool_failure(calls: Sequence[Any], request: ChatRequest) -> Found | None:
    offered = _offered_tools(request)
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            continue  # a custom tool, whose input is free text
        if offered and function.get("name") not in offered:
            return FailureKind.TOOL_CALL, "the model called a tool that was not offered"
        arguments = function.get("arguments")
        if isinstance(arguments, str) and arguments.strip():
            decoded = decode(arguments.encode(errors="surrogatepass"))
            if not isinstance(decoded, dict):
                return FailureKind.TOOL_CALL, "the arguments of a tool call are not a JSON object"
    return None


def _offered_tools(request: ChatRequest) -> set[Any]:
    tools = request.parameters.get("tools")
    if not isinstance(tools, Sequence):
        return set()
    functions = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    return {function.get("name") for function in functions if isinstance(function, Mapping)}
