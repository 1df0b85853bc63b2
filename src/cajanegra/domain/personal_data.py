"""Masks personal data: e-mail addresses, phone numbers, payment cards, IBANs, national ids.

Every expression is linear, since its repetitions are bounded, and begins with few characters, which is what
makes the search for it quick.
"""

from __future__ import annotations

import re

from cajanegra.domain.check_digits import FISCAL_CODE, NATIONAL_ID, mask_checked_numbers, word_start

EMAIL, PHONE = "[email]", "[phone]"

_GAP = "[ .()/\u00a0\u202f\u2011-]"


_EMAIL = re.compile(
    r"((?<=\\)[nrtbf](?=[\w+]))?[\w.+-]{1,64}(?:@|%40|\\u0040)"
    r"(?:[\w-]{1,63}\.){1,6}(?:[^\W\d_]{2,63}|xn--[\w-]{1,59})"
)

_PHONE_WORDS = (
    *("phone", "telephone", "teléfono", "telefono", "telefon", "tel", "tlf", "tfno", "tfn", "fax", "cell"),
    *("mobile", "móvil", "movil", "celular", "whatsapp", "msisdn"),
)
_ID_WORDS = (
    *("national id", "id card", "id number", "tax id", "passport", "pasaporte", "passeport"),
    *("dni", "nie", "nif", "ssn", "social security", "social insurance", "nino", "nhs", "nir", "bsn"),
    *("codice fiscale", "steuer id", "personnummer", "fødselsnummer", "kennitala", "cpr", "pesel", "cnp"),
    *("egn", "oib", "cpf", "curp", "cedula", "cédula", "cuit", "cuil", "rut", "rrn", "aadhaar"),
)
"""Words before a number that say what it is. A space stands for any or no separator."""
_NUMBER_WORDS = ("number", "num", "número", "numero", "no", "nr", "nº", "n°")
_JOINTS = ("is", "es", "ist", "est")
_BEFORE = " \t\n\r\u00a0\"'\\:=#>.,[(+-_"
"""What may stand between a name and its number."""
_ENDINGS = tuple(
    re.split(r"[^a-z]", word)[-1]
    for word in (*_PHONE_WORDS, *_ID_WORDS, *_NUMBER_WORDS)
    if word[-1] not in "º°"
)
_NAME_ENDINGS = (*_ENDINGS, *(f"{word}s" for word in _ENDINGS), *_JOINTS, "º", "°", "u00ba", "u00b0")


def _words(words: tuple[str, ...]) -> str:
    text = "|".join(words).replace(" ", "[-_ ]?")
    return re.sub(r"[^\x00-\x7f]", lambda found: rf"(?:{found[0]}|\\{{1,4}}u{ord(found[0]):04x})", text)


_CAMEL = re.compile("(?<=[a-z])(?=[A-Z])")
_NAME = re.compile(
    rf"(?:^|[^a-z]|\\[nrtbf]|\\u[0-9a-f]{{4}})(?:([a-z]{{1,10}}phone|{_words(_PHONE_WORDS)})|{_words(_ID_WORDS)})"
    rf"(?:[-_. ]{{0,2}}(?:{_words(_NUMBER_WORDS)}))?s?(?:\W{{1,4}}(?:{_words(_JOINTS)}))?$",
    re.IGNORECASE,
)
_NUMBER = re.compile(rf"\d(?:{_GAP}{{0,2}}\d){{5,17}}[A-Za-z]{{0,2}}(?!\w)", re.ASCII)
_SHORTEST_NAME = 3
_CONTEXT = 48
"""Characters before a number in which its name is looked for."""

_INTERNATIONAL_PHONE = re.compile(rf"(?:\+|%2B)[1-9](?:{_GAP}{{0,2}}\d){{7,14}}(?!\w)", re.ASCII)
_NATIONAL_PHONE = re.compile(
    rf"[\d(]{word_start('[a-zA-Z0-9_.+]')}(?:"
    r"(?<=0)0[1-9](?:[ .()-]{0,2}\d){7,14}"
    r"|(?<=[6-9])\d{2}[ .-]?(?:\d{3}[ .-]?\d{3}|\d{2}[ .-]?\d{2}[ .-]?\d{2})"  # Spain
    r"|(?<=[89])\d[ -]\d{3}[ -]\d{2}[ -]\d{2}"  # Spain, with a province's code of two digits
    r"|(?<=\d)\d{2}[ .-]\d{3}[ .-]\d{4}|(?<=\()\d{2,3}\) ?\d{3,5}[ -]\d{4}"  # the Americas
    r"|(?<=0)\d(?:[ .-]\d{2}){4}"  # France
    r"|(?<=0)\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5}"  # United Kingdom, Germany, Italy
    r")(?!\w)",
    re.ASCII,
)

_SHAPE = bytes.maketrans(
    b"123456789abcdefghijklmnopqrstuvwxyzBCDEFGHIJKLMNOPQRSTUVWXYZ", b"0" * 9 + b"A" * (26 + 25)
)
_GAPS_OF_SHAPE = b" .()/-?"
"""What may stand inside a number; the question mark stands for what is not ASCII."""


def mask_personal(text: str, *, national_phones: bool) -> str:
    """The text with addresses, phone numbers, cards, IBANs and national ids masked; itself if it has none.

    Args:
        text: what may hold personal data.
        national_phones: mask phone numbers that have neither a country's code nor a name before them, too;
            nine digits can be an order's number as well.
    """
    masked = text
    if "@" in text or "%40" in text or "u0040" in text:
        masked = _EMAIL.sub(rf"\1{EMAIL}", masked)
    shape = masked.encode("ascii", "replace").translate(_SHAPE)
    digits = shape.translate(None, _GAPS_OF_SHAPE)
    if b"000000" in digits or FISCAL_CODE in shape:
        masked = _mask_numbers(masked, shape, digits, national_phones)
    return text if masked == text else masked


def _mask_numbers(text: str, shape: bytes, digits: bytes, national_phones: bool) -> str:
    text = mask_checked_numbers(text, shape, digits)
    if "+" in text or "%2B" in text:
        text = _INTERNATIONAL_PHONE.sub(PHONE, text)
    text = _NUMBER.sub(_mask_if_named, text)
    return _NATIONAL_PHONE.sub(PHONE, text) if national_phones else text


def named_number(name: str) -> str | None:
    """The mask for a number that has such a name before it: ``"[phone]"`` for ``contactPhone``."""
    found = _NAME.search(_CAMEL.sub("_", name[-64:]))
    return None if found is None else PHONE if found[1] else NATIONAL_ID


def mask_named_number(text: str, mask: str) -> str:
    """The text of a value with such a name, its numbers of six digits or more masked."""
    return _NUMBER.sub(mask, text)


def _mask_if_named(found: re.Match[str]) -> str:
    start = found.start()
    if start < _SHORTEST_NAME:
        return found[0]
    before = found.string[max(0, start - _CONTEXT) : start].rstrip(_BEFORE)
    if not before.casefold().endswith(_NAME_ENDINGS):
        return found[0]
    return named_number(before) or found[0]
