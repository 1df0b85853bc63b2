"""A segment: a file of fixed size, mapped into memory, that events are appended to.

Writing to the map is writing to the operating system's own pages, so what was appended outlives the process,
and it takes neither a system call nor a lock: ``mmap.write`` copies and moves on as one step of the
interpreter. The file's blocks are allocated when it is made; a full disk is noticed then, and not while
writing, where it would be a signal.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

MAGIC = b"cajaneg\x01"
"""The first bytes of a segment; the last of them is the format's version."""
START = len(MAGIC)
SUFFIX = ".segment"
_ZEROS = bytes(2**16)
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


class Segment:
    """One segment that is written by its owner, here, and read while it is written.

    Args:
        number: its place in the track, from 1.
        path: its file; ``None`` for one in memory alone.
        descriptor: of the file, open; needed only to bring its bytes to the disk.
        data: the map.
    """

    def __init__(self, number: int, path: Path | None, descriptor: int, data: mmap.mmap) -> None:
        self.number = number
        self.path = path
        self.sealed = False
        """Whether nothing will be appended any more."""
        self.size = len(data)
        """Bytes in all."""
        self._data = data
        self._descriptor = descriptor
        self._end: int | None = None
        self._is_on_disk = False
        """Whether all of a sealed one was brought there."""
        self._reading = threading.Lock()

    @property
    def write(self) -> Callable[[bytes], int]:
        """Appends bytes; raises ``ValueError`` where they have no room."""
        return self._data.write

    @property
    def end(self) -> int:
        """Where the next frame would go."""
        return self._data.tell() if self._end is None else self._end

    def seal(self) -> None:
        """Take nothing more: whoever is about to append finds no room."""
        if self.sealed:
            return
        self._end = self._data.tell()
        self._data.seek(0, os.SEEK_END)
        self.sealed = True

    def release(self) -> None:
        """Keep a sealed one in its file alone, until somebody reads it: a backlog has thousands of them.

        One that is being read is left as it is.
        """
        if self.path is not None and self.sealed and self._reading.acquire(blocking=False):
            try:
                self.close()
            finally:
                self._reading.release()

    def read(self, take: Callable[[mmap.mmap], T]) -> T:
        """What somebody makes of its bytes, which stay where they are meanwhile.

        Raises:
            OSError: it was released, and its file cannot be opened again now.
        """
        with self._reading:
            if self._data.closed and self.path is not None:
                self._data = _mapped(self.path, self.size)
            return take(self._data)

    def sync(self) -> None:
        """Bring what was appended to the disk.

        Raises:
            OSError: the disk failed.
        """
        if self._is_on_disk or self.path is None:
            return
        sealed = self.sealed  # asked first: nothing is appended behind what is brought there
        held = self._reading.acquire(blocking=False)  # so that it is not released meanwhile
        try:
            if self._descriptor >= 0:
                _sync(self._descriptor)
            else:
                with self.path.open("rb+") as file:
                    _sync(file.fileno())
        finally:
            if held:
                self._reading.release()
        self._is_on_disk = sealed

    def close(self) -> None:
        """Unmap and close, and leave the file."""
        self._data.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Close, and delete the file."""
        self.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def create(path: Path, number: int, size: int) -> Segment:
    """A new, empty segment with all its blocks allocated, readable by its owner alone.

    Raises:
        OSError: there is no room for it, or the directory cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _allocate(descriptor, size)
        data = mmap.mmap(descriptor, size)
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    data.write(MAGIC)
    return Segment(number, path, descriptor, data)


def in_memory(number: int, size: int) -> Segment:
    """A segment that ends with the process, for where no directory can be written."""
    data = mmap.mmap(-1, size)
    data.write(MAGIC)
    return Segment(number, None, -1, data)


def read(path: Path) -> bytes | mmap.mmap:
    """The bytes of a segment that somebody else wrote; empty where there are none.

    Raises:
        OSError: the file cannot be read.
    """
    with contextlib.suppress(ValueError):  # an empty file cannot be mapped
        return _mapped(path)
    return b""


def number_of(path: Path) -> int:
    """The number of a segment by its file's name, ``<track>.<number>.segment``."""
    return int(path.name.split(".")[1])


def _mapped(path: Path, size: int = 0) -> mmap.mmap:
    """A map to read a file by: so many of its bytes, or all."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    for start in range(0, size, len(_ZEROS)):  # macOS has no such call
        os.pwrite(descriptor, _ZEROS[: size - start], start)
