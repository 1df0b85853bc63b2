"""Keeps what cannot become rows, with the reason, so that it holds up nothing and is not lost."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from cajanegra.domain.record import CallRecord, ContentRecord, FeedbackRecord, Record
from cajanegra.recording.throttle import Throttle

logger = logging.getLogger("cajanegra")

NAME = "quarantine"
REFUSED = "refused.ndjson"
MAX_BYTES = 2**26
"""Bytes of refused records that are kept."""

_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_TAGS: dict[str, type[Record]] = {
    "call": CallRecord,
    "feedback": FeedbackRecord,
    "content": ContentRecord,
}
_NAMES = {kind: tag for tag, kind in _TAGS.items()}
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Refused(msgspec.Struct, frozen=True):
    """A line of the file of refused records."""

    at: float
    """When, in seconds since the Unix epoch."""
    reason: str
    kind: Literal["call", "feedback", "content"]
    record: msgspec.Raw

    def restored(self) -> Record | None:
        """The record itself; ``None`` where the line is not what it was."""
        try:
            return msgspec.json.decode(self.record, type=_TAGS[self.kind])
        except msgspec.DecodeError:
            return None


class Quarantine:
    """A directory beside the spool's files, readable by its owner alone.

    Args:
        directory: the spool's, of one database.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / NAME
        self._said = Throttle()

    @property
    def refused(self) -> Path:
        """The file of refused records, one JSON object a line."""
        return self._directory / REFUSED

    def keep_record(self, record: Record, reason: str, at: float) -> bool:
        """Keep a record that the database refuses for its content; whether there was room."""
        entry = Refused(at, reason, _NAMES[type(record)], msgspec.Raw(_encode(record)))  # type: ignore[arg-type]  # a name of those
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.refused, _APPENDING, 0o600)
            try:
                line = msgspec.json.encode(entry) + b"\n"
                kept = os.fstat(descriptor).st_size + len(line) <= MAX_BYTES
                kept = kept and os.write(descriptor, line) == len(line)
            finally:
                os.close(descriptor)
        except OSError:
            kept = False
        if self._said.due():
            where = f"kept in {self.refused}" if kept else "lost: the quarantine has no room"
            logger.error("the database refuses a record, which is %s: %s", where, reason)
        return kept

    def keep_segment(self, path: Path, reason: str) -> None:
        """Move a damaged segment out of the way.

        Raises:
            OSError: it cannot be moved.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.rename(self._directory / path.name)
        logger.error("a damaged segment is kept as %s: %s", self._directory / path.name, reason)

    def segments(self) -> list[Path]:
        """Damaged segments that are kept."""
        return sorted(self._directory.glob("*.segment"))

    def take_refused(self) -> Path | None:
        """The refused records in a file of its own, for trying them again; ``None`` where there are none.

        Raises:
            OSError: the file cannot be moved.
        """
        taken = self.refused.with_suffix(".taken")
        if taken.exists():  # somebody died while trying them again
            self.put_back(taken)
        if not self.refused.exists():
            return None
        return self.refused.rename(taken)

    def put_back(self, taken: Path) -> None:
        """Keep refused records on: they could not be tried.

        Raises:
            OSError: the file cannot be written.
        """
        descriptor = os.open(self.refused, _APPENDING, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(taken.read_bytes())
        taken.unlink()

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else tries the refused records again at this time.

        Raises:
            OSError: the directory cannot be written.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)


def refused_in(path: Path) -> Iterator[Refused]:
    """The refused records in a file; lines that are none are passed over.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with path.open("rb") as lines:
            for line in lines:
                with contextlib.suppress(msgspec.DecodeError):
                    yield msgspec.json.decode(line, type=Refused)
    except FileNotFoundError:
        return
