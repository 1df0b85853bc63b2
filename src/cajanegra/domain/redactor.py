"""Masks what must not be stored in error messages, metadata and captured content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cajanegra.domain.own_patterns import OwnPatterns
from cajanegra.domain.personal_data import mask_named_number, mask_personal, named_number
from cajanegra.domain.redaction import MASK, Secrecy, redact_text, secrecy

MAX_DEPTH = 32
"""Levels of a JSON value that are looked at; what lies deeper is masked as a whole."""
_SHORTEST = 9
"""Characters of the shortest number that is looked for; pairs, addresses and cut keys are shorter."""
_CARD_LIKE = 10**13
"""The smallest integer that can be a card's number."""
_NUMBER_LIKE = 10**5
"""The smallest integer that can be the number of a phone or an id."""
_KNOWN_NAMES = 2_048
_LONG_NAME = 100

_Mask = Callable[[str], str]


class _Name(NamedTuple):
    """What the name of a JSON value says of the value."""

    masked: str
    secrecy: Secrecy | None
    number: str | None


_UNREAD = _Name("", None, None)


class Redactor:
    """Masks secrets, personal data and what the user's own patterns match.

    Text, metadata and content are masked alike but for phone numbers that have neither a country's code nor a
    name before them: these only in content, since elsewhere such digits are more often an order's number.

    Args:
        patterns: the user's regular expressions (of RE2) by name.

    Raises:
        SettingsError: a pattern cannot be used; the message says which and why.
    """

    def __init__(self, patterns: Mapping[str, str] | None = None) -> None:
        self._own = OwnPatterns(patterns) if patterns else None
        self._names: dict[str, _Name | None] = {}

    def text(self, text: str) -> str:
        """An error message or another text with everything masked; itself when it has nothing to mask."""
        if self._own is not None:
            text = self._own.mask(text)
        if len(text) < _SHORTEST and not ("=" in text or ":" in text or "@" in text or "sk-" in text):
            return text
        return mask_personal(redact_text(text), national_phones=False)

    def json(self, value: Any) -> Any:
        """A JSON value with everything masked, in strings, in names, and where a name says what a value is.

        What has nothing to mask is returned as it is, not copied.
        """
        return self._value(value, self.text, MAX_DEPTH)

    def content(self, value: Any) -> Any:
        """A prompt or answer, as ``json`` and with phone numbers in every form."""
        return self._value(value, self._content_text, MAX_DEPTH)

    def _content_text(self, text: str) -> str:
        if self._own is not None:
            text = self._own.mask(text)
        return mask_personal(redact_text(text), national_phones=True)

    def _value(self, value: Any, mask: _Mask, depth: int) -> Any:
        if isinstance(value, str):
            return mask(value)
        if isinstance(value, int):
            return _number(value, mask)
        if isinstance(value, Mapping):
            return self._mapping(value, mask, depth - 1) if depth else MASK
        if isinstance(value, list | tuple):
            return self._items(value, mask, depth - 1) if depth else MASK
        return value

    def _items(self, values: list[Any] | tuple[Any, ...], mask: _Mask, depth: int) -> Any:
        items = [self._value(item, mask, depth) for item in values]
        return values if all(new is old for new, old in zip(items, values, strict=True)) else items

    def _mapping(self, values: Mapping[Any, Any], mask: _Mask, depth: int) -> Any:
        changes: dict[Any, tuple[Any, Any]] = {}
        for name, item in values.items():
            special = self._names.get(name, _UNREAD) if isinstance(name, str) else None
            if special is _UNREAD:
                special = self._read_name(name)
            if special is None and type(item) is int and -_CARD_LIKE < item < _CARD_LIKE:
                continue
            if special is None:
                new_name, new = name, mask(item) if type(item) is str else self._value(item, mask, depth)
            else:
                new_name, new = special.masked, self._named(special, item, mask, depth)
            if new is not item or new_name is not name:
                changes[name] = (new_name, new)
        return dict(changes.get(name, (name, item)) for name, item in values.items()) if changes else values

    def _named(self, name: _Name, item: Any, mask: _Mask, depth: int) -> Any:
        if name.secrecy is not None and name.secrecy.covers(item):
            return MASK
        if name.number is not None:
            if isinstance(item, str):
                item = mask_named_number(item, name.number)
            elif isinstance(item, int) and item >= _NUMBER_LIKE:
                return name.number
        return self._value(item, mask, depth)

    def _read_name(self, name: str) -> _Name | None:
        """None for a name that says nothing."""
        read = _Name(self.text(name), secrecy(name), named_number(name))
        special = None if read == (name, None, None) else read
        if len(name) <= _LONG_NAME:
            if len(self._names) >= _KNOWN_NAMES:
                self._names.clear()
            self._names[name] = special
        return special


def _number(value: int, mask: _Mask) -> Any:
    if -_CARD_LIKE < value < _CARD_LIKE:
        return value
    try:
        text = str(value)
    except ValueError:  # more digits than Python writes
        return value
    masked = mask(text)
    return value if masked == text else masked
