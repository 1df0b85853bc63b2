"""How much waits in a spool, and since when, without reading all of it: for health checks and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cajanegra.domain.events import Begin, Feedback, Finish, Step
from cajanegra.recording import segment
from cajanegra.recording import track as tracks
from cajanegra.recording.frames import Damage, Frame, decode, frames
from cajanegra.recording.quarantine import NAME, REFUSED

_WRITTEN = 2
"""Segments at a track's end that may not be full: the one being written, and a spare behind it."""
_AT_ONCE = 512
_DATED = (Begin, Step, Finish, Feedback)
"""Events whose time is when they were noted; others repeat what happened earlier."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for the database, of all processes that share a spool.

    Attributes:
        bytes: of events that are not in the database; full segments count as a whole.
        oldest_at: when the oldest of them was noted, in Unix time (seconds); ``None`` where there is none.
        dropped_calls: calls that had no room, since the spool was made.
        dropped_events: other events that had none.
        lost_contents: texts that were not masked yet when their process died.
        quarantined_records: records that the database refused, and that are kept.
    """

    bytes: int
    oldest_at: float | None
    dropped_calls: int
    dropped_events: int
    lost_contents: int
    quarantined_records: int


def look(directory: Path) -> Backlog:
    """What waits in a spool. Changes nothing, and needs no database.

    Raises:
        OSError: the directory cannot be read.
    """
    waiting, oldest = 0, None
    gone = tracks.losses(directory)
    calls, events = gone.calls, gone.events
    for name in tracks.names(directory):
        state, _alive = tracks.look(directory, name)
        calls += state.dropped_calls
        events += state.dropped_events
        size, since = _waiting(directory, name, state.done)
        waiting += size
        oldest = since if oldest is None else min(oldest, since or oldest)
    return Backlog(waiting, oldest, calls, events, gone.contents, _refused(directory))


def _waiting(directory: Path, name: str, done: int) -> tuple[int, float | None]:
    """Bytes of a track behind a position, and when the first event there was noted."""
    number, place = done >> 32, done & 0xFFFF_FFFF
    paths = [path for path in tracks.segments(directory, name) if segment.number_of(path) >= number]
    size, since = 0, None
    for index, path in enumerate(paths):
        start = place if segment.number_of(path) == number else segment.START
        is_written = index >= len(paths) - _WRITTEN
        try:
            found, at = _rest(path, start, to_its_end=is_written)
        except (OSError, ValueError):  # drained meanwhile
            continue
        size += found
        since = at if since is None else since
    return size, since


def _rest(path: Path, start: int, *, to_its_end: bool) -> tuple[int, float | None]:
    data = segment.read(path)
    if len(data) <= start or data[: segment.START] != segment.MAGIC:
        return 0, None
    at, place = None, start
    while found := frames(data, place, len(data), most=_AT_ONCE, growing=True):
        place = found[-1][1]
        at = at or _first_time(found)
        if not to_its_end:
            return len(data) - start, at
    return place - start, at


def _first_time(found: list[Frame | Damage]) -> float | None:
    for one in found:
        if isinstance(one, Damage):
            continue
        (event,) = decode([one[0]])
        if isinstance(event, _DATED):
            return event.at
    return None


def _refused(directory: Path) -> int:
    try:
        with (directory / NAME / REFUSED).open("rb") as lines:
            return sum(1 for _line in lines)
    except FileNotFoundError:
        return 0
