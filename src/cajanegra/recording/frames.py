"""Events as framed, checksummed bytes, and back. Any bytes can be read: what is no frame is skipped and told.

A frame is two bytes that mark it, the length and the CRC-32 of its payload (both 32 bits, little endian), and
the payload: one event in MessagePack. No payload is empty, so that a mark torn off before zeros is no frame.
Behind the last frame the segment is zero.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from cajanegra.domain.events import Begin, Event

MARK = b"\xca\x1a"
MAX_PAYLOAD = 16 * 2**20
"""Bytes of one event; a longer one leaves its content and metadata behind."""

_HEADER = struct.Struct("<2sII")
_MARK = re.compile(re.escape(MARK))
_UNSTORABLE = re.compile("[\ud800-\udfff]")
_MAX_SEARCHED = 64 * 2**20
"""Bytes that are summed to find the next frame behind damage; a crafted file could ask for billions."""

HEADER_SIZE = _HEADER.size

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Event).decode
_decode_array = msgspec.msgpack.Decoder(list[Event]).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_pack = _HEADER.pack
_unpack = _HEADER.unpack_from


class UnreadableError(ValueError):
    """A file is no segment of this version."""


Frame = tuple[bytes, int]
"""One frame that was found: its payload, and where the next one may begin."""


class Damage(NamedTuple):
    """Bytes that are no frame, between two that are."""

    start: int
    end: int


def frame(event: Event) -> bytes:
    """The event, framed. Any event has a frame: what MessagePack cannot hold is replaced."""
    try:
        payload = _encode(event)
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError, RecursionError):
        payload = _encode(_storable(event))
    if len(payload) > MAX_PAYLOAD:
        payload = _encode(_without_bulk(event))
    return _pack(MARK, len(payload), crc32(payload)) + payload


def decode(payloads: Sequence[bytes]) -> list[Event | None]:
    """The events in payloads; ``None`` for what is no event that this version knows."""
    try:
        return [*_decode_array(_array_of(payloads))]
    except _UNREADABLE:
        return [_decoded(payload) for payload in payloads]


def _array_of(payloads: Sequence[bytes]) -> bytes:
    """One MessagePack array of them (its specification, "array 32")."""
    return b"".join((b"\xdd", len(payloads).to_bytes(4), *payloads))


def _decoded(payload: bytes) -> Event | None:
    try:
        event: Event = _decode(payload)
    except _UNREADABLE:
        return None
    return event


def frames(data: Any, start: int, end: int, *, most: int, growing: bool = False) -> list[Frame | Damage]:
    """The frames between two places of a segment's bytes, and the damage between them.

    Ends after ``most`` frames, and before bytes that are no frame and have none behind them: zeros, or a
    frame that was torn when its writer died. While the segment is ``growing`` nothing is looked for behind.
    """
    found: list[Frame | Damage] = []
    at, last = start, end - HEADER_SIZE
    while at <= last and len(found) < most:
        mark, length, checksum = _unpack(data, at)
        begin = at + HEADER_SIZE
        stop = begin + length
        if mark == MARK and begin < stop <= end and crc32(payload := data[begin:stop]) == checksum:
            found.append((payload, stop))
            at = stop
            continue
        behind = None if growing else _next_frame(data, at + 1, end)
        if behind is None:
            break
        found.append(Damage(at, behind))
        at = behind
    return found


def _next_frame(data: Any, start: int, end: int) -> int | None:
    budget = _MAX_SEARCHED
    for mark in _MARK.finditer(data, start, end):
        at = mark.start()
        if at + HEADER_SIZE > end:
            return None
        _mark, length, checksum = _unpack(data, at)
        begin = at + HEADER_SIZE
        if 0 < length <= min(end - begin, budget):
            budget -= length
            if crc32(data[begin : begin + length]) == checksum:
                return at
    return None


def _storable(event: Event) -> Event:
    fields = {name: _plain(getattr(event, name)) for name in event.__struct_fields__}
    return type(event)(**fields)


def _plain(value: Any, depth: int = 64) -> Any:
    """A value that MessagePack holds: no lone surrogates, no integers beyond 64 bits, no endless depth."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return str(value) if value.bit_length() < 2**10 else "a very large number"
    if depth == 0:
        return "..."
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: _plain(getattr(value, name), depth) for name in value.__struct_fields__})
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    return value


def _without_bulk(event: Event) -> Event:
    fields: dict[str, Any] = {name: None for name in ("prompt", "answer", "result") if hasattr(event, name)}
    if hasattr(event, "metadata"):
        name = "request_metadata" if isinstance(event, Begin) else "response_metadata"
        fields["metadata"] = {"changed": {name: "left out: too large"}}
    return msgspec.structs.replace(_shortened(event), **fields)


def _shortened(event: Event) -> Event:
    texts: dict[str, Any] = {
        name: value[:1000]
        for name in event.__struct_fields__
        if isinstance(value := getattr(event, name), str)
    }
    trigger = getattr(event, "trigger", None) or getattr(event, "failure", None)
    if trigger is not None:
        short = msgspec.structs.replace(trigger, message=trigger.message[:100_000])
        texts["trigger" if hasattr(event, "trigger") else "failure"] = short
    return msgspec.structs.replace(event, **texts)
