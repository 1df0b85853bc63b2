"""Whatever the host passes, as plain values of our own that can be kept and encoded. Nothing here raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_MAX_DEPTH = 12
_MOST = 2**63
_MAX_DESCRIPTION = 500
"""Characters kept of an object that has no form in JSON."""


def text(value: Any) -> str | None:
    """A string; ``None`` stays ``None``."""
    if value is None or type(value) is str:
        return value
    try:
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 - somebody else's ``__str__``
        return f"<{type(value).__name__}>"


def number(value: Any) -> float | int | None:
    """A number of at most 64 bits, or ``None`` for what is none."""
    if value is None or type(value) is float or (type(value) is int and -_MOST <= value < _MOST):
        return value
    try:
        found = int(value) if isinstance(value, int) else float(value)
    except Exception:  # noqa: BLE001 - somebody else's ``__float__``
        return None
    return found if isinstance(found, float) or -_MOST <= found < _MOST else None


def whole(value: Any) -> int | None:
    """A whole number, or ``None`` for what is none."""
    if value is None or (type(value) is int and -_MOST <= value < _MOST):
        return value
    found = number(value)
    try:
        return number(round(found)) if found is not None else None  # type: ignore[return-value]  # whole stays whole
    except (ValueError, OverflowError):  # NaN, infinity
        return None


def json(value: Any) -> Any:
    """A copy in JSON's types, which later changes of the original do not reach."""
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=_describe)
    except Exception:  # noqa: BLE001 - strange keys, endless nesting, somebody else's objects
        return _walk(value, _MAX_DEPTH)


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object; anything else becomes one with the key ``value``."""
    if value is None:
        return {}
    copy = json(value)
    return copy if isinstance(copy, dict) else {"value": copy}


def _describe(value: Any) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return dict(value)
    return (text(value) or "")[:_MAX_DESCRIPTION]


def _walk(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    if depth == 0:
        return "..."
    try:
        if isinstance(value, Mapping):
            return {text(key) or "": _walk(item, depth - 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_walk(item, depth - 1) for item in value]
    except Exception:  # noqa: BLE001 - a mapping of somebody else's, or one that changes meanwhile
        return f"<{type(value).__name__}>"
    return (text(value) or "")[:_MAX_DESCRIPTION]
