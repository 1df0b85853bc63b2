"""Identities: new ones (UUIDv7) and stable stand-ins for those that do not fit."""

from __future__ import annotations

import hashlib
import os
import time


def uuid7() -> str:
    """A new UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - in half the time of an f-string, at each call
        milliseconds >> 16 & 0xFFFF_FFFF,
        milliseconds & 0xFFFF,
        random >> 68,
        0x8000 | random >> 48 & 0x3FFF,
        random & 0xFFFF_FFFF_FFFF,
    )


def derived_id(*parts: str) -> str:
    """A stable 32-character id for an identity that cannot be stored as it is.

    The first 128 bits of the SHA-256 of the parts, so that equal identities stay equal and different
    ones stay different; a cut identity would merge with its neighbours.
    """
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]
