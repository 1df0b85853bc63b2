"""Makes sections of values, or says in the user's words what is wrong with them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, get_args, get_type_hints

import msgspec

from cajanegra.errors import SettingsError
from cajanegra.settings.sections import IN_LISTS

_HINTS = {
    "[a-z0-9_-]{1,20}": "a provider's name is 1 to 20 of a-z, 0-9, _ and -",
    "[a-z0-9_-]{1,40}": "a pattern's name is 1 to 40 of a-z, 0-9, _ and -",
    "[A-Za-z0-9_.-]{1,40}": "a name is 1 to 40 letters, digits, _, . and -",
    "^[a-z][a-z0-9_]{0,39}$": "a service is named as any-llm names it, such as 'anthropic'",
    "^https?://[^/]+$": "an origin is a scheme and a host without a path: https://tools.example.com",
    "^(https?://": "must be a URL that begins with http:// or https://",
    "[a-z0-9_]{1,60}": "the name of a pattern is 1 to 60 of a-z, 0-9 and _",
}
"""What a value must look like, in words where the rule is a regular expression."""


def convert(name: str, kind: Any, value: Any) -> Any:
    """The section of that name, or its defaults where no value is given.

    Raises:
        SettingsError: a name in it is unknown, or a value malformed.
    """
    if value is None:
        value = [] if name == "providers" else {}
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(name, kind, str(error))) from None


def _explain(name: str, kind: Any, message: str) -> str:
    reason, _, path = message.partition(" - at `$")
    setting = name + path.rstrip("`")
    if "invalid enum value" in reason.lower():
        return f"{setting}: {reason.lower()}; choose one of {_choices(kind, setting)}"
    unknown = re.search(r"unknown field `(.+)`", reason)
    if unknown:
        struct = _struct(kind, setting)
        return f"{setting}.{unknown[1]} is not a setting{suggestion(unknown[1], struct.__struct_fields__)}"
    for pattern, hint in _HINTS.items():
        if pattern in reason:
            return f"{setting}: {hint}"
    return f"{setting}: {reason[:1].lower()}{reason[1:]}"


def _choices(kind: Any, setting: str) -> str:
    field = get_type_hints(_struct(kind, setting))[setting.rpartition(".")[2]]
    return ", ".join(_values(field))


def _struct(kind: Any, setting: str) -> Any:
    """The struct in which a setting stands."""
    return IN_LISTS[setting.partition("[")[0]] if "[" in setting else kind


def _values(kind: Any) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        yield from kind
    for part in get_args(kind):
        if isinstance(part, str):
            yield part
        else:
            yield from _values(part)


def require_known(name: str, known: Mapping[str, Any], what: str) -> None:
    """Let a name pass that is known.

    Raises:
        SettingsError: it is not; the nearest one is suggested.
    """
    if name not in known:
        raise SettingsError(f"{name!r} is not a {what} of the settings{suggestion(name, known)}")


def suggestion(name: str, known: Any) -> str:
    """The known name that is nearest, or all of them, to be put behind what is wrong."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there is: {', '.join(known)}"
