"""A track: the segments that one recorder writes in order, and the control file that says whose they are.

The owner holds a lock on the control file. The kernel releases it when the owner dies, however it dies;
process ids repeat in containers, locks do not lie. Whoever then gets the lock has adopted the track.

Files of a track, in the spool's directory of its database, readable by their owner alone:
``<track>.control``, ``<track>.00000001.segment``, ``<track>.00000002.segment`` and so on.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cajanegra.domain.ids import uuid7
from cajanegra.recording import segment

SUFFIX = ".control"
_MAGIC = b"cajactl\x01"
_LAYOUT = struct.Struct("<8sQdQQQQ")
_SIZE = 4096
_COUNTER = struct.Struct("<Q")
_LOSSES = "losses"
_TOTAL = struct.Struct("<QQQ")
_OFFSETS = {"done": 24, "dropped_calls": 32, "dropped_events": 40, "pending_contents": 48}


@dataclass(frozen=True, slots=True)
class TrackState:
    """What a control file says.

    Attributes:
        pid: process that made the track, in its own container's numbering.
        started_at: when, in seconds since the Unix epoch.
        done: position up to which everything is in the database.
        dropped_calls: calls that were refused for want of room.
        dropped_events: other events that were.
        pending_contents: texts that are being masked; lost when the owner is dead.
    """

    pid: int = 0
    started_at: float = 0.0
    done: int = 0
    dropped_calls: int = 0
    dropped_events: int = 0
    pending_contents: int = 0


class Track:
    """A track that this process owns: one it writes, or one it has adopted.

    Made by ``create`` and ``adopt``.
    """

    def __init__(self, directory: Path, name: str, descriptor: int, data: mmap.mmap) -> None:
        self.name = name
        self.directory = directory
        self._descriptor = descriptor
        self._data = data
        _owned.add(self)

    @classmethod
    def create(cls, directory: Path) -> Self:
        """A new track.

        Raises:
            OSError: the directory cannot be written.
        """
        return cls._made(directory, uuid7())

    @classmethod
    def adopt(cls, directory: Path, name: str) -> Self | None:
        """The track of this name, if its owner is dead and nobody else has adopted it.

        Raises:
            OSError: the directory cannot be written.
        """
        path = directory / f"{name}{SUFFIX}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # Its segments are there and the control file is not: somebody deleted it.
            with contextlib.suppress(FileExistsError):
                return cls._made(directory, name)
            return None
        if not _lock(descriptor) or not _is(path, descriptor):
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_size < _SIZE:
            os.ftruncate(descriptor, _SIZE)
        return cls(directory, name, descriptor, _mapped(path))

    @classmethod
    def _made(cls, directory: Path, name: str) -> Self:
        """Locked before it has its name, so that nobody can adopt it in between."""
        path = directory / f"{name}{SUFFIX}"
        temporary = directory / f".{name}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.pwrite(descriptor, bytes(_SIZE), 0)  # allocates, so that the map cannot run into a full disk
            data = _mapped(temporary)
            _LAYOUT.pack_into(data, 0, _MAGIC, os.getpid(), time.time(), 0, 0, 0, 0)
            os.link(temporary, path)
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            temporary.unlink(missing_ok=True)
        return cls(directory, name, descriptor, data)

    @property
    def state(self) -> TrackState:
        """What the control file says now."""
        return _state(self._data)

    def note_done(self, position: int) -> None:
        """Everything up to here is in the database."""
        self._set("done", position)

    def note_pending_contents(self, count: int) -> None:
        """So many texts are being masked."""
        self._set("pending_contents", count)

    def count_dropped(self, *, calls: int = 0, events: int = 0) -> None:
        """Count what had no room; outlives the process."""
        for name, count in (("dropped_calls", calls), ("dropped_events", events)):
            if count:
                self._set(name, getattr(self.state, name) + count)

    def _set(self, name: str, value: int) -> None:
        _COUNTER.pack_into(self._data, _OFFSETS[name], value)

    def path_of(self, number: int) -> Path:
        """The file of a segment."""
        return self.directory / f"{self.name}.{number:08}{segment.SUFFIX}"

    def segments(self) -> list[Path]:
        """The files of its segments, in order."""
        return segments(self.directory, self.name)

    def leave(self) -> None:
        """Give up ownership and leave everything as it is, for somebody to adopt."""
        self._data.close()
        self.forget()

    def forget(self) -> None:
        """In a forked child: this is the parent's. Only the descriptor goes, which would hold the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Delete the control file; its segments are to be gone before."""
        (self.directory / f"{self.name}{SUFFIX}").unlink(missing_ok=True)
        self.leave()


def names(directory: Path) -> list[str]:
    """The tracks in a directory, oldest first; none where there is no directory.

    Raises:
        OSError: the directory cannot be read.
    """
    try:
        files = [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    found = {
        name.split(".")[0]
        for name in files
        if not name.startswith(".") and (name.endswith(SUFFIX) or _has_number(name))
    }
    return sorted(found)


def segments(directory: Path, name: str) -> list[Path]:
    """The files of a track's segments, in order."""
    found = (path for path in directory.glob(f"{name}.*{segment.SUFFIX}") if _has_number(path.name))
    return sorted(found, key=segment.number_of)


def look(directory: Path, name: str) -> tuple[TrackState, bool]:
    """What a track's control file says, and whether its owner is alive. Changes nothing.

    Raises:
        OSError: the file cannot be read.
    """
    path = directory / f"{name}{SUFFIX}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return TrackState(), False
    try:
        state = _state(os.pread(descriptor, _SIZE, 0).ljust(_SIZE, b"\0"))
        free = _lock(descriptor, shared=True)
    finally:
        os.close(descriptor)
    return state, not free


def _state(data: bytes | mmap.mmap) -> TrackState:
    magic, *values = _LAYOUT.unpack_from(data, 0)
    return TrackState(*values) if magic == _MAGIC else TrackState()


def _mapped(path: Path) -> mmap.mmap:
    """The file in memory, opened anew: a map keeps a descriptor, and it must not be the locked one's.

    A forked child could not get rid of it, and would hold its parent's lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one of this name, and was not deleted meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _has_number(name: str) -> bool:
    """Whether it is the name of a segment's file."""
    parts = name.split(".")
    return len(parts) == 3 and parts[1].isdecimal() and name.endswith(segment.SUFFIX)  # noqa: PLR2004


_owned: weakref.WeakSet[Track] = weakref.WeakSet()


def _let_go_in_child() -> None:
    for track in list(_owned):
        track.forget()


os.register_at_fork(after_in_child=_let_go_in_child)


@dataclass(frozen=True, slots=True)
class Losses:
    """What the tracks that are gone could not keep."""

    calls: int = 0
    events: int = 0
    contents: int = 0
    """Texts that were not masked yet when their process died."""


def keep_losses(directory: Path, state: TrackState) -> None:
    """Add what a track could not keep to the directory's total, before the track goes.

    Raises:
        OSError: the file cannot be written.
    """
    lost = (state.dropped_calls, state.dropped_events, state.pending_contents)
    if not any(lost):
        return
    descriptor = os.open(directory / _LOSSES, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = _TOTAL.unpack(os.pread(descriptor, _TOTAL.size, 0).ljust(_TOTAL.size, b"\0"))
        os.pwrite(descriptor, _TOTAL.pack(*(old + new for old, new in zip(before, lost, strict=True))), 0)
    finally:
        os.close(descriptor)


def losses(directory: Path) -> Losses:
    """What the tracks that are gone could not keep.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        return Losses(*_TOTAL.unpack((directory / _LOSSES).read_bytes().ljust(_TOTAL.size, b"\0")))
    except FileNotFoundError:
        return Losses()


def usage(directory: Path) -> int:
    """Bytes that the files of a directory take, without those in quarantine.

    Raises:
        OSError: the directory cannot be read.
    """
    size = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another process has drained it meanwhile
                if entry.is_file(follow_symlinks=False):
                    size += entry.stat(follow_symlinks=False).st_size
    return size
