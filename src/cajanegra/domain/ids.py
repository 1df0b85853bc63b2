"""Identities: new ones (UUIDv7) and stable stand-ins for those that do not fit."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Iterator

_RANDOM = struct.Struct("<QH")
_READ_AT_ONCE = 512
"""Ids for which randomness is read at once: reading it gives the interpreter to other threads, each time."""


def _randomness() -> Iterator[tuple[int, int]]:
    return _RANDOM.iter_unpack(os.urandom(_RANDOM.size * _READ_AT_ONCE))


_unused: Iterator[tuple[int, int]] = iter(())


def _forget_randomness() -> None:
    """In a forked child: its parent is going to use what was read."""
    global _unused  # noqa: PLW0603 - one for all threads; taking the next is one step of the interpreter
    _unused = iter(())


os.register_at_fork(after_in_child=_forget_randomness)


def uuid7() -> str:
    """A new UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    global _unused  # noqa: PLW0603
    milliseconds = time.time_ns() // 1_000_000
    try:
        long, short = next(_unused)
    except StopIteration:
        _unused = _randomness()
        long, short = next(_unused)
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - in half the time of an f-string, at each call
        milliseconds >> 16 & 0xFFFF_FFFF,
        milliseconds & 0xFFFF,
        short & 0xFFF,
        0x8000 | long >> 50,
        long & 0xFFFF_FFFF_FFFF,
    )


def derived_id(*parts: str) -> str:
    """A stable 32-character id for an identity that cannot be stored as it is.

    The first 128 bits of the SHA-256 of the parts, so that equal identities stay equal and different
    ones stay different; a cut identity would merge with its neighbours.
    """
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]
