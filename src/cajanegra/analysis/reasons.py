"""Texts that say no more than a status code does."""

from __future__ import annotations

import re

REASONS: dict[str, int] = {
    "bad request": 400,
    "unauthorized": 401,
    "payment required": 402,
    "forbidden": 403,
    "not found": 404,
    "page not found": 404,
    "resource not found": 404,
    "method not allowed": 405,
    "request timeout": 408,
    "conflict": 409,
    "gone": 410,
    "payload too large": 413,
    "request entity too large": 413,
    "content too large": 413,
    "unprocessable entity": 422,
    "unprocessable content": 422,
    "too many requests": 429,
    "internal server error": 500,
    "internal error": 500,
    "bad gateway": 502,
    "service unavailable": 503,
    "service temporarily unavailable": 503,
    "gateway timeout": 504,
    "gateway time out": 504,
}
"""RFC 9110, section 15, and what common servers write instead."""

_FILLERS = frozenset((
    "a", "an", "api", "body", "by", "call", "client", "code", "error", "errors", "exception", "failed",
    "for", "from", "got", "has", "http", "is", "message", "no", "of", "openai", "provider", "received",
    "request", "response", "returned", "server", "status", "the", "unexpected", "unknown", "upstream",
    "uri", "url", "was", "with",
))  # fmt: skip
_VAGUE = frozenset({"", *REASONS, "failure", "occurred", "api error", "fail", "null", "none", "undefined"})
_LETTERS = re.compile(r"(?<!\w)[^\W\d_]+(?!\w)")
"""Words without digits: an id may have letters, and says nothing."""
_LONGEST = 80


def said_in_reason(words: str) -> str:
    """A text without the words that accompany a status."""
    return " ".join(
        word for word in words.split() if word not in _FILLERS and word not in "*." and not word.isdigit()
    )


def is_vague(text: str) -> bool:
    """Whether a text says nothing that a status would not say as well."""
    return len(text) <= _LONGEST and said_in_reason(" ".join(_LETTERS.findall(text.lower()))) in _VAGUE


def bare_status(words: str) -> int | None:
    """The status that a text stands for when it says nothing else; 0 when it does not even say which."""
    if len(words) > _LONGEST + 40:
        return None
    left = said_in_reason(words)
    return REASONS.get(left) if left else 0
