"""Makes any value fit its column, so that no value ever loses a row."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Float, Integer, String, Text

from cajanegra.domain.ids import derived_id

MAX_TEXT = 20_000
"""Characters of a ``TEXT`` column, such as an error message."""
MAX_JSON_TEXT = 20_000
"""Characters of one string in metadata."""
MAX_JSON_DEPTH = 12
MAX_JSON_ITEMS = 1_000
"""Entries of one list or object in metadata."""
RESERVED_IDS = frozenset(
    {
        "errors", "export", "facets", "live", "providers", "recent", "recoveries", "retention", "slow",
        "statistics", "storage", "timeseries",
    }
)  # fmt: skip
"""Words that stand where a request id stands in the API's paths."""

OURS = "~"
"""Begins a request id that we gave a call because its own was taken; no application can give such a one."""
INT32_MAX = 2**31 - 1
"""The greatest number that a column of type INTEGER holds in PostgreSQL."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REQUEST_ID_SIZE = 50
_OURS = re.compile(rf"{OURS}[0-9a-f]{{32}}")
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{_REQUEST_ID_SIZE}}}")
_NOT_IN_REQUEST_ID = re.compile(r"[^A-Za-z0-9._:-]")
_INT32 = range(-INT32_MAX - 1, INT32_MAX + 1)
_IDENTITY_SIZE = 36

Fitter = Callable[[Any], Any]


def fitter(column: Column[Any]) -> Fitter:
    """The function that makes a value fit a column; ``None`` stays ``None``."""
    kind = column.type
    if isinstance(kind, Text):
        return lambda value: fit_text(value, MAX_TEXT)
    if isinstance(kind, String):
        size = kind.length or MAX_TEXT
        return lambda value: fit_text(value, size)
    if isinstance(kind, Integer):
        return fit_integer
    if isinstance(kind, Float):
        return fit_float
    if isinstance(kind, DateTime):
        return fit_time
    if isinstance(kind, JSON):
        return fit_json
    raise TypeError(f"no way to fit {column.name} of type {kind}")


def fit_text(value: Any, size: int) -> str | None:
    """At most ``size`` characters; what no database stores becomes U+FFFD."""
    if value is None:
        return None
    text = value if isinstance(value, str) else _describe(value)
    if _UNSTORABLE.search(text):
        text = _UNSTORABLE.sub("\ufffd", text)
    return str(text[:size])


def fit_integer(value: Any) -> int | None:
    """A 32-bit integer; anything that is not one becomes ``None``."""
    if isinstance(value, float) and math.isfinite(value):
        value = round(value)
    return int(value) if isinstance(value, int) and value in _INT32 else None


def fit_float(value: Any) -> float | None:
    """A finite number, or ``None``."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def fit_time(value: Any) -> datetime | None:
    """UTC without a zone, as the guide's columns have it; a time without a zone is taken for UTC."""
    if not isinstance(value, datetime):
        return None
    try:
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except OverflowError:
        return value.replace(tzinfo=None)


def fit_json(value: Any, depth: int = MAX_JSON_DEPTH, size: int = MAX_JSON_TEXT) -> Any:
    """A value that JSON and both databases can hold: bounded, finite, with string keys."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return fit_text(value, size)
    if isinstance(value, int):
        return int(value) if value in range(-(2**63), 2**63) else fit_text(_describe(value), MAX_JSON_TEXT)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth > 0 and isinstance(value, Mapping):
        items = list(value.items())[:MAX_JSON_ITEMS]
        return {str(fit_text(key, 200)): fit_json(item, depth - 1, size) for key, item in items}
    if (
        depth > 0
        and isinstance(value, Sequence | set | frozenset)
        and not isinstance(value, bytes | bytearray)
    ):
        return [fit_json(item, depth - 1, size) for item in list(value)[:MAX_JSON_ITEMS]]
    return fit_text(_describe(value), MAX_JSON_TEXT)


def fit_identity(value: Any) -> str | None:
    """A tenant's or user's id: never cut, which would merge two of them, but derived when it does not fit."""
    if value is None:
        return None
    text = value if isinstance(value, str) else _describe(value)
    if len(text) > _IDENTITY_SIZE or _UNSTORABLE.search(text):
        return derived_id(text)
    return text


def are_request_ids(values: Sequence[Any]) -> bool:
    """Whether all of these are request ids as they may be stored."""
    try:
        sizes = [*map(len, values)]
        text = "".join(values)
        return (
            0 < min(sizes) <= max(sizes) <= _REQUEST_ID_SIZE
            and ((text.isascii() and text.isalnum()) or not _NOT_IN_REQUEST_ID.search(text))
            and RESERVED_IDS.isdisjoint(values)
        )
    except TypeError:  # not all of them are texts
        return False


def fit_request_id(value: Any) -> str:
    """A request id: derived when it is too long, has other characters, or is a word of the API's paths."""
    text = value if isinstance(value, str) else _describe(value)
    if _REQUEST_ID.fullmatch(text) and text not in RESERVED_IDS:
        return text
    return derived_id(text)


def stored_request_id(value: str) -> str:
    """The id under which a call is looked for: its own, or the one that we gave it."""
    return value if _OURS.fullmatch(value) else fit_request_id(value)


def _describe(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - somebody else's __str__ may do anything
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
