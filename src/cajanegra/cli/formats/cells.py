"""What was meant by the values that stand in somebody's cells."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def decoded(value: Any) -> Any:
    """The JSON that stands in a text, where there is an object or a list in it; else the value itself."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def whole(value: Any) -> int | None:
    """A whole number, also one that stands in a text."""
    try:
        return msgspec.convert(value, int | None, strict=False)
    except msgspec.ValidationError:
        return None


def first(fields: Any, *names: str) -> Any:
    """The first of the values with these names that says anything; ``None`` where none does."""
    if not isinstance(fields, dict):
        return None
    return next((fields[name] for name in names if fields.get(name) not in (None, "", {}, [])), None)


def text(value: Any) -> str | None:
    """A text or a number as a text; ``None`` for anything else and for the empty text."""
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return str(value) or None
    return None
