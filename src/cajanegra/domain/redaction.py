"""Masks secrets: API keys, tokens, passwords, private keys."""

from __future__ import annotations

import re
from enum import Enum

MASK = "[redacted]"

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
    r"|cn_[a-z0-9]{10}_[A-Za-z0-9_-]{16,}"  # our own
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

# What follows finds out in a few microseconds that a text has none of the above, as most texts have not.
_SHORTEST_PLAIN_KEY = 11
"""Characters of the shortest known key of letters and digits alone."""
_KEY_PREFIX = re.compile(
    r"[-_](?:(?<=sk-)|(?<=key-)|(?<=xai-)|(?<=pplx-)|(?<=nvapi-)|(?<=glpat-)|(?<=xapp-)|(?<=xox[a-z]-)"
    r"|(?<=gsk_)|(?<=hf_)|(?<=cn_)|(?<=r8_)|(?<=fw_)|(?<=gh[pousr]_)|(?<=github_pat_)|(?<=tgp_v1_)|(?<=k_live_)|(?<=k_test_))"
)
"""Prefixes of known keys, found by their last character: hyphens and underscores are rarer than letters."""
_NAME_ENDINGS = (
    *("key", "keyid", "key_id", "key-id", "provided", "secret", "secrets", "password", "passwd", "pwd"),
    *("passphrase", "token", "authorization", "credential", "credentials", "cookie"),
)
"""How the names of pairs end, in lower case."""

_PLAIN_ENDINGS = (
    *("apikey", "accesskey", "accesskeyid", "secretkey", "secretaccesskey", "privatekey", "clientsecret"),
    *("password", "passwd", "passphrase", "authorization"),
    *("accesstoken", "refreshtoken", "authtoken", "idtoken", "sessiontoken", "bearertoken", "securitytoken"),
)
_VAGUE_WORDS = frozenset(
    {"token", "secret", "secrets", "credential", "credentials", "cookie", "cookies", "pwd"}
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")


class Secrecy(Enum):
    """Which values of a name are secrets."""

    ALWAYS = "always"
    UNLESS_NUMBER = "unless a number"

    def covers(self, value: object) -> bool:
        """Whether this value is one."""
        if not value or isinstance(value, bool) or value == MASK:
            return False
        return self is Secrecy.ALWAYS or not isinstance(value, int | float)


def redact_text(text: str) -> str:
    """The text with API keys, tokens, passwords and private keys masked; itself when it has none."""
    if len(text) < _SHORTEST_PLAIN_KEY and text.isalnum():
        return text
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    if "://" in text and "@" in text:
        text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    named = "=" in text
    if named and ("?" in text or "&" in text):
        text = _QUERY.sub(rf"\1{MASK}", text)
    lowered = text.casefold()
    if "bearer" in lowered or "basic" in lowered:
        text = _SCHEME.sub(rf"\1{MASK}", text)
    if _may_hold_a_key(text):
        text = _KNOWN_KEY.sub(MASK, text)
    if (named or ":" in text) and _may_hold_a_pair(lowered):
        for pair in (_COOKIE, _QUOTED_PAIR, _PAIR, _VAGUE_PAIR):
            text = pair.sub(rf"\1{MASK}", text)
    return text


def _may_hold_a_key(text: str) -> bool:
    return (
        _KEY_PREFIX.search(text) is not None
        or "eyJ" in text
        or "AIza" in text
        or "AKIA" in text
        or "ASIA" in text
        or "ya29." in text
    )


def _may_hold_a_pair(lowered: str) -> bool:
    """Whether such a name stands before a colon or an equals sign."""
    before = lowered.replace("=", ":").split(":")
    before.pop()
    return any(text.rstrip().rstrip("\"'\\").endswith(_NAME_ENDINGS) for text in before)


def secrecy(name: str) -> Secrecy | None:
    """Which values of such a name are secrets; None for a name that says nothing."""
    words = [word.lower() for word in _WORD.findall(name[-100:])]
    if "".join(words).endswith(_PLAIN_ENDINGS):
        return Secrecy.ALWAYS
    return Secrecy.UNLESS_NUMBER if words and words[-1] in _VAGUE_WORDS else None
