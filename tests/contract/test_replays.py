"""Whatever happens between an event and its row, the tables are those that the events alone give."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.analysis.patterns import PatternBook
from cajanegra.domain.events import Begin, Event, Feedback, Finish, Step, Trigger
from cajanegra.domain.record import Batch
from cajanegra.errors import StorageError
from cajanegra.models import Base
from cajanegra.ports import CallStore, GiveWay, Prepared
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.drainer import Drainer
from cajanegra.recording.draining import OwnTrack
from cajanegra.recording.spool import Spool
from cajanegra.storage.database import Database
from cajanegra.storage.writes import Store

NOW = 1_764_000_000.0
PROCESSES = 2
SEGMENT = 200
"""Bytes of a segment: one or two events, so that every track has many."""
KINDS = ("timeout", "rate_limit")


@dataclass(frozen=True)
class Happens:
    """An event of a call in a process, a process that writes, its death, or a drain whose database fails."""

    what: str
    process: int = 0
    call: int = 0
    kind: str = "timeout"
    faults: tuple[str, ...] = ()


processes, calls, kinds = st.integers(0, PROCESSES - 1), st.integers(0, 3), st.sampled_from(KINDS)
happenings = st.lists(
    st.one_of(
        st.builds(Happens, st.just("begin"), processes, calls),
        st.builds(
            Happens, st.sampled_from(["step", "step", "step", "finish", "fail"]), processes, calls, kinds
        ),
        st.builds(Happens, st.just("feedback"), processes, calls),
        st.builds(Happens, st.sampled_from(["write", "write", "die"]), processes),
        st.builds(
            Happens,
            st.just("drain"),
            faults=st.lists(st.sampled_from(["before", "after", "no"]), max_size=3).map(tuple),
        ),
    ),
    max_size=60,
)


class FaultyStore:
    """A store that fails before it has written, or after: the writer is not told that its batch is there."""

    def __init__(self, store: CallStore, faults: Sequence[str]) -> None:
        self._store = store
        self._faults = list(faults)

    def prepare(self, batch: Any) -> Prepared:
        return self._store.prepare(batch)

    def write(self, parts: Iterable[Prepared], track: str = "") -> int:
        fault = self._faults.pop(0) if self._faults else "no"
        if fault == "before":
            raise StorageError("the connection was cut")
        written = self._store.write(parts, track)
        if fault == "after":
            raise StorageError("the connection was cut before the answer came")
        return written

    def catch_up(self, give_way: GiveWay) -> None:
        self._store.catch_up(give_way)

    def forget(self, track: str) -> None:
        self._store.forget(track)

    def close(self) -> None:
        self._store.close()


class World:
    """Processes that record, and one database."""

    def __init__(self, directory: Path, template: Path) -> None:
        self._spools = directory / "spool"
        path = directory / "calls.db"
        shutil.copyfile(template, path)
        self.url = f"sqlite:///{path}"
        self._living: dict[int, Spool] = {}
        self._writing: dict[int, OwnTrack] = {}

    def append(self, process: int, event: Event) -> None:
        if process not in self._living:
            spool = self._living[process] = Spool(self._spools, segment_size=SEGMENT)
            self._writing[process] = OwnTrack(spool, _assembler())
        assert self._living[process].append(event)

    def write(self, process: int) -> None:
        """A living process writes what is complete, and gives back the segments that it needs no more."""
        if process not in self._living:
            return
        spool, track = self._living[process], self._writing[process]
        records = [record for chunk in track.batch(64) for record in chunk]
        position, needed = track.reached()
        assert spool.track is not None
        store = self._store()
        if records:
            store.write([store.prepare(Batch.of(records))], spool.track.name)
        store.close()
        spool.track.note_done(position)
        spool.give_back(needed)

    def die(self, process: int) -> None:
        """Nothing is done but what the kernel does: descriptors are closed."""
        if process in self._living:
            self._living.pop(process).leave()
            del self._writing[process]

    def drain(self, faults: Sequence[str] = ()) -> None:
        Drainer(
            self._spools,
            lambda: FaultyStore(self._store(), faults),
            _assembler,
            wait=lambda _seconds: None,
            clock=lambda: NOW,
        ).drain(timeout=0)

    def _store(self) -> Store:
        return Store(Database(self.url), lambda: datetime.fromtimestamp(NOW, UTC))

    def tables(self) -> dict[str, list[Any]]:
        """Every row of every table but the tracks', without the ids that the database gives."""
        with Database(self.url) as database, database.engine.connect() as connection:
            found = {
                name: [dict(row) for row in connection.execute(select(table)).mappings()]
                for name, table in Base.metadata.tables.items()
                if name not in ("cajanegra_version", "cajanegra_tracks")
            }
        names = {row["id"]: row["request_id"] for row in found["ai_request_logs"]}
        for rows in found.values():
            for row in rows:
                row.pop("id", None)
                if "request_log_id" in row:
                    row["request_log_id"] = names[row["request_log_id"]]
        return {name: sorted(rows, key=repr) for name, rows in found.items()}


def _assembler() -> Assembler:
    return Assembler(PatternBook(KnowledgeBase()), redacted_content=False)


def _calls(*whats: str) -> list[Happens]:
    """What happens in the first process, in short: ``step 1`` is a step of call 1."""
    return [Happens(what.split()[0], 0, int(what.split()[1] if " " in what else 0)) for what in whats]


@settings(max_examples=20, deadline=None)
@given(happenings)
def test_crashes_and_replays_change_nothing(sqlite_template: Path, story: list[Happens]) -> None:
    require_the_same(sqlite_template, story)


@pytest.mark.parametrize("end", ["die", "finish 0"])
def test_calls_that_outlive_the_segment_in_which_they_began(sqlite_template: Path, end: str) -> None:
    for length in range(6, 16, 3):
        steps = ["step 1", "write"] * length
        require_the_same(
            sqlite_template,
            _calls("begin 0", "feedback 2", "feedback 3", "begin 1", "step 0", *steps, end),
        )


def require_the_same(sqlite_template: Path, story: list[Happens]) -> None:
    with tempfile.TemporaryDirectory() as told, tempfile.TemporaryDirectory() as alone:
        worlds = World(Path(told), sqlite_template), World(Path(alone), sqlite_template)
        for process, event in _played(story, worlds[0]):
            if event is None:
                worlds[1].die(process)
            else:
                worlds[1].append(process, event)
        for world in worlds:
            for process in range(PROCESSES):
                world.die(process)
            world.drain()
        assert worlds[0].tables() == worlds[1].tables()


def _played(story: list[Happens], world: World) -> list[tuple[int, Event | None]]:
    """Play the story in a world; the events and deaths that came of it."""
    happened: list[tuple[int, Event | None]] = []
    open_calls: dict[int, int] = {}
    begun: set[int] = set()
    fed: set[int] = set()
    for number, one in enumerate(story):
        event = None
        mine = open_calls.get(one.call) == one.process
        if one.what == "drain":
            world.drain(one.faults)
            continue
        if one.what == "write":
            world.write(one.process)
            continue
        if one.what == "die":
            open_calls = {call: process for call, process in open_calls.items() if process != one.process}
            world.die(one.process)
            happened.append((one.process, None))
            continue
        if one.what == "begin" and one.call not in begun:
            begun.add(one.call)
            open_calls[one.call] = one.process
        elif one.what in ("step", "finish", "fail") and mine:
            if one.what != "step":
                del open_calls[one.call]
        elif one.what == "feedback" and one.call not in fed:
            fed.add(one.call)
        else:
            continue
        event = _event(one, number)
        world.append(one.process, event)
        happened.append((one.process, event))
    return happened


def _event(one: Happens, number: int) -> Event:
    at, key, request_id = NOW - 1000 + number, f"key-{one.call}", f"req-{one.call}"
    trigger = Trigger(one.kind, "it failed", "ollama", "llama3.2")
    match one.what:
        case "begin":
            return Begin(key, at, request_id, "chat", "ollama", "llama3.2", "acme", prompt=f"prompt {number}")
        case "step":
            return Step(key, at, "retry", "once more", successful=False, time_ms=number, trigger=trigger)
        case "finish":
            return Finish(key, at, "success", "ollama", "llama3.2", number, answer=f"answer {number}")
        case "fail":
            return Finish(key, at, "error", "ollama", "llama3.2", number, failure=trigger)
        case _:
            return Feedback(at, request_id, "thumbs_up", "acme", f"correction {number}")
