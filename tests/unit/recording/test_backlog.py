from __future__ import annotations

from pathlib import Path

import pytest

from cajanegra.domain.events import Begin, Carried, Feedback
from cajanegra.recording import backlog
from cajanegra.recording.spool import Spool


def begin(at: float) -> Begin:
    return Begin("call", at, "id", "chat", "openai", metadata={"filler": "x" * 500})


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, max_bytes=2**22, segment_size=2**16)


def test_where_nothing_was_recorded_nothing_waits(tmp_path: Path) -> None:
    found = backlog.look(tmp_path / "nothing here")
    assert (found.bytes, found.oldest_at, found.dropped_calls) == (0, None, 0)


def test_what_waits_is_measured_from_where_the_database_is(spool: Spool, tmp_path: Path) -> None:
    spool.append(begin(100.0))
    first = backlog.look(tmp_path)
    assert first.oldest_at == 100.0
    assert 500 < first.bytes < 1_000
    assert spool.track is not None
    spool.track.note_done(spool.end)
    assert backlog.look(tmp_path).bytes == 0
    assert backlog.look(tmp_path).oldest_at is None
    spool.append(begin(200.0))
    assert backlog.look(tmp_path).oldest_at == 200.0
    assert backlog.look(tmp_path).bytes == first.bytes


def test_full_segments_count_as_a_whole(spool: Spool, tmp_path: Path) -> None:
    for number in range(500):
        assert spool.append(begin(100.0 + number))
    found = backlog.look(tmp_path)
    assert found.oldest_at == 100.0
    assert spool.bytes_behind(0) * 0.9 < found.bytes <= 2**22


def test_a_call_that_is_carried_on_is_no_old_event(spool: Spool, tmp_path: Path) -> None:
    spool.append(Carried(begin(1.0), []))
    spool.append(Feedback(300.0, "id", "thumbs_up"))
    assert backlog.look(tmp_path).oldest_at == 300.0


def test_the_oldest_of_all_tracks_counts(spool: Spool, tmp_path: Path) -> None:
    spool.append(begin(200.0))
    other = Spool(tmp_path, max_bytes=2**22, segment_size=2**16)
    other.append(begin(100.0))
    found = backlog.look(tmp_path)
    assert found.oldest_at == 100.0
    assert found.bytes > 1_000


def test_what_had_no_room_is_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=2**20, segment_size=2**16)
    while spool.append(begin(100.0)):
        pass
    assert backlog.look(tmp_path).dropped_calls == 1


def test_any_bytes_can_stand_in_a_segment(spool: Spool, tmp_path: Path) -> None:
    spool.append(begin(100.0))
    for path in tmp_path.glob("*.segment"):
        path.write_bytes(b"\xff" * 2**16)
    assert backlog.look(tmp_path).oldest_at is None
