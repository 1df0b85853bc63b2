"""Answers as they came on the wire, for those who pass them on."""

from __future__ import annotations

from collections.abc import Sequence

from cajanegra.domain.call import Chunk


def event_of(data: bytes, name: str = "message") -> bytes:
    """A server-sent event. Data that came in several lines goes out in several."""
    lines = data if b"\n" not in data else data.replace(b"\n", b"\ndata: ")
    head = b"" if name == "message" else b"event: " + name.encode() + b"\n"
    return head + b"data: " + lines + b"\n\n"


def events_of(lines: Sequence[bytes]) -> bytes:
    """Server-sent events without names, of data of one line each: at least one."""
    return b"data: " + b"\n\ndata: ".join(lines) + b"\n\n"


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """One chunk that says what several do: what came together is handed on together.

    Args:
        chunks: in order; at least one.
    """
    if len(chunks) == 1:
        return chunks[0]
    last_usage = [chunk.usage for chunk in chunks if chunk.usage is not None]
    return Chunk(
        "".join([chunk.text for chunk in chunks]),
        next((chunk.finish_reason for chunk in reversed(chunks) if chunk.finish_reason), None),
        next((chunk.model for chunk in chunks if chunk.model), None),
        last_usage[-1] if last_usage else None,
        [call for chunk in chunks for call in chunk.tool_calls],
        repaired=any(chunk.repaired for chunk in chunks),
        wire=b"".join([chunk.wire for chunk in chunks]),
    )
