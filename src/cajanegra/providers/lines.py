"""Cuts streamed bodies into lines and server-sent events, however the network has cut them."""

from __future__ import annotations

from itertools import repeat

import msgspec


class Lines:
    """Bytes in, whole lines out; lines end in LF, CRLF or CR."""

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def is_between(self) -> bool:
        """Whether no line has begun and not ended."""
        return not self._rest

    def feed(self, piece: bytes) -> list[bytes]:
        """Take bytes and return the lines that they complete, without their ends."""
        self._rest += piece
        # A CR at the very end may be half of a CRLF: it waits for what follows.
        whole = len(self._rest) - self._rest.endswith(b"\r")
        end = max(self._rest.rfind(b"\n", 0, whole), self._rest.rfind(b"\r", 0, whole)) + 1
        if not end:
            return []
        lines = bytes(self._rest[:end]).splitlines()
        del self._rest[:end]
        return lines

    def close(self) -> list[bytes]:
        """What is left when the body ends."""
        lines = bytes(self._rest).splitlines()
        self._rest.clear()
        return lines


class ServerEvent(msgspec.Struct, frozen=True, gc=False):
    """One server-sent event: its name (``message`` unless it has one) and its data."""

    name: str
    data: bytes


_BEGIN, _END = b"data: ", b"\n\n"
"""Of an event, as nearly all servers write it."""
_BETWEEN = _END + _BEGIN


class ServerEvents:
    """Bytes in, server-sent events out. An event that the body's end cuts short still counts."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """Take bytes and return the events that they complete."""
        if self._lines.is_between and not self._data and not self._name and (events := _whole(piece)):
            return events
        return self._take(self._lines.feed(piece))

    def close(self) -> list[ServerEvent]:
        """What is left when the body ends."""
        return self._take([*self._lines.close(), b""])

    def _take(self, lines: list[bytes]) -> list[ServerEvent]:
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line.startswith(b"event:"):
                self._name = line[6:].strip().decode(errors="replace")
            elif not line:
                if self._data:
                    events.append(ServerEvent(self._name or "message", b"\n".join(self._data)))
                self._name, self._data = "", []
        return events


def _whole(piece: bytes) -> list[ServerEvent]:
    """The events of bytes that are whole ones of one line of data each, as most are; else none."""
    if not piece.startswith(_BEGIN) or not piece.endswith(_END) or b"\r" in piece:
        return []
    found = piece[len(_BEGIN) : -len(_END)].split(_BETWEEN)
    if piece.count(b"\n") != len(_END) * len(found):  # there are other lines
        return []
    return [*map(ServerEvent, repeat("message"), found)]
