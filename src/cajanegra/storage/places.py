"""Cursors: where in a list somebody is, as an opaque text.

A cursor says no more than a place: whose calls are shown follows from scope and filters of the request
that brings it, each time anew. A forged one leads to another place of the same list, and never to more; so it
needs no secret, which the processes and hosts that serve one list would have to share. It holds nothing that
depends on other tenants' calls: a time and the request id that the asker knows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

from cajanegra.errors import UsageError
from cajanegra.storage.filters import CallFilter

Direction = Literal["older", "newer"]

_DIRECTIONS: tuple[Direction, Direction] = ("older", "newer")
_UNBOUND = ("since", "until")
"""Filters that are often reckoned from the present time, and then differ from page to page."""
_MAX_SIZE = 1_000
_MAX_STEP = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two entries of a list of calls.

    Attributes:
        direction: which way the page goes from there.
        at: when the call there was begun, UTC without a zone; ``None`` among the calls without a time.
        request_id: the call's, as its tenant knows it; empty before all calls of the moment.
        step: number of a recovery step of the call, in a list of steps.
    """

    direction: Direction
    at: datetime | None
    request_id: str
    step: int = 0


def encode(place: Place, where: CallFilter, kind: str) -> str:
    """The cursor for a place in the list of this kind with these filters."""
    at = place.at.isoformat() if place.at else None
    told = [_list_of(where, kind), place.direction[0], at, place.request_id, place.step]
    text = json.dumps(told, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, where: CallFilter, kind: str) -> Place:
    """The place that a cursor means.

    Raises:
        UsageError: it was not given out, or for a list with other filters.
    """
    try:
        padded = cursor[:_MAX_SIZE].encode() + b"=" * (-len(cursor) % 4)
        of, way, at, request_id, step = json.loads(base64.b64decode(padded, b"-_", validate=True))
        moment = None if at is None else datetime.fromisoformat(at).replace(tzinfo=None)
        direction = next(name for name in _DIRECTIONS if name[0] == way)
        place = Place(direction, moment, _text(request_id), _whole(step))
    except (ValueError, TypeError, StopIteration, RecursionError, binascii.Error):
        raise UsageError("the cursor is not one that was given out; begin again without it") from None
    if of != _list_of(where, kind):
        raise UsageError("the cursor belongs to a list with other filters; begin again without it")
    return place


def _text(value: object) -> str:
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError
    value.encode()  # a lone surrogate is an error
    return value


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_STEP:
        raise ValueError
    return value


def _list_of(where: CallFilter, kind: str) -> str:
    told = [
        kind,
        *(repr(getattr(where, field.name)) for field in fields(where) if field.name not in _UNBOUND),
    ]
    return hashlib.sha256("\x1f".join(told).encode("utf-8", "surrogatepass")).hexdigest()[:12]
