"""The user's own regular expressions of what is to be masked (``[capture] patterns``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cajanegra.errors import SettingsError

MAX_EXPRESSION = 1_000
"""Characters that one expression may have."""
MAX_MATCHES = 1_000
"""Matches of one expression in one text; beyond it the rest of the text is masked.

RE2 finds one match in linear time, but each further one may read the rest of the text again.
"""
_MEMORY = 2 << 20
"""Bytes that RE2 may take for one expression."""


class OwnPatterns:
    """Regular expressions by name; what one matches becomes its name in brackets.

    They are expressions of RE2, which takes linear time whatever text and expression are: it has neither
    look-around nor back-references.

    Raises:
        SettingsError: an expression is malformed, too long or too large, or matches the empty text, or RE2
            is not installed.
    """

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = [(_compiled(name, text), f"[{name}]".encode()) for name, text in patterns.items()]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def mask(self, text: str) -> str:
        """The text with every match masked; itself when there is none."""
        data = text.encode("utf-8", "surrogatepass")
        masked = data
        for pattern, mask in self._patterns:
            masked = _masked(pattern, mask, masked)
        return text if masked is data else masked.decode("utf-8", "surrogatepass")


def _masked(pattern: Any, mask: bytes, data: bytes) -> bytes:
    pieces: list[bytes] = []
    done = 0
    for count, (start, end) in enumerate(_spans(pattern, data), start=1):
        pieces += (data[done:start], mask)
        done = end if count < MAX_MATCHES else len(data)
        if done == len(data):
            break
    return b"".join((*pieces, data[done:])) if pieces else data


def _spans(pattern: Any, data: bytes) -> Iterable[tuple[int, int]]:
    return (found.span() for found in pattern.finditer(data) if found.end() > found.start())


def _compiled(name: str, expression: str) -> Any:
    try:
        import re2
    except ImportError:
        raise SettingsError(
            "capture.patterns needs google-re2, which is not installed: pip install 'cajanegra[patterns]'"
        ) from None
    where = f"capture.patterns.{name}"
    if len(expression) > MAX_EXPRESSION:
        raise SettingsError(f"{where} has {len(expression)} characters; at most {MAX_EXPRESSION} are allowed")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        compiled = re2.compile(expression, options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace")
        raise SettingsError(f"{where} is not a regular expression of RE2: {reason}") from None
    if compiled.search(""):
        raise SettingsError(f"{where} matches the empty text; it would mask everything and nothing")
    return compiled
