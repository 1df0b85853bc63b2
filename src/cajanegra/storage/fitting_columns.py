"""Makes whole columns of values fit, at the cost of a look where all of them do.

The built-in functions look at a thousand values in the time that a Python function takes for fifty. Only a
column in which something does not fit is gone through value by value (``fitting``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import JSON, Column, DateTime, Float, Integer, String, Text

from cajanegra.storage.fitting import (
    INT32_MAX,
    MAX_JSON_DEPTH,
    MAX_JSON_TEXT,
    MAX_TEXT,
    fit_float,
    fit_integer,
    fit_json,
    fit_text,
    fit_time,
)

Values = Sequence[Any]
ColumnFitter = Callable[[Values], Values]
"""Gives back the very same values where all of them fit."""

_ONLY_NONE, _ONLY_TEXTS = {type(None)}, {str}
_TEXTS, _INTEGERS, _FLOATS = {str, type(None)}, {int, type(None)}, {float, type(None)}
_WITHOUT_ZONE = len("2026-11-24 12:00:00.000000")
_PLAIN_JSON = 2_000
"""Bytes of encoded JSON in which no text, list or object can be too large for its column."""
_encode_json = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


def column_fitter(column: Column[Any]) -> ColumnFitter:
    """The function that makes the values of a column fit; ``None`` stays ``None``."""
    kind = column.type
    if isinstance(kind, Text):
        return lambda values: fit_texts(values, MAX_TEXT)
    if isinstance(kind, String):
        size = kind.length or MAX_TEXT
        return lambda values: fit_texts(values, size)
    if isinstance(kind, Integer):
        return _fit_integers
    if isinstance(kind, Float):
        return _fit_floats
    if isinstance(kind, DateTime):
        return fit_times
    if isinstance(kind, JSON):
        return fit_jsons
    raise TypeError(f"no way to fit {column.name} of type {kind}")


def fit_texts(values: Values, size: int, fit_one: Callable[[Any, int], Any] = fit_text) -> Values:
    """Texts of at most so many characters, without what no database stores."""
    kinds = {*map(type, values)}
    if kinds == _ONLY_NONE:
        return values
    if kinds <= _TEXTS:
        texts = values if kinds == _ONLY_TEXTS else list(filter(None, values))
        if not texts or (max(map(len, texts)) <= size and _is_storable("".join(texts))):
            return values
    return [fit_one(value, size) for value in values]


def fit_times(values: Values) -> list[str | None]:
    """Times as text: UTC without a zone, to the microsecond, as both databases read them."""
    return [time_text(value) for value in values]


def time_text(value: Any) -> str | None:
    """A time as both databases read it."""
    if type(value) is datetime and value.tzinfo is UTC:
        return value.isoformat(" ", "microseconds")[:_WITHOUT_ZONE]
    fitted = fit_time(value)
    return None if fitted is None else fitted.isoformat(" ", "microseconds")


def fit_jsons(values: Values) -> list[str | None]:
    """JSON as text."""
    return [json_text(value) for value in values]


def fit_objects(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """JSON objects as text."""
    if not any(values):
        return ["{}"] * len(values)
    try:
        encoded = _encode_lines(values)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        encoded = b""
    texts = encoded.decode().split("\n")[:-1]
    # Each has one bracket at least: so many fit as they are.
    most = len(values) - 1 + MAX_JSON_DEPTH
    if (
        encoded.count(b"{") + encoded.count(b"[") <= most
        and len(texts) == len(values)
        and max(map(len, texts)) <= _PLAIN_JSON
        and b"\\u0000" not in encoded
    ):
        return texts
    return [json_text(value) or "{}" for value in values]


def json_text(value: Any, size: int = MAX_JSON_TEXT) -> str | None:
    """A JSON value as text that both databases can hold; each string of at most ``size`` characters."""
    if value is None:
        return None
    try:
        encoded = _encode_json(value)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        encoded = b""
    if 0 < len(encoded) <= _PLAIN_JSON:
        text = encoded.decode()
        if text.count("{") + text.count("[") <= MAX_JSON_DEPTH and "\\u0000" not in text:
            return text
    return _encode_json(fit_json(value, size=size)).decode()


def fit_seconds(
    values: Sequence[float], earliest: float, now: float, ahead: float
) -> tuple[list[str], list[int]]:
    """Seconds since the Unix epoch as text; what is not in ``earliest`` to ``now + ahead`` becomes ``now``.

    Returns:
        The texts, and the places of those that were not credible.
    """
    latest = now + ahead
    if math.isfinite(sum(values)) and earliest <= min(values) and max(values) <= latest:
        return _seconds_texts(values), []
    strange = [place for place, value in enumerate(values) if not earliest <= value <= latest]
    credible = [value if earliest <= value <= latest else now for value in values]
    return _seconds_texts(credible), strange


def _seconds_texts(values: Sequence[float]) -> list[str]:
    """Seconds since the Unix epoch as both databases read a time; halves of a microsecond are rounded up."""
    if not values:
        return []
    # All of them as one JSON array takes an eighth of the time that ``isoformat`` takes for each.
    times = msgspec.convert(values, list[datetime], strict=False)
    texts = _encode_json(times).decode().replace("T", " ")[len('["') : -len('Z"]')].split('Z","')
    return texts if min(map(len, texts)) == _WITHOUT_ZONE else [*map(_with_microseconds, texts)]


def _with_microseconds(text: str) -> str:
    return text if len(text) == _WITHOUT_ZONE else f"{text}.000000"


def _fit_integers(values: Values) -> Values:
    kinds = {*map(type, values)}
    if kinds == _ONLY_NONE:
        return values
    if kinds <= _INTEGERS:
        numbers = [value for value in values if value is not None]
        if not numbers or (max(numbers) <= INT32_MAX and min(numbers) >= -INT32_MAX - 1):
            return values
    return [fit_integer(value) for value in values]


def _fit_floats(values: Values) -> Values:
    kinds = {*map(type, values)}
    if kinds == _ONLY_NONE:
        return values
    if kinds <= _FLOATS:
        numbers = [value for value in values if value is not None]
        if all(map(math.isfinite, numbers)):
            return values
    return [fit_float(value) for value in values]


def _is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
