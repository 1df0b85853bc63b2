"""What callers were told, kept by themselves outside of the product: files that only grow.

A line is written before an event is handed to the recorder and another after the recorder has returned. What
has both must be in the database; what has only the first may be, since the process died in between; what has
neither must not be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


class Ledger:
    """One caller's own book: a line is one ``write``, so it is whole or absent whenever the process dies."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @contextmanager
    def entry(self, request_id: str, event: str) -> Iterator[None]:
        """Note that the event is about to be recorded, and, when the block has ended, that it was."""
        self._write(f"? {request_id} {event}\n")
        yield
        self._write(f"! {request_id} {event}\n")

    def _write(self, line: str) -> None:
        os.write(self._file, line.encode())


@dataclass
class Entries:
    """What the books say of one call."""

    tried: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)

    def steps(self) -> tuple[int, int]:
        """How many steps must be stored at least, and may be at most."""
        least, most = (
            sum(event.startswith("step") for event in events) for events in (self.told, self.tried)
        )
        return least, most


def read_all(directory: Path) -> dict[str, Entries]:
    """The books of all callers, by request id."""
    calls: dict[str, Entries] = {}
    for path in sorted(directory.glob("*.ledger")):
        for line in path.read_text(encoding="utf-8").splitlines():
            mark, request_id, event = line.split(" ", 2)
            entries = calls.setdefault(request_id, Entries())
            (entries.told if mark == "!" else entries.tried).add(event)
    return calls
