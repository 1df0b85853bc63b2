"""Masks secrets: in error messages and metadata always, before anything is stored or shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "[redacted]"

_PLAIN_NAMES = (
    "(?:x-)?api[-_]?key|access[-_]?key(?:[-_]?id)?|(?:secret|private)[-_]?(?:access[-_]?)?key|client[-_]?secret"
    "|password|passwd|pwd|passphrase|(?:access|refresh|auth|id|session|bearer)[-_]?token"
    "|(?:proxy-)?authorization"
)
"""Names whose value is a secret, whatever it looks like."""
_VAGUE_NAMES = "token|secret|credentials?|(?:set-)?cookie"
"""Names that stand in ordinary sentences too: in text their value must look like a secret."""
_SECRET_NAME = re.compile(rf"(?:.*[-_.])?(?:{_PLAIN_NAMES}|{_VAGUE_NAMES})", re.IGNORECASE)

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]{0,20000}"
    r"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@'\"]{0,200}):([^\s/@'\"]{1,200})@")
_SCHEME = re.compile(
    r"\b(Bearer|Basic)\s{1,3}(?=[A-Za-z._~+/*-]{0,60}[0-9*])[A-Za-z0-9._~+/*=-]{6,4000}", re.IGNORECASE
)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{5,4000}\.[A-Za-z0-9_-]{5,8000}\.?[A-Za-z0-9_-]{0,2000}")
_KNOWN_KEY = re.compile(
    r"\b(?:"
    r"sk-[A-Za-z0-9*_-]{6,400}"  # OpenAI, Anthropic, DeepSeek, OpenRouter; also as providers mask them
    r"|(?:gsk|xai|pplx|hf|r8|nvapi|fw|tgp_v1|csk|key)[_-][A-Za-z0-9_-]{16,400}"
    r"|AIza[A-Za-z0-9_-]{20,100}"
    r"|ya29\.[A-Za-z0-9_-]{10,2000}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,40}"
    r"|gh[pousr]_[A-Za-z0-9]{16,300}|github_pat_[A-Za-z0-9_]{16,300}|glpat-[A-Za-z0-9_-]{16,100}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{8,300}"
    r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,300}"
    r")"
)
_IS = r"[\\\"']{0,4}\s{0,3}(?:=>|=|:)\s{0,3}[\\\"']{0,4}"
_VALUE = r"[^\s\"'&,;\\}\]\)]"
_NOT_A_VALUE = r"(?!\[redacted|Bearer\b|Basic\b|None\b|null\b|true\b|false\b)"
_PLAIN_PAIR = re.compile(
    rf"(?<![A-Za-z0-9])((?:{_PLAIN_NAMES}){_IS}){_NOT_A_VALUE}{_VALUE}{{4,4000}}", re.IGNORECASE
)
_VAGUE_PAIR = re.compile(
    rf"(?<![A-Za-z0-9])((?:{_VAGUE_NAMES}){_IS}){_NOT_A_VALUE}"
    rf"(?={_VALUE}{{0,200}}\d)(?={_VALUE}{{0,200}}[A-Za-z]){_VALUE}{{8,4000}}",
    re.IGNORECASE,
)
_PROVIDED_KEY = re.compile(r"(api key provided:\s{0,3})[^\s\"',;]{4,400}", re.IGNORECASE)

MAX_DEPTH = 16


def redact_text(text: str) -> str:
    """The text with API keys, tokens, passwords and private keys masked; itself when it has none."""
    text = _PRIVATE_KEY.sub(MASK, text)
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _KNOWN_KEY.sub(MASK, text)
    for pair in (_PLAIN_PAIR, _VAGUE_PAIR, _PROVIDED_KEY):
        text = pair.sub(rf"\1{MASK}", text)
    return text


def redact_json(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A JSON value with secrets masked, in its strings and wherever a name says that the value is one."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        if depth == 0:
            return MASK
        return {name: _redact_member(name, item, depth - 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return MASK if depth == 0 else [redact_json(item, depth - 1) for item in value]
    return value


def _redact_member(name: Any, value: Any, depth: int) -> Any:
    holds_text = isinstance(name, str) and bool(value) and not isinstance(value, bool | int | float)
    if holds_text and _SECRET_NAME.fullmatch(name):
        return MASK
    return redact_json(value, depth)
