"""Error patterns: the name under which failures of one root cause are counted."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

GROUPING_VERSION = 1
"""Changes when the same message may get another pattern than before."""
MAX_TEMPLATE = 255
"""Characters of a template: what the column ``error_message_pattern`` holds."""

FirstMove = Literal["retry", "fallback", "simplify", "none"]
"""What to do first: ask again, ask another, ask for less; or nothing, because a person has to act."""

_MAX_PROVIDER = 20
_NOT_A_NAME = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What failures of one root cause have in common.

    Attributes:
        name: stored as ``error_pattern``; at most 100 characters.
        template: the message with ``<*>`` for what varies; at most 255 characters.
        probable_cause: why it happens, in the language that was set.
        suggested_action: what a person should do about it.
        recover: what to do first, automatically.
    """

    name: str
    template: str
    probable_cause: str
    suggested_action: str
    recover: FirstMove


def pattern_name(provider: str, cause: str, words: str | None = None) -> str:
    """The pattern of a failure.

    Args:
        provider: who failed.
        cause: a cause that has a name, such as ``tokens_per_minute``, or the failure kind.
        words: what the message says, where the cause has no name; six hex digits stand for it.
    """
    name = f"{_provider_word(provider)}_{cause}"
    return name if words is None else f"{name}_{digest(words)}"


def digest(words: str) -> str:
    """Six hex digits that stand for a text."""
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()


def _provider_word(provider: str) -> str:
    word = _NOT_A_NAME.sub("-", provider.strip()[:200].lower()).strip("-") or "unknown"
    # A cut name would be the name of another provider, too.
    return word if len(word) <= _MAX_PROVIDER else f"{word[: _MAX_PROVIDER - 7]}-{digest(word)}"
