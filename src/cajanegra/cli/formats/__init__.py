"""Formats in which somebody else writes down calls; each is a module, which makes items of its objects.

An item is what ``recording.items`` reads. A new format is a new module, named in ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cajanegra.cli.formats import cajanegra, litellm, openai

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """How one program writes down calls.

    Attributes:
        recognises: whether an object with these names may be one of its calls.
        item: makes an item of an object.
        names_tenants: whether its objects say whose they are in our sense; else a tenant that is asked for
            takes the place of what they say.
    """

    recognises: Callable[[Collection[str]], bool]
    item: Callable[[Fields], dict[str, Any]]
    names_tenants: bool = True


FORMATS: Mapping[str, Format] = {
    "cajanegra": Format(cajanegra.recognises, cajanegra.item),
    "litellm": Format(litellm.recognises, litellm.item, names_tenants=False),
    "openai": Format(openai.recognises, openai.item),
}
"""By name; the first that recognises an object is taken."""


def recognised(names: Collection[str]) -> Format | None:
    """The format of an object with these names."""
    return next((known for known in FORMATS.values() if known.recognises(names)), None)
