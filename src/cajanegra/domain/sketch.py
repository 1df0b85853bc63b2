"""Quantile sketches: how many times fell into which bin, so that sets of calls can be added up.

The bins are DDSketch's: each is so narrow that its middle is within one per cent of every time in it. The
counts of a sketch are one integer, in which each bin has 32 bits of its own: to add two sketches is to add
two integers, and to take calls out again is to subtract. That is many times as fast as adding bin by bin. A
sketch holds 2^32 calls in one bin, and so some hundreds of billions.
"""

from __future__ import annotations

import functools
import math
import sys
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

from ddsketch.mapping import LogarithmicMapping

ACCURACY = 0.01
"""Relative error of a quantile at most."""
EMPTY = 0
"""The sketch of nothing."""

_MAPPING = LogarithmicMapping(ACCURACY)
_BYTES = 4
"""Of a bin."""
_LANE = 8 * _BYTES
_LEAST = 1.0
"""Milliseconds; what took less counts as 0."""
_FIRST = _MAPPING.key(_LEAST) - 1
_LAST = _MAPPING.key(2.0**32) - _FIRST
_WIDTHS = "BHI"
"""Codes of integers of 1, 2 and 4 bytes."""
_FEW = 4
"""Bins that are added one by one."""
_SPARSE = 256
"""Bins and counts of which a byte can tell."""


def of_times(times: Mapping[float, int]) -> int:
    """The sketch of times in milliseconds, of each so many; fewer than none are taken out."""
    counts: dict[int, int] = {}
    for ms, count in times.items():
        place = _place(ms)
        counts[place] = counts.get(place, 0) + count
    if len(counts) <= _FEW or min(counts.values()) < 0:
        return sum(count << (_LANE * place) for place, count in counts.items())
    lowest = min(counts)
    bins = array("I", bytes(_BYTES * (max(counts) - lowest + 1)))
    for place, count in counts.items():
        bins[place - lowest] = count
    return _number(bins) << (_LANE * lowest)


def quantiles(sketch: int, shares: Sequence[float]) -> list[float | None]:
    """The smallest time that so large a share of the times does not exceed, in milliseconds.

    ``None`` where there are no times.
    """
    if sketch <= 0:
        return [None] * len(shares)
    lowest, counts = _counts(sketch)
    sums = [*accumulate(counts)]
    return [_time(lowest + bisect_left(sums, max(1, math.ceil(sums[-1] * share)))) for share in shares]


def encode(sketch: int) -> bytes:
    """A sketch as it is stored: where its first bin is, and counts of as few bytes as hold them."""
    if sketch <= 0:
        return b""
    lowest, counts = _counts(sketch)
    filled, most = len(counts) - counts.count(0), max(counts)
    if 2 * filled < len(counts) <= _SPARSE and most < _SPARSE:
        places = [place for place, count in enumerate(counts) if count]
        kind, body = b"s", bytes(places) + bytes([counts[place] for place in places])
    else:
        code = next(code for code in _WIDTHS if most < 1 << 8 * array(code).itemsize)
        kind, body = code.encode(), _little(array(code, counts)).tobytes()
    return kind + lowest.to_bytes(2) + body


def decode(stored: bytes) -> int:
    """The sketch that was stored."""
    if not stored:
        return EMPTY
    kind, lowest, body = stored[:1], int.from_bytes(stored[1:3]), stored[3:]
    if kind == b"s":
        half = len(body) // 2
        counts = array("I", bytes(_BYTES * (body[half - 1] + 1)))
        for place, count in zip(body[:half], body[half:], strict=True):
            counts[place] = count
        return _number(counts) << (_LANE * lowest)
    width = array(kind.decode()).itemsize
    lanes = bytearray(_BYTES * (len(body) // width))
    for place in range(width):  # the bytes of each count to the low end of its bin
        lanes[place::_BYTES] = body[place::width]
    return int.from_bytes(lanes, "little") << (_LANE * lowest)


@functools.lru_cache(maxsize=50_000)
def _place(ms: float) -> int:
    if not ms >= _LEAST:  # not a number, too
        return 0
    return _LAST if math.isinf(ms) else min(_MAPPING.key(ms) - _FIRST, _LAST)


@functools.lru_cache(maxsize=50_000)
def _time(place: int) -> float:
    return 0.0 if place == 0 else round(_MAPPING.value(place + _FIRST), 3)


def _counts(sketch: int) -> tuple[int, array[int]]:
    """The first bin that is not empty, and the counts from there on."""
    lowest = ((sketch & -sketch).bit_length() - 1) // _LANE
    counts = sketch >> (_LANE * lowest)
    size = _BYTES * ((counts.bit_length() - 1) // _LANE + 1)
    return lowest, _little(array("I", counts.to_bytes(size, "little")))


def _number(counts: array[int]) -> int:
    return int.from_bytes(_little(counts).tobytes(), "little")


def _little(numbers: array[int]) -> array[int]:
    """Numbers of this machine from little-endian ones, or the other way round."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
