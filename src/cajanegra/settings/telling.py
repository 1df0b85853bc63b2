"""The settings that are in force, as they may be shown: without the secrets that some of them hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from cajanegra.settings import Settings
from cajanegra.settings.sections import SECTIONS

HIDDEN = "***"
_SECRET_PATHS = frozenset({"alerts"})
"""Sections whose URLs are secrets beyond the host: whoever knows a webhook's path may use it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        section: as in the file.
        name: within the section; of a list, the name of the entry that it belongs to, or its number.
        value: in JSON's terms; passwords in it are masked.
        is_default: whether nobody has set it.
    """

    section: str
    name: str
    value: Any
    is_default: bool


def told(settings: Settings) -> Iterator[Setting]:
    """Every setting, in the order of the sections."""
    for section, kind in SECTIONS.items():
        value = getattr(settings, section)
        if isinstance(value, msgspec.Struct):
            usual = msgspec.convert({}, kind)
            for field in msgspec.structs.fields(value):
                own = getattr(value, field.name)
                yield _setting(section, field.name, own, is_default=own == getattr(usual, field.name))
        elif isinstance(value, tuple):
            for number, entry in enumerate(value):
                yield _setting(section, getattr(entry, "name", str(number)), entry, is_default=False)
        else:
            for name, entry in value.items():
                yield _setting(section, name, entry, is_default=False)


def _setting(section: str, name: str, value: Any, *, is_default: bool) -> Setting:
    plain = msgspec.to_builtins(value)
    return Setting(section, name, _masked(section, plain), is_default)


def _masked(section: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(section, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(section, part) for part in value]
    return _without_secrets(value, section) if isinstance(value, str) and "://" in value else value


def _without_secrets(url: str, section: str) -> str:
    """A URL without passwords; one that cannot be read is not shown at all."""
    try:
        parts = urlsplit(url)
        query = urlencode([(key, HIDDEN) for key, _value in parse_qsl(parts.query)], safe="*")
    except ValueError:
        return HIDDEN
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:{HIDDEN}@{host}" if ":" in user else f"{user}{at}{host}"
    path = f"/{HIDDEN}" if section in _SECRET_PATHS and parts.path.strip("/") else parts.path
    # Not put together by urlunsplit, which would take a slash from sqlite:////var/lib/calls.db
    return f"{parts.scheme}://{netloc}{path}{'?' + query if query else ''}"
