"""Masks secrets and personal data in captured prompts and answers (``[capture] content = "redacted"``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cajanegra.domain.redaction import MAX_DEPTH, redact_text

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){3,7}(?:[ -]?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])")
_SPANISH_ID = re.compile(r"\b(?:\d{8}|[XYZ]\d{7})-?[A-Z]\b")
_PHONE = re.compile(r"(?<![\w.])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}|[6789]\d{2}[ .-]?(?:\d{3}[ .-]?\d{3}|\d{2}[ .-]?\d{2}[ .-]?\d{2}))(?![\w])")  # fmt: skip # noqa: E501
_ID_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
"""Check letters of Spanish DNI and NIE numbers, by number modulo 23 (Real Decreto 1553/2005, article 11)."""


def redact_content(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A prompt or answer with secrets, e-mail addresses, phone numbers, cards, IBANs and DNI/NIE masked."""
    if isinstance(value, str):
        return _redact(value)
    if isinstance(value, Mapping):
        return (
            {name: redact_content(item, depth - 1) for name, item in value.items()} if depth else "[redacted]"
        )
    if isinstance(value, list | tuple):
        return [redact_content(item, depth - 1) for item in value] if depth else "[redacted]"
    return value


def _redact(text: str) -> str:
    text = redact_text(text)
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub(lambda found: "[iban]" if _is_iban(found[0]) else found[0], text)
    text = _CARD.sub(lambda found: "[card]" if _is_card(found[0]) else found[0], text)
    text = _SPANISH_ID.sub(lambda found: "[national id]" if _is_spanish_id(found[0]) else found[0], text)
    return _PHONE.sub("[phone]", text)


def _is_card(text: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in text if digit.isdecimal()]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]  # noqa: PLR2004 - two digits
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


def _is_iban(text: str) -> bool:
    """The remainder modulo 97 of ISO 13616."""
    compact = re.sub("[ -]", "", text)
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _is_spanish_id(text: str) -> bool:
    compact = text.replace("-", "")
    number = str("XYZ".find(compact[0])) + compact[1:-1] if compact[0] in "XYZ" else compact[:-1]
    return _ID_LETTERS[int(number) % 23] == compact[-1]
