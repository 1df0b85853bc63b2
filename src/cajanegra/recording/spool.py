"""The spool: where an event is kept from the moment it happens until the database has it.

One spool belongs to one recorder in one process. Appending is the hot path: encode, and copy into a segment's
map, without a system call, without a lock, without giving up the interpreter. Everything slower (a segment is
full, the first event of all) happens once in a thousand times.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from cajanegra.domain.events import Begin, Carried, Event, Finish, Step
from cajanegra.recording import segment
from cajanegra.recording.frames import frame
from cajanegra.recording.segment import Segment
from cajanegra.recording.throttle import Throttle
from cajanegra.recording.track import Track, keep_losses, usage

logger = logging.getLogger("cajanegra")

SEGMENT_SIZE = 2**20
"""Bytes of a segment: some two thousand calls. Each recording process has two of them allocated."""
MAX_BYTES = 2**30
"""Bytes that the spool of one database may take by default."""
MEMORY_SEGMENTS = 64
"""Segments in memory, where no directory can be written."""

_OF_BEGUN_CALLS = (Step, Finish, Carried)
"""Events that may use the last of the room: half a call is worth less than none."""
_FEW = 4
"""Segments that a process has when its writer keeps up; those before them are read from their files."""

Fsync = Literal["never", "interval", "always"]
Position = int
"""A place in a track: the segment's number, times 2³², plus the place in the segment."""


def position(number: int, place: int) -> Position:
    """The position of a place in a segment."""
    return number << 32 | place


class Spool:
    """The events of one recorder, in the order in which they were appended.

    Args:
        directory: of its database; made when the first event comes.
        max_bytes: what all spools of that directory may take together. Beyond it no call is begun; the ends
            of calls already begun still are, for one segment more.
        fsync: ``always`` brings each event to the disk before ``append`` returns.
        segment_size: bytes of a segment.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = MAX_BYTES,
        fsync: Fsync = "never",
        segment_size: int = SEGMENT_SIZE,
    ) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self.dropped = 0
        """Events that could not be kept, by this process."""
        self.dropped_calls = 0
        """Calls among them."""
        self.on_append: Callable[[], None] | None = None
        """Called after each event while it is set: how a sleeping writer is woken."""
        self.segments: list[Segment] = []
        """Those that are not given back yet, oldest first; the last is being written."""
        self._segment_size = min(segment_size, max(max_bytes // 8, 2**16))
        self._syncs = fsync == "always"
        self._track: Track | None = None
        self._spare: Segment | None = None
        self._numbers = itertools.count(1)
        self._end: Position = 0
        self._full = False
        self._used = 0
        self._closed = False
        self._slow = threading.RLock()  # a host's log handler may record, too
        self._write: Callable[[bytes], int] = _no_room
        self._rolling = False
        self._meanwhile: list[bytes] = []
        self._said = Throttle()

    @property
    def track(self) -> Track | None:
        """Its track; ``None`` before the first event, and where no directory can be written."""
        return self._track

    @property
    def durable(self) -> bool:
        """Whether what is appended outlives the process."""
        return self._track is not None or not self.segments

    @property
    def end(self) -> Position:
        """Behind the last event."""
        with self._slow:
            if self.segments:
                last = self.segments[-1]
                self._end = position(last.number, last.end)
            return self._end

    @property
    def is_filling(self) -> bool:
        """Whether a quarter of what it may take waits for the database, or half of what all spools may."""
        own, size = len(self.segments), self._segment_size
        if self._track is None:
            return own > MEMORY_SEGMENTS // 4
        return own * size > self.max_bytes // 4 or (own > _FEW and self._used > self.max_bytes // 2)

    def bytes_behind(self, place: Position) -> int:
        """Bytes of the events behind a position."""
        number, within = place >> 32, place & 0xFFFF_FFFF
        return sum(
            one.end - (within if one.number == number else segment.START)
            for one in list(self.segments)
            if one.number >= number
        )

    def append(self, event: Event) -> bool:
        """Keep an event; whether there was room. Never raises; waits only with ``fsync = always``."""
        if self._full and not isinstance(event, _OF_BEGUN_CALLS):
            return self._refuse(event)
        data = frame(event)
        try:
            self._write(data)
        except ValueError:
            if not self._append_slowly(data, event):
                return self._refuse(event)
        if self._syncs:
            self._sync_now()
        if (wake := self.on_append) is not None:
            wake()
        return True

    def prepare(self) -> None:
        """Make the next segment before it is needed. Called by the writer's thread."""
        with suppress(OSError):  # tried again, and said, when it is needed
            if self._full:
                self._require_room(self._segment_size, room=2)
                self._full = False
            if self._spare is None and self.segments:
                self._offer(self._new(self._segment_size, room=2))

    def _offer(self, spare: Segment) -> None:
        with self._slow:
            if self._closed or self._spare is not None or spare.number < self.segments[-1].number:
                spare.remove()
            else:
                self._spare = spare

    def sync(self) -> None:
        """Bring what was appended to the disk. Called by the writer's thread for ``fsync = interval``."""
        for one in list(self.segments):
            with suppress(OSError, ValueError):
                one.sync()

    def give_back(self, number: int) -> None:
        """Delete the segments before this one: nothing in them is needed any more."""
        with self._slow:
            done = [one for one in self.segments[:-1] if one.number < number]
            self.segments = [one for one in self.segments if one not in done]
        for one in done:
            self._remove(one)

    def close(self) -> None:
        """Take no more events. What was appended stays until ``discard`` or for whoever adopts it."""
        with self._slow:
            self._closed = True
            self._write = _no_room
            if self.segments:
                self.segments[-1].seal()
                self._end = position(self.segments[-1].number, self.segments[-1].end)
            if self._spare is not None:
                self._spare.remove()
                self._spare = None

    def leave(self) -> None:
        """After ``close``: let somebody adopt what is left."""
        for one in self.segments:
            one.close()
        if self._track is not None:
            self._track.leave()

    def discard(self) -> None:
        """After ``close``: everything is in the database."""
        for one in self.segments:
            self._remove(one)
        self.segments = []
        if self._track is not None:
            try:
                keep_losses(self.directory, self._track.state)
                self._track.remove()
            except OSError as error:
                self._say(f"the spool {self.directory} cannot be tidied: {error.strerror or error}")

    def forget(self) -> None:
        """In a forked child: the spool is the parent's, and so is its lock."""
        self._closed = True
        self._write = _no_room
        for one in (*self.segments, *([self._spare] if self._spare else [])):
            one.close()
        if self._track is not None:
            self._track.forget()

    def _remove(self, one: Segment) -> None:
        try:
            one.remove()
        except OSError as error:
            self._say(f"a segment of the spool cannot be deleted: {error.strerror or error}")

    def _say(self, what: str) -> None:
        if self._said.due():
            logger.error(what)

    def _append_slowly(self, data: bytes, event: Event) -> bool:
        with self._slow:
            if self._rolling:
                # A finalizer or a signal handler of this very thread, in the middle of making room.
                self._meanwhile.append(data)
                return True
            self._rolling = True
            try:
                while not self._closed:
                    try:
                        self._write(data)
                    except ValueError:
                        if not self._roll(len(data), event):
                            return False
                        continue
                    return True
                return False
            finally:
                self._rolling = False
                self._append_meanwhile(event)

    def _append_meanwhile(self, event: Event) -> None:
        while self._meanwhile:
            data = self._meanwhile.pop(0)
            if not self._append_slowly(data, event):
                self.dropped += 1

    def _roll(self, needed: int, event: Event) -> bool:
        """Go on in a new segment in which so many bytes have room."""
        is_end = isinstance(event, _OF_BEGUN_CALLS)
        size = max(self._segment_size, needed + segment.START)
        try:
            if self._track is None and not self.segments:
                self._open()
            new = self._spare
            if new is None or new.size < size:
                new = self._new(size, room=1 if is_end else 2)
                if self._spare is not None:  # it is too small, and too old to come behind
                    self._remove(self._spare)
        except OSError as error:
            if not is_end and size == self._segment_size:
                self._full = True
            self._say(f"calls are not recorded: the spool cannot grow: {error.strerror or error}")
            return False
        self._spare = None
        self._write = new.write
        self.segments.append(new)
        for one in self.segments[:-1]:
            one.seal()
        for one in self.segments[-2 * _FEW : -_FEW]:  # those before are, or are being read
            one.release()
        self._said.reset()
        return True

    def _open(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._track = Track.create(self.directory)
        except OSError as error:
            logger.error(  # noqa: TRY400 - the trace says nothing more
                "calls are kept in memory only, and would be lost if this process were killed: the spool's "
                "directory %s cannot be written: %s; set [spool] dir",
                self.directory,
                error.strerror or error,
            )

    def _new(self, size: int, *, room: int) -> Segment:
        """A new segment, with a number of its own, if behind it there is room for ``room - 1`` more.

        Raises:
            OSError: there is no room.
        """
        self._require_room(size, room)
        number = next(self._numbers)
        if self._track is None:
            return segment.in_memory(number, size)
        return segment.create(self._track.path_of(number), number, size)

    def _require_room(self, size: int, room: int) -> None:
        if self._track is None:
            if len(self.segments) + room > MEMORY_SEGMENTS:
                raise OSError(None, "the memory that it may take is used up")
            return
        self._used = usage(self.directory)
        if self._used + room * size > self.max_bytes:
            raise OSError(None, f"it may take {self.max_bytes:,} bytes ([spool] max_bytes)")

    def _refuse(self, event: Event) -> bool:
        if isinstance(event, Carried):  # it stays where it is
            return False
        calls = int(isinstance(event, Begin))
        with self._slow:
            self.dropped += 1
            self.dropped_calls += calls
            if self._track is not None and not self._closed:
                self._track.count_dropped(calls=calls, events=1 - calls)
        if (wake := self.on_append) is not None:
            wake()
        return False

    def _sync_now(self) -> None:
        try:
            for one in self.segments[-2:]:  # another thread may have gone on to the next one meanwhile
                one.sync()
        except (OSError, ValueError) as error:
            self._say(f"an event could not be brought to the disk: {error}")


def _no_room(_data: bytes) -> int:
    raise ValueError
