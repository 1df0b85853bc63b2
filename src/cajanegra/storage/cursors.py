"""Cursors: where a page of a list ended, as a text that can be handed out."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from cajanegra.errors import UsageError


def encode(place: Sequence[Any]) -> str:
    """A place in a list as a cursor; its parts are numbers, texts, or ``None``."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def decode(cursor: str, *kinds: type | tuple[type, ...]) -> list[Any]:
    """The place that a cursor stands for.

    Args:
        cursor: what ``encode`` gave.
        kinds: the types that its parts must have.

    Raises:
        UsageError: it is not one that was given out for such a list.
    """
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError, binascii.Error):
        place = None
    if not isinstance(place, list) or len(place) != len(kinds) or not all(map(isinstance, place, kinds)):
        raise UsageError("the cursor is not one that was given out; begin again without it")
    return place
