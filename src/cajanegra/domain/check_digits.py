"""Masks numbers that have check digits: payment cards, IBANs, national ids.

A regular expression finds what could be one, and python-stdnum, imported when the first turns up, decides.
"""

from __future__ import annotations

import functools
import importlib
import re
from typing import Any

CARD, IBAN, NATIONAL_ID = "[card]", "[iban]", "[national id]"


def word_start(before: str, width: int = 1) -> str:
    """That the last ``width`` characters begin a word; escapes of JSON text before it are no part of it."""
    read = f".{{{width}}}"
    return rf"(?:(?<!{before}{read})(?<!\d\.{read})|(?<=\\[nrtbf]{read})|(?<=\\u[0-9a-fA-F]{{4}}{read}))"


_CARD_LIKE = re.compile(rf"\d{word_start('[a-zA-Z0-9_]')}(?:[ \u00a0-]?\d){{13,}}+", re.ASCII)
_CARD_END = re.compile(r"(?!\w|\.\d)", re.ASCII)
_CARD_LENGTHS = range(14, 20)
_FIRST_GROUP = 4
_CARD_RANGES = re.compile(
    r"4\d{15}(?:\d{3})?"  # Visa
    r"|5[0-8]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|220[0-4]\d{12}"  # Mastercard, Maestro
    r"|6\d{15}|62\d{15,17}|6(?:011|4[4-9]\d|5\d\d)\d{13,15}"  # Discover, UnionPay, RuPay
    r"|3[47]\d{13}|3(?:0[0-59]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}"  # Amex, Diners Club, JCB
)
"""The ranges of ISO/IEC 7812 that the networks have, with the lengths in use.

The 13 digits of the first Visa cards are left out: products (EAN) and times in milliseconds have as many.
"""

_IBAN_CHECK = re.compile(
    rf"\d\d(?<=[A-Za-z]{{2}}\d\d){word_start('[a-zA-Z0-9_]', 4)}(?=[ -]?[A-Za-z0-9]{{2}})", re.ASCII
)
_BBAN_PART = re.compile(r"(\d+)!")

_IDS_OF_DIGITS = (
    (r"\d", r"\d{7}[- ]?[A-Za-z]", ("es.dni",)),
    (r"\d", r"\d?\.\d{3}\.\d{3}[- ]?[A-Za-z]", ("es.dni", "cl.rut")),
    (r"\d", r"\d?\.\d{3}\.\d{3}-\d", ("cl.rut",)),
    (r"\d", r"\d{2}\.\d{3}\.\d{3}-\d\d", ("br.cpf",)),
    (r"\d", r"\d\.\d\d\.\d\d-\d{3}\.\d\d", ("be.nn",)),
    (r"[12478]", r" ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?\d[0-9ABab] ?\d{3} ?\d{3} ?\d\d", ("fr.nir",)),
    (r"[1-9]", r"\d{5}(?:19|20)\d{9}[0-9Xx]", ("cn.ric",)),
    (r"7", r"56\.?\d{4}\.?\d{4}\.?\d\d", ("ch.ssn",)),
    (r"2", r"[0347]-\d{8}-\d", ("ar.cuit",)),
    (r"\d", r"\d\d-\d{7}-\d", ("do.cedula",)),
    (r"\d", r"\d{4}-\d{7}-\d", ("pk.cnic",)),
    (r"\d", r"-\d{4}-\d{5}-\d\d-\d", ("th.pin",)),
    (r"\d", r"\d{5}[-+]\d{3}[A-Ya-y]", ("fi.hetu",)),
    (r"\d", r"\d{5}/\d{3,4}", ("cz.rc",)),
    (r"\d", r"\d{5}-\d{7}", ("kr.rrn",)),
    (r"\d", r"\d{5}-\d\d-\d{4}", ("my.nric",)),
    (r"\d", r"\d\d-\d\d-\d{4}", ("us.ssn",)),
    (r"\d", r"\d\d \d{3} \d{4}", ("gb.nhs",)),
    (r"[2-9]", r"\d{3} \d{4} \d{4}", ("in_.aadhaar",)),
)
"""How countries write their ids: first character, the rest, the modules of python-stdnum that check them.

Ids that are digits and nothing else, unless very long, are not here: they are masked next to their name.
"""
FISCAL_CODE = b"00A00A000A"
"""What is in the shape of a text that has an Italian fiscal code: the only id without six digits in a row."""
_OTHER_IDS = (
    (b"000000A000", r"\d", r"\d{5}[A-Fa-fU-Yu-y]\d{3}[0-9A-Za-z]", ("fi.hetu",)),
    (b"0000000", r"[XYZxyz]", r"[- ]?\d{7}[- ]?[A-Za-z]", ("es.nie",)),
    (FISCAL_CODE, r"[A-Za-z]", r"[A-Za-z]{5}\d\d[A-Za-z]\d\d[A-Za-z]\d{3}[A-Za-z]", ("it.codicefiscale",)),
    (b"000000AAAAAA", r"[A-Za-z]", r"[A-Za-z]{3}\d{6}[HMXhmx][A-Za-z]{5}[A-Za-z0-9]\d", ("mx.curp",)),
    (b"00 00 00 A", r"[A-Z]", r"[A-Z] \d\d \d\d \d\d [A-D]", ()),  # United Kingdom: has no check digit
)
"""The same for ids with letters elsewhere; first comes what is in the shape of a text that has one."""


def _id_like(first: str, rest: str) -> re.Pattern[str]:
    return re.compile(rf"{first}{word_start('[a-zA-Z0-9_]')}(?:{rest})(?!\w)", re.ASCII)


_ID_OF_DIGITS = _id_like(
    r"\d(?=(?:[ ./+-]?\d){7})", "|".join(f"((?<={first}){rest})" for first, rest, _ in _IDS_OF_DIGITS)
)
_OTHERS_BY_SHAPE = tuple(
    (shape, _id_like(first, rest), modules) for shape, first, rest, modules in _OTHER_IDS
)


def mask_checked_numbers(text: str, shape: bytes, digits: bytes) -> str:
    """The text with such numbers masked.

    Args:
        text: what may hold them.
        shape: the text with ``0`` for each digit and ``A`` for each letter, which tells what is not there.
        digits: the shape without spaces, dots, hyphens, slashes and brackets.
    """
    if b"00000000" in digits:
        text = _mask_ibans(text)
        if b"00000000000000" in digits:
            text = _CARD_LIKE.sub(_mask_cards, text)
        text = _ID_OF_DIGITS.sub(_mask_id_of_digits, text)
    for part, form, modules in _OTHERS_BY_SHAPE:
        if part in shape:
            text = form.sub(functools.partial(_mask_id, modules), text)
    return text


def _mask_cards(found: re.Match[str]) -> str:
    """A run of digits, its cards masked: what stands beside a card looks like a part of its number."""
    parts = re.split("([ \u00a0-])", found[0])  # at even places the groups, at odd ones what separates them
    groups = parts if _CARD_END.match(found.string, found.end()) else parts[:-2]
    masked = []
    place = 0
    while place < len(parts):
        end = _end_of_card(groups, place)
        masked.append(CARD if end else parts[place])
        place = end or place + 1
        masked += parts[place : place + 1]
        place += 1
    return "".join(masked)


def _end_of_card(parts: list[str], first: int) -> int:
    """Where the longest card ends that begins there with a group of four digits or more; 0 if none does."""
    if first >= len(parts) or len(parts[first]) < _FIRST_GROUP:
        return 0
    number, end = "", 0
    for last in range(first, len(parts), 2):
        number += parts[last]
        if len(number) > _CARD_LENGTHS[-1]:
            break
        if len(number) in _CARD_LENGTHS and _is_card(number):
            end = last + 1
    return end


def _is_card(digits: str) -> bool:
    return (
        _CARD_RANGES.fullmatch(digits) is not None
        and len(set(digits)) > 1
        and bool(_stdnum("luhn").is_valid(digits))
    )


def _mask_ibans(text: str) -> str:
    pieces, done = [], 0
    for check in _IBAN_CHECK.finditer(text):
        start = check.start() - 2
        if start < done:
            continue
        rest = _rest_of_iban(text[start : start + 2].upper())
        found = rest.match(text, check.end()) if rest else None
        if found and _stdnum("iban").is_valid(text[start : found.end()], check_country=False):
            pieces += [text[done:start], IBAN]
            done = found.end()
    return "".join([*pieces, text[done:]]) if pieces else text


@functools.cache
def _rest_of_iban(country: str) -> re.Pattern[str] | None:
    """What follows the check digits: as many characters as accounts of the country have (ISO 13616)."""
    known = _stdnum("numdb").get("iban").info(country)[0][1]
    if not known:
        return None
    length = sum(int(part) for part in _BBAN_PART.findall(known["bban"]))
    return re.compile(rf"(?:[ -]?[A-Za-z0-9]){{{length}}}(?!\w)", re.ASCII)


def _mask_id_of_digits(found: re.Match[str]) -> str:
    return _mask_id(_IDS_OF_DIGITS[(found.lastindex or 1) - 1][2], found)


def _mask_id(modules: tuple[str, ...], found: re.Match[str]) -> str:
    number = (
        re.sub("[. ]", "", found[0]).upper().zfill(9)
    )  # a DNI below ten million may lack its leading zero
    return NATIONAL_ID if not modules or any(_is_valid(name, number) for name in modules) else found[0]


def _is_valid(module: str, number: str) -> bool:
    """A number that the library stumbles over (2.2 does over some Chinese districts) counts as valid."""
    try:
        return bool(_stdnum(module).is_valid(number))
    except (LookupError, TypeError, ValueError):
        return True


@functools.cache
def _stdnum(module: str) -> Any:
    return importlib.import_module(f"stdnum.{module}")
