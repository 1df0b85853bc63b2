"""Whatever stands in a segment's file, it is read without a crash, and no whole event before damage is missed."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.events import Begin, Event, Feedback, Finish, Step, Trigger
from cajanegra.recording.frames import MARK, Damage, UnreadableError, frame
from cajanegra.recording.reading import Entry, read_segment
from cajanegra.recording.segment import MAGIC

texts = st.text(max_size=30)
maybe = st.none() | texts
triggers = st.builds(Trigger, texts, texts, texts, maybe)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Begin, texts, st.floats(), texts, texts, texts, maybe, maybe),
    st.builds(Step, texts, st.floats(), texts, texts, st.booleans(), st.none(), st.none() | triggers),
    st.builds(Finish, texts, st.floats(), texts, maybe, maybe, st.none(), st.none() | triggers),
    st.builds(Feedback, st.floats(), texts, texts, maybe, maybe),
)
crafted = st.binary(max_size=60).map(lambda payload: frame(Feedback(0.0, "", ""))[:2] + payload)
"""Bytes that begin as a frame does."""
payloads = st.binary(max_size=100) | st.builds(
    msgspec.msgpack.encode, st.lists(texts | st.integers(-9, 9) | st.none())
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool") / "track.00000001.segment"


def found_in(path: Path, data: bytes) -> list[Entry | Damage]:
    path.write_bytes(data)
    return [one for some in read_segment(path, most=3) for one in some]


def events_in(found: list[Entry | Damage]) -> list[bytes]:
    """The events, encoded: NaN is not equal to itself."""
    return [frame(one[1]) for one in found if not isinstance(one, Damage) and one[1] is not None]


@given(st.lists(events, max_size=8), st.binary(max_size=300) | crafted)
def test_bytes_behind_the_events(path: Path, written: list[Event], junk: bytes) -> None:
    frames = [frame(event) for event in written]
    found = events_in(found_in(path, MAGIC + b"".join(frames) + junk))
    assert found[: len(frames)] == frames


@given(st.lists(events, min_size=1, max_size=8), st.data())
def test_an_event_that_is_torn(path: Path, written: list[Event], data: st.DataObject) -> None:
    frames = [frame(event) for event in written]
    cut = data.draw(st.integers(1, len(frames[-1])))
    zeros = data.draw(st.sampled_from([0, 4096]))
    found = found_in(path, MAGIC + b"".join(frames)[:-cut] + bytes(zeros))
    assert events_in(found)[: len(frames) - 1] == frames[:-1]
    assert len(found) == len(frames) - (1 if frames[-1][-cut:].strip(b"\0") or not zeros else 0)


def test_a_mark_alone_before_zeros_is_no_event(path: Path) -> None:
    assert found_in(path, MAGIC + MARK + bytes(4096)) == []


@given(st.lists(events, min_size=1, max_size=8), st.lists(events, min_size=1, max_size=8), st.data())
def test_damage_between_events(
    path: Path, before: list[Event], behind: list[Event], data: st.DataObject
) -> None:
    first, last = ([frame(event) for event in some] for some in (before, behind))
    junk = data.draw(st.binary(min_size=1, max_size=100).filter(lambda some: some.strip(b"\0") != b""))
    found = found_in(path, MAGIC + b"".join(first) + junk + b"".join(last))
    assert events_in(found)[: len(first)] == first
    assert events_in(found)[-len(last) :] == last
    assert any(isinstance(one, Damage) for one in found)


@given(st.lists(events, min_size=1, max_size=5), st.data())
def test_bytes_that_have_flipped(path: Path, written: list[Event], data: st.DataObject) -> None:
    frames = [frame(event) for event in written]
    whole = bytearray(MAGIC + b"".join(frames))
    at = data.draw(st.integers(len(MAGIC), len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    found = events_in(found_in(path, bytes(whole)))
    assert set(found) <= set(frames)
    starts = [len(MAGIC) + sum(map(len, frames[:number])) for number in range(len(frames))]
    hit = max(number for number, start in enumerate(starts) if start <= at)
    assert found[:hit] == frames[:hit]


@given(st.lists(payloads, max_size=5))
def test_whole_frames_that_hold_no_event_take_nothing_else_along(path: Path, strange: list[bytes]) -> None:
    known = frame(Feedback(1.0, "req-1", "thumbs_up"))
    framed = [MARK + struct.pack("<II", len(payload), crc32(payload)) + payload for payload in strange]
    found = found_in(path, MAGIC + known.join([b"", *framed, b""]))
    assert len(found) == 2 * len(framed) + 1
    assert events_in(found).count(known) >= len(framed) + 1


@given(st.binary(max_size=200))
def test_files_that_are_no_segments(path: Path, data: bytes) -> None:
    try:
        found = found_in(path, data)
    except UnreadableError:
        found = []
    assert events_in(found) == [] or data.startswith(MAGIC)
