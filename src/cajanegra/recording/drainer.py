"""Drains by hand what dead processes have left in a spool, and tells what there is in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cajanegra.domain.record import Record
from cajanegra.ports import CallStore
from cajanegra.recording import track as tracks
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.delivery import Delivery
from cajanegra.recording.draining import Orphans
from cajanegra.recording.frames import Damage, UnreadableError
from cajanegra.recording.pace import Pace
from cajanegra.recording.pipeline import Pipeline
from cajanegra.recording.quarantine import Quarantine, refused_in
from cajanegra.recording.reading import read_segment
from cajanegra.recording.track import Losses


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did.

    Attributes:
        tracks: dead processes' tracks that are in the database and gone from the spool.
        calls: calls that the database has now and had not before.
        refused: records that the database refused and that are in quarantine.
        lost: records that were refused and are not in quarantine either.
        unreadable: events that could not be read; their segments are in quarantine.
        left: tracks of dead processes that are still there, since the database could not be reached.
        alive: tracks of living processes, which drain them themselves.
    """

    tracks: int
    calls: int
    refused: int
    lost: int
    unreadable: int
    left: int
    alive: int


@dataclass(frozen=True, slots=True)
class TrackReport:
    """One track in the spool.

    Attributes:
        name: of its files.
        pid: process that made it, in its own container's numbering; 0 where nobody knows.
        started_at: seconds since the Unix epoch.
        alive: whether its process lives.
        events: events that are not known to be in the database.
        bytes: bytes of its files.
        dropped_calls: calls that were refused for want of room.
        dropped_events: other events that were.
        pending_contents: texts that are being masked, or were when the process died.
    """

    name: str
    pid: int
    started_at: float
    alive: bool
    events: int
    bytes: int
    dropped_calls: int
    dropped_events: int
    pending_contents: int


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """What is in the spool of one database.

    Attributes:
        directory: where it is.
        bytes: what its files take.
        tracks: what each process has there.
        lost: what tracks that are gone could not keep.
        quarantined_records: records that the database refused.
        quarantined_segments: segments that were damaged.
    """

    directory: str
    bytes: int
    tracks: list[TrackReport]
    lost: Losses
    quarantined_records: int
    quarantined_segments: int

    @property
    def events(self) -> int:
        """Events that are not known to be in the database."""
        return sum(track.events for track in self.tracks)

    @property
    def dropped_calls(self) -> int:
        """Calls that were refused for want of room, by all processes since the spool was made."""
        return self.lost.calls + sum(track.dropped_calls for track in self.tracks)

    @property
    def dropped_events(self) -> int:
        """Other events that were."""
        return self.lost.events + sum(track.dropped_events for track in self.tracks)


class Drainer:
    """The spool of one database, seen from outside.

    Args:
        directory: of the database.
        open_store: opens the store.
        new_assembler: makes records of the events of one track.
        wait: waits between two tries of a database that is away.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        directory: Path,
        open_store: Callable[[], CallStore],
        new_assembler: Callable[[], Assembler],
        *,
        wait: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._open_store = open_store
        self._new_assembler = new_assembler
        self._quarantine = Quarantine(directory)
        self._wait = wait
        self._clock = clock

    def drain(self, *, timeout: float, quarantined: bool = False) -> Drained:
        """Bring the tracks of dead processes to the database.

        Args:
            timeout: seconds to go on trying a database that is away.
            quarantined: try again what the database refused earlier.

        Raises:
            OSError: the directory cannot be read or written.
        """
        delivery = Delivery(self._set_aside, self._wait)
        delivery.give_up_in(timeout)
        pipeline = Pipeline(self._open_store, delivery, Pace(urgent=lambda: True))
        orphans = Orphans(self._directory, self._new_assembler, pipeline, self._quarantine, self._clock)
        try:
            if quarantined:
                with self._quarantine.alone() as alone:
                    if alone:
                        self._try_again(pipeline)
            for _batch in orphans.drain():
                pass
        finally:
            pipeline.close()
        alive = [tracks.look(self._directory, name)[1] for name in tracks.names(self._directory)]
        return Drained(
            orphans.adopted,
            delivery.written,
            delivery.refused,
            delivery.lost,
            orphans.counts.unreadable,
            len(alive) - sum(alive),
            sum(alive),
        )

    def report(self) -> SpoolReport:
        """What is in the spool. Changes nothing, needs no database.

        Raises:
            OSError: the directory cannot be read.
        """
        directory = self._directory
        return SpoolReport(
            str(directory),
            tracks.usage(directory) if directory.is_dir() else 0,
            [self._report(name) for name in tracks.names(directory)],
            tracks.losses(directory),
            sum(1 for _record in refused_in(self._quarantine.refused)),
            len(self._quarantine.segments()),
        )

    def _report(self, name: str) -> TrackReport:
        state, alive = tracks.look(self._directory, name)
        events = size = 0
        for path in tracks.segments(self._directory, name):
            try:
                size += path.stat().st_size
                for found in read_segment(path):
                    events += sum(not isinstance(one, Damage) and one[0] > state.done for one in found)
            except (OSError, UnreadableError):  # gone meanwhile, or damaged: draining will tell
                continue
        return TrackReport(
            name,
            state.pid,
            state.started_at,
            alive,
            events,
            size,
            state.dropped_calls,
            state.dropped_events,
            state.pending_contents,
        )

    def _set_aside(self, record: Record, why: str) -> bool:
        return self._quarantine.keep_record(record, why, self._clock())

    def _try_again(self, pipeline: Pipeline) -> None:
        """Write what was refused; what is refused again is kept again."""
        taken = self._quarantine.take_refused()
        if taken is None:
            return
        records = [record for entry in refused_in(taken) if (record := entry.restored()) is not None]
        written = threading.Event()
        pipeline.send("", [records], written.set)
        pipeline.settle()
        if written.is_set():
            taken.unlink()
        else:
            self._quarantine.put_back(taken)
