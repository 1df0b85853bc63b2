"""Masks secrets: in error messages and metadata always, before anything is stored or shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

MASK = "[redacted]"
MAX_DEPTH = 32
"""Levels of a JSON value that are looked at; what lies deeper is masked as a whole."""

# Every pattern is linear: repetitions are bounded, or what they have read is masked and not read again.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----))*(?:-----END[^-]{0,60}-----)?"
)
_URL_PASSWORD = re.compile(
    r"(?<=://)([^\s/:@'\"]{0,200}):(?!\d{1,5}[/?#])"  # a port is no password
    r"[^\s'\"]{1,256}@"  # up to the last @: passwords have it too, and slashes, whatever the RFC says
)
_KNOWN_KEY = re.compile(
    r"(?<![A-Za-z])(?:"
    r"sk-(?:proj|ant|or|svcacct|admin)-[A-Za-z0-9*_-]{6,}"  # OpenAI, Anthropic, OpenRouter
    r"|sk-(?=[A-Za-z0-9_-]{0,60}[0-9*])[A-Za-z0-9*_-]{4,}|sk-[A-Za-z0-9]{16,}"  # also as providers mask them
    r"|key-(?=[A-Za-z0-9]{0,60}\d)[A-Za-z0-9]{16,}"
    r"|(?:gsk_|hf_|r8_|fw_|xai-|pplx-|csk-)[A-Za-z0-9]{16,}|(?:nvapi-|tgp_v1_)[A-Za-z0-9_-]{16,}"
    r"|AIza[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{10,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}"
    r"|xox[a-z]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{16,}"
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{8,}"
    r"|eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}"  # a JSON web token, whole or cut
    r")"
)
_SCHEME = re.compile(
    r"\b((?i:Bearer|Basic)\s{1,3})"
    # "Bearer authentication" is no secret: a token has a digit, or mixes cases, or is longer than words are.
    r"(?=[\w.~+/*=-]{0,60}[0-9*]|[\w.~+/*=-]{0,60}[a-z][A-Z]|[A-Za-z0-9]{20})[\w.~+/*=-]{6,}"
)
_QUERY = re.compile(r"([?&](?:key|sig|signature|token|code)=)[^\s&\"']+", re.IGNORECASE)
_COOKIE = re.compile(
    r"\b((?:set-)?cookie[\"']?: ?[\"']?)(?!\[redacted\])[^\s\"'=]{1,200}=[^\r\n\"']+", re.IGNORECASE
)

_NAMES = (
    r"api[-_ ]?key(?: provided)?|access[-_]?key(?:[-_]?id)?|(?:secret|private)[-_]?(?:access[-_]?)?key"
    r"|client[-_]?secret|password|passwd|(?<![a-z])pwd|passphrase"
    r"|(?:access|refresh|auth|id|session|bearer|security)[-_]?token|authorization"
)
"""What these words name is a secret, whatever it looks like."""
_VAGUE_NAMES = r"(?<![a-z0-9])(?:token|secrets?|credentials?)"
"""These words stand in ordinary sentences too."""
_QUOTE = r"\\{0,3}[\"']"
_IS = rf"(?:{_QUOTE})?\s{{0,3}}(?:=>|[=:])\s{{0,3}}"
_NOT_A_VALUE = (
    r"(?!\[redacted|(?:none|null|true|false|undefined|is|are|was|must|should|cannot|not|missing|required|invalid"
    r"|field|please|header)\b)"
)
_UNQUOTED = r"(?:[^\s\"'&,;)}\]\\]|\\(?![nrt\"'\\])|[&,;)}\]](?![\s\"',;)}\]\\]|$|\w{1,40}[=:]))+"
"""Up to a space or quote; a comma, bracket or ampersand belongs to it unless something else begins there."""
_QUOTED_PAIR = re.compile(
    rf"((?:{_NAMES}|{_VAGUE_NAMES}){_IS}({_QUOTE})(?:(?:Bearer|Basic|Token) )?+)"
    r"(?!\[redacted)(?:(?!\2)(?:\\.|[^\\]))+",
    re.IGNORECASE | re.DOTALL,
)
_PAIR = re.compile(
    rf"((?:{_NAMES}){_IS}(?:(?:Bearer|Basic|Token|Digest|ApiKey|Key)\s{{1,3}})?+)"
    rf"{_NOT_A_VALUE}{_UNQUOTED}",
    re.IGNORECASE,
)
_VAGUE_PAIR = re.compile(
    rf"({_VAGUE_NAMES}(?:={_NOT_A_VALUE}|\s{{0,3}}(?:=>|[=:])\s{{0,3}}(?=[\w.~+/-]{{0,60}}\d)(?=[\w.~+/-]{{0,60}}[a-z])))"
    rf"(?=[\w.~+/-]{{6}}){_UNQUOTED}",
    re.IGNORECASE,
)
_PAIR_WORDS = ("key", "pass", "pwd", "token", "secret", "auth", "credential", "cookie")

_PLAIN_ENDINGS = (
    *("apikey", "accesskey", "accesskeyid", "secretkey", "secretaccesskey", "privatekey", "clientsecret"),
    *("password", "passwd", "passphrase", "authorization"),
    *("accesstoken", "refreshtoken", "authtoken", "idtoken", "sessiontoken", "bearertoken", "securitytoken"),
)
_VAGUE_WORDS = frozenset(
    {"token", "secret", "secrets", "credential", "credentials", "cookie", "cookies", "pwd"}
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")


def redact_text(text: str) -> str:
    """The text with API keys, tokens, passwords and private keys masked; itself when it has none."""
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    if "=" in text:
        text = _QUERY.sub(rf"\1{MASK}", text)
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered:
        text = _SCHEME.sub(rf"\1{MASK}", text)
    text = _KNOWN_KEY.sub(MASK, text)
    if any(word in lowered for word in _PAIR_WORDS):
        for pair in (_COOKIE, _QUOTED_PAIR, _PAIR, _VAGUE_PAIR):
            text = pair.sub(rf"\1{MASK}", text)
    return text


def redact_json(value: Any) -> Any:
    """A JSON value with secrets masked, in its strings and wherever a name says that the value is one.

    What has nothing to mask is returned as it is, not copied.
    """
    return mask_json(value, redact_text)


def mask_json(value: Any, mask: Callable[[str], str], depth: int = MAX_DEPTH) -> Any:
    """A JSON value with each string and name masked by ``mask``, and what secret names hold masked whole."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        if depth == 0:
            return MASK
        masked = {
            mask(name) if isinstance(name, str) else name: (
                MASK if _is_secret(name, item) else mask_json(item, mask, depth - 1)
            )
            for name, item in value.items()
        }
        return value if _unchanged(value.items(), masked.items()) else masked
    if isinstance(value, list | tuple):
        if depth == 0:
            return MASK
        items = [mask_json(item, mask, depth - 1) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    return value


def _unchanged(old: Any, new: Any) -> bool:
    return len(old) == len(new) and all(
        old_name == new_name and old_item is new_item
        for (old_name, old_item), (new_name, new_item) in zip(old, new, strict=True)
    )


def _is_secret(name: Any, value: Any) -> bool:
    if not isinstance(name, str) or not value or isinstance(value, bool) or value == MASK:
        return False
    words = [word.lower() for word in _WORD.findall(name[-100:])]
    if "".join(words).endswith(_PLAIN_ENDINGS):
        return True
    return bool(words) and words[-1] in _VAGUE_WORDS and not isinstance(value, int | float)
