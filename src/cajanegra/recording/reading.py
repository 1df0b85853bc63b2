"""Reads events out of segments: those of the own spool while they are written, and those of the dead."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cajanegra.domain.events import Event
from cajanegra.recording import segment
from cajanegra.recording.frames import Damage, Frame, UnreadableError, decode, frames
from cajanegra.recording.segment import Segment
from cajanegra.recording.spool import Position, Spool, position
from cajanegra.recording.throttle import Throttle

logger = logging.getLogger("cajanegra")

_AT_ONCE = 512
"""Events decoded at once."""


Entry = tuple[Position, Event | None]
"""The position behind an event, and the event; ``None`` stands for one that cannot be read."""


class SpoolReader:
    """Reads a spool from its beginning, behind those who append to it."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._said = Throttle()
        self._number = 0
        self._place = segment.START

    @property
    def position(self) -> Position:
        """How far it has come."""
        return position(self._number, self._place) if self._number else 0

    def take(self, most: int) -> list[Entry]:
        """Up to so many of the events that were appended since the last time."""
        entries: list[Entry] = []
        while current := self._current():
            sealed = current.sealed  # asked first: what is sealed before it is read is read to its end
            take = partial(
                frames, start=self._place, end=current.size, most=most - len(entries), growing=True
            )
            try:
                found = current.read(take)
            except FileNotFoundError:  # somebody has deleted it
                entries.append((position(current.number, current.end), None))
                if not self._go_on_from(current):
                    break
                continue
            except OSError as error:
                if self._said.due():
                    logger.warning("the spool cannot be read now: %s", error.strerror or error)
                break
            entries += _decoded(found, current.number)  # type: ignore[arg-type]  # no damage while it grows
            if found:
                self._place = found[-1][1]
            if len(entries) >= most or not sealed or not self._go_on_from(current):
                break
        return entries

    def _current(self) -> Segment | None:
        for one in self._spool.segments:
            if one.number >= self._number:
                if one.number > self._number:
                    self._number, self._place = one.number, segment.START
                return one
        return None

    def _go_on_from(self, current: Segment) -> bool:
        if self._spool.segments[-1].number <= self._number:
            return False
        current.release()
        self._number, self._place = self._number + 1, segment.START
        return True


def read_segment(path: Path, most: int = _AT_ONCE) -> Iterator[list[Entry | Damage]]:
    """The events of a segment whose owner is dead, and the damage between them; up to so many at once.

    Raises:
        OSError: the file cannot be read.
        UnreadableError: it is no segment of this version.
    """
    number = segment.number_of(path)
    data = segment.read(path)
    if len(data) < segment.START or not bytes(data[: segment.START]).strip(b"\0"):
        return  # its owner died while making it
    if data[: segment.START] != segment.MAGIC:
        raise UnreadableError("it does not begin as a segment of this version does")
    place = segment.START
    while found := frames(data, place, len(data), most=most):
        place = found[-1][1]
        yield _decoded(found, number)


def _decoded(found: list[Frame | Damage], number: int) -> list[Entry | Damage]:
    before = number << 32
    whole = [one for one in found if type(one) is not Damage]
    events = decode([payload for payload, _end in whole])  # type: ignore[misc]  # a frame's first is bytes
    entries: list[Entry | Damage] = [
        (before | end, event) for (_payload, end), event in zip(whole, events, strict=True)
    ]
    if len(whole) < len(found):
        for place, one in enumerate(found):
            if type(one) is Damage:
                entries.insert(place, one)
    return entries
