"""Replaces what varies from one occurrence of a failure to the next by ``<*>``."""

from __future__ import annotations

import re

from cajanegra.domain.pattern import MAX_TEMPLATE
from cajanegra.domain.redaction import redact_text

MASK = "<*>"
MAX_TEXT = 1_500
"""Characters that are masked; a template is cut at 255."""

API_WORDS = frozenset((
    "NoneType", "additionalProperties", "assistant", "audio", "auto", "cache_control", "choices", "content",
    "developer", "enum", "file", "file_search", "format", "frequency_penalty", "function", "function_call",
    "functions", "image", "image_url", "images", "input", "input_audio", "inputs", "items", "json",
    "json_object", "json_schema", "logit_bias", "logprobs", "max_completion_tokens", "max_new_tokens",
    "max_output_tokens", "max_tokens", "message", "messages", "metadata", "minimal", "modalities", "model",
    "n", "name", "none", "parallel_tool_calls", "parameters", "presence_penalty", "prompt", "properties",
    "reasoning", "reasoning_content", "reasoning_effort", "required", "response_format", "role", "roles",
    "schema", "seed", "stop", "store", "stream", "stream_options", "strict", "system", "temperature",
    "text", "thinking", "thought_signature", "tool", "tool_call_id", "tool_calls", "tool_choice",
    "tool_result", "tool_use", "tools", "top_k", "top_logprobs", "top_p", "type", "user", "verbosity",
))  # fmt: skip
"""Names of the interface itself, which say what is wrong; other quoted words are somebody's input."""

_PART = r"[\w.:/@+*#%$~&?\\-]"
_UNIT = (
    r"(?:\s(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|days?"
    r"|[KMGT]i?B|bytes?|%|px|pixels)\b)?"
)
_VARIABLE = re.compile(
    r"(?:(?<![A-Za-z])|(?=[\"`\u201c\u2018]))(?:"  # within a word only a quote can begin
    r"(?P<url>\b(?:https?|wss?)://[^\s\"'<>)\]]+)"
    r"|\\?(?P<quote>[\"`\u201c\u2018])(?P<quoted>[^\"`\u201d\u2019\n]{0,1000})(?:[\"`\u201d\u2019]|\Z)"
    r"|(?<![\w\])}>])'(?P<single>[^'\n]{0,1000})'(?!\w)"
    r"|(?P<path>\b[A-Za-z_]{3,30})(?:\.\d+|\[\d+\])[\w.\[\]]*+"
    rf"|(?<!{_PART})(?:{_PART}*?[\d*@\\]{_PART}*+|[\w.-]+/{_PART}*?[A-Z._:-]{_PART}*+|~?/[\w./-]+"
    rf"|[\w.-]+:(?:latest|free|instruct|cloud|beta)\b){_UNIT}"
    r"|(?P<redacted>\[redacted\]))"
)
_RUN = re.compile(r"<\*>(?:(?:\s?[,;/|+x]\s?|\s|\sand\s|\sor\s)<\*>)+")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")


def masked(text: str) -> str:
    """The template of a text: at most 255 characters, secrets masked as well."""
    template = _VARIABLE.sub(_mask, redact_text(text[:MAX_TEXT]))
    if "  " in template or not template.isprintable():
        template = _SPACE.sub(" ", template)
    if template.count(MASK) > 1:
        template = _RUN.sub(MASK, template)
    template = template.strip()
    return template if len(template) <= MAX_TEMPLATE else f"{template[: MAX_TEMPLATE - 1]}…"


def _mask(found: re.Match[str]) -> str:
    if found["path"]:
        return f"{found['path']}.{MASK}"
    quoted = found["quoted"] if found["quote"] else found["single"]
    if quoted is not None:
        name = quoted.removesuffix("=")  # of a keyword argument
        return name if name in API_WORDS else MASK
    token = found[0]
    body = token.rstrip(".:?\\")
    return MASK + token[len(body) :] if found["url"] is None else MASK
