"""From a track's events to records on their way to the database, for the living and for the dead."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cajanegra.domain.record import Record
from cajanegra.recording import track as tracks
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.frames import Damage, UnreadableError
from cajanegra.recording.pipeline import Pipeline
from cajanegra.recording.quarantine import Quarantine
from cajanegra.recording.reading import Entry, SpoolReader, read_segment
from cajanegra.recording.spool import Spool
from cajanegra.recording.track import Track

logger = logging.getLogger("cajanegra")

BATCH = 2_000
"""Records written in one transaction."""
BATCH_EVENTS = 8_000
"""Events read for one transaction: where few calls end, it is not held up for long."""
BATCH_BYTES = 2**23
"""Bytes of events read for one transaction: captured content may be large."""
CARRY_AFTER = 4
"""Segments after which a call that is still open is noted again, so that its own can be given back."""

_PLACE = 0xFFFF_FFFF
"""The part of a position that is a place in its segment."""
_Chunk = tuple[list[Record], int]
"""Records, and the bytes of the events that they were made of."""


@dataclass(slots=True)
class Counts:
    """What went wrong with events."""

    unreadable: int = 0
    """Events that could not be read, and pieces of damaged segments."""


class OwnTrack:
    """Drains a spool while it is written.

    Args:
        spool: the events.
        assembler: makes records of them.
    """

    def __init__(self, spool: Spool, assembler: Assembler) -> None:
        self.counts = Counts()
        self._spool = spool
        self._assembler = assembler
        self._reader = SpoolReader(spool)
        self.has_caught_up = False
        """Whether the last batch took all that there was."""
        self.taken = 0
        """Records of the last batch."""
        self._carry_from = 0

    def get_ready(self) -> None:
        """See ``Assembler.get_ready``."""
        self._assembler.get_ready()

    @property
    def position(self) -> int:
        """How far the spool has been read."""
        return self._reader.position

    def batch(self, piece: int) -> Iterator[list[Record]]:
        """The records that are complete by now, for one transaction, in chunks of so many events."""
        records = events = size = 0
        while events < BATCH_EVENTS and records < BATCH and size < BATCH_BYTES:
            before = self._reader.position
            if not (entries := self._reader.take(piece)):
                break
            size += max(self._reader.position - before, 0) & _PLACE
            chunk = assembled(self._assembler, entries, self.counts)
            events += len(entries)
            records += len(chunk)
            yield chunk
        self.taken = records
        self.has_caught_up = events < BATCH_EVENTS and records < BATCH and size < BATCH_BYTES

    def reached(self) -> tuple[int, int]:
        """How far the last batch went, and the first segment of which something is needed still."""
        at = self._reader.position
        if self.has_caught_up and at >> 32 >= self._carry_from:
            self._assembler.carry((at >> 32) - CARRY_AFTER << 32, at, self._spool.append)
            # What was noted again is not to be noted again before others have appended twice as much.
            end = self._spool.end >> 32
            self._carry_from = end + 2 * (end - (at >> 32))
        oldest = self._assembler.oldest
        return at, (at if oldest is None else oldest) >> 32

    def interrupted(self, at: float) -> Iterator[list[Record]]:
        """The records of the calls that are still open, for one transaction."""
        yield [*self._assembler.interrupt_all(at)]


class Orphans:
    """The tracks of dead processes in a spool's directory.

    Args:
        directory: of one database.
        new_assembler: makes an assembler for one track.
        pipeline: writes the records.
        quarantine: keeps damaged segments.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        directory: Path,
        new_assembler: Callable[[], Assembler],
        pipeline: Pipeline,
        quarantine: Quarantine,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counts = Counts()
        self.adopted = 0
        """Tracks that are in the database and gone from the spool."""
        self._directory = directory
        self._new_assembler = new_assembler
        self._pipeline = pipeline
        self._quarantine = quarantine
        self._clock = clock

    def drain(self) -> Iterator[None]:
        """Bring the tracks of the dead to the database; yields between batches.

        Raises:
            OSError: the directory cannot be read.
        """
        for name in tracks.names(self._directory):
            if self._pipeline.stopped:
                return
            try:
                yield from self._adopt(name)
            except OSError as error:
                logger.warning("the track %s cannot be drained now: %s", name, error.strerror or error)

    def _adopt(self, name: str) -> Iterator[None]:
        track = Track.adopt(self._directory, name)
        if track is not None:
            try:
                yield from self._drain(track)
            finally:
                track.leave()

    def _drain(self, track: Track) -> Iterator[None]:
        assembler = self._new_assembler()
        damaged: dict[Path, str] = {}
        chunks = self._chunks(track, assembler, damaged)
        for first in chunks:
            self._pipeline.send(track.name, _one_batch(itertools.chain([first], chunks)), _nothing)
            if self._pipeline.stopped:
                return
            yield
        finished = threading.Event()
        self._pipeline.send(track.name, [], finished.set)
        self._pipeline.settle()
        if finished.is_set():
            self._clear(track, damaged)

    def _chunks(self, track: Track, assembler: Assembler, damaged: dict[Path, str]) -> Iterator[_Chunk]:
        """The records of a track; at last those of the calls that it leaves open."""
        for path in track.segments():
            begin = 0
            try:
                for entries in self._entries(path, damaged):
                    end = entries[-1][0] & _PLACE if entries else begin
                    yield assembled(assembler, entries, self.counts), end - begin
                    begin = end
            except UnreadableError as error:
                damaged[path] = str(error)
        open_calls: Iterator[Record] = assembler.interrupt_all(self._clock())
        while interrupted := [*itertools.islice(open_calls, self._pipeline.piece)]:
            yield interrupted, 0

    def _entries(self, path: Path, damaged: dict[Path, str]) -> Iterator[list[Entry]]:
        for found in read_segment(path, self._pipeline.piece):
            entries: list[Entry] = []
            for one in found:
                if isinstance(one, Damage):
                    damaged[path] = f"bytes {one.start} to {one.end} are no events"
                    self.counts.unreadable += 1
                    continue
                if one[1] is None:
                    damaged[path] = "an event is of a kind that this version does not know"
                entries.append(one)
            yield entries

    def _clear(self, track: Track, damaged: dict[Path, str]) -> None:
        for path in track.segments():
            if path in damaged:
                self._quarantine.keep_segment(path, damaged[path])
            else:
                path.unlink(missing_ok=True)
        tracks.keep_losses(self._directory, track.state)
        track.remove()
        self._pipeline.forget(track.name)
        self.adopted += 1


def assembled(assembler: Assembler, entries: list[Entry], counts: Counts) -> list[Record]:
    """The records that events complete; an event that makes no sense is counted."""
    records: list[Record] = []
    add = assembler.add
    for position, event in entries:
        if event is None:
            counts.unreadable += 1
            continue
        try:
            if completed := add(event, position):
                records += completed
        except Exception as error:  # noqa: BLE001 - one strange event must not end the recording of all others
            counts.unreadable += 1
            logger.error("an event makes no sense and is left out: %s", type(error).__name__)  # noqa: TRY400
    return records


def _one_batch(chunks: Iterator[_Chunk]) -> Iterator[list[Record]]:
    """Chunks for one transaction."""
    records = size = 0
    for chunk, bytes_read in chunks:
        yield chunk
        records += len(chunk)
        size += bytes_read
        if records >= BATCH or size >= BATCH_BYTES:
            return


def _nothing() -> None:
    """Nobody waits for this batch alone."""
