"""Masks secrets and personal data in captured prompts and answers (``[capture] content = "redacted"``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cajanegra.domain.redaction import mask_json, redact_text

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_IBAN = re.compile(
    r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b", re.ASCII | re.IGNORECASE
)
_DIGIT_RUN = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,39}(?!\w)", re.ASCII)
_SPANISH_ID = re.compile(
    r"\b(?:\d{8}|\d{1,2}\.\d{3}\.\d{3}|[XYZ][- ]?\d{7})[- ]?[A-Z]\b",
    re.ASCII | re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<![\w.+])(?:"
    r"(?:\+|00)[1-9]\d{0,2}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}"  # with the country's code
    r"|[6789]\d{2}[ .-]?(?:\d{3}[ .-]?\d{3}|\d{2}[ .-]?\d{2}[ .-]?\d{2})"  # Spain
    r"|[89]\d[ .-]\d{3}[ .-]\d{2}[ .-]\d{2}"  # Spain, with a province's code of two digits
    r"|(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}"  # North America
    r")(?!\w)"
)
_ID_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
"""Check letters of Spanish DNI and NIE numbers, by number modulo 23 (Real Decreto 1553/2005, article 11)."""
_CARD_LENGTHS = range(13, 20)
_IBAN_LENGTHS = range(15, 35)


def redact_content(value: Any) -> Any:
    """A prompt or answer with secrets, e-mail addresses, phone numbers, cards, IBANs and DNI/NIE masked.

    What has nothing to mask is returned as it is, not copied.
    """
    return mask_json(value, _redact)


def _redact(text: str) -> str:
    text = redact_text(text)
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub(lambda found: _masked(found[0], "[iban]", _IBAN_LENGTHS, _is_iban), text)
    text = _DIGIT_RUN.sub(lambda found: _masked(found[0], "[card]", _CARD_LENGTHS, _is_card), text)
    text = _SPANISH_ID.sub(lambda found: "[national id]" if _is_spanish_id(found[0]) else found[0], text)
    return _PHONE.sub("[phone]", text)


def _masked(text: str, mask: str, lengths: range, is_number: Callable[[str], bool]) -> str:
    """The text with the longest run of its groups masked that is such a number.

    What follows a number looks like a part of it: a card's expiry date, the first word of a sentence.
    """
    parts = re.split("([ -])", text)  # at even places the groups, at odd ones what separates them
    for first in range(0, len(parts), 2):
        number, found = "", 0
        for last in range(first, len(parts), 2):
            number += parts[last]
            if len(number) in lengths and is_number(number):
                found = last + 1
            elif len(number) > lengths[-1]:
                break
        if found:
            return "".join(parts[:first]) + mask + "".join(parts[found:])
    return text


def _is_card(digits: str) -> bool:
    """A network's first digit, and Luhn's check (ISO/IEC 7812-1, annex B)."""
    if digits[0] not in "23456" or len(set(digits)) == 1:
        return False
    values = [int(digit) for digit in digits]
    doubled = [sum(divmod(value * 2, 10)) for value in values[-2::-2]]
    return (sum(values[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """The remainder modulo 97 of ISO 13616."""
    if not (text[:2].isalpha() and text[2:4].isdecimal()):
        return False
    moved = text[4:] + text[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _is_spanish_id(text: str) -> bool:
    compact = re.sub("[- .]", "", text).upper()
    number = str("XYZ".find(compact[0])) + compact[1:-1] if compact[0] in "XYZ" else compact[:-1]
    return _ID_LETTERS[int(number) % 23] == compact[-1]
