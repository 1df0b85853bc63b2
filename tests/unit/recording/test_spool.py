from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from cajanegra.domain.events import Begin, Finish
from cajanegra.recording.reading import SpoolReader, read_segment
from cajanegra.recording.spool import Fsync, Spool
from cajanegra.recording.track import Track, look, losses, names, segments

SEGMENT = 2**16


def begin(call: str, size: int = 0) -> Begin:
    return Begin(call, 1_000.0, call, "chat", "openai", prompt="x" * size)


def finish(call: str) -> Finish:
    return Finish(call, 1_001.0, "success")


def read(spool: Spool) -> list[str]:
    reader = SpoolReader(spool)
    found: list[str] = []
    while entries := reader.take(1_000):
        found += [event.call for _position, event in entries if isinstance(event, Begin | Finish)]
    return found


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", segment_size=SEGMENT)


def test_what_is_appended_is_read_in_order_over_many_segments(spool: Spool) -> None:
    calls = [str(number) for number in range(3_000)]
    for call in calls:
        assert spool.append(begin(call))
    assert len(spool.segments) >= 3
    assert read(spool) == calls


def _open_files(spool: Spool) -> int:
    """Files of a spool that this process has open or mapped."""
    open_files = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return sum(str(spool.directory) in str(one) for one in (*open_files, *mapped))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what a process has mapped")
@pytest.mark.parametrize("fsync", ["never", "always"])
def test_a_backlog_takes_neither_files_nor_memory_of_the_process(tmp_path: Path, fsync: Fsync) -> None:
    spool = Spool(tmp_path / "spool", segment_size=SEGMENT, fsync=fsync)
    calls = [str(number) for number in range(400)]
    most = 0
    for call in calls:
        assert spool.append(begin(call, 10_000))
        most = max(most, _open_files(spool))
    assert len(spool.segments) > 60
    assert most < 30
    spool.sync()
    assert read(spool) == calls
    assert _open_files(spool) < 30
    spool.give_back(spool.end >> 32)
    assert len(spool.segments) == 1
    spool.close()
    spool.discard()
    assert [*spool.directory.glob("*.segment")] == []


def test_a_segment_that_somebody_deletes_does_not_hold_up_those_behind_it(spool: Spool) -> None:
    for number in range(100):
        spool.append(begin(str(number), 10_000))
    gone = spool.segments[2]
    assert gone.path is not None
    gone.path.unlink()
    reader = SpoolReader(spool)
    found = [event for _place, event in reader.take(1_000)]
    assert found.count(None) == 1
    assert 90 < len(found) <= 96
    assert reader.position == spool.end


def test_a_segment_that_cannot_be_opened_now_is_read_later(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = [str(number) for number in range(100)]
    for call in calls:
        spool.append(begin(call, 10_000))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", mock.Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
        assert read(spool) == []
    assert "the spool cannot be read now: Too many open files" in caplog.text
    assert read(spool) == calls


def test_files_are_for_their_owner_alone(spool: Spool) -> None:
    spool.append(begin("a"))
    assert stat.S_IMODE(spool.directory.stat().st_mode) == 0o700
    for path in spool.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_event_larger_than_a_segment_has_one_of_its_own(spool: Spool) -> None:
    assert spool.append(begin("small"))
    spool.prepare()
    assert spool.append(begin("large", 3 * SEGMENT))
    assert spool.append(begin("after"))
    assert read(spool) == ["small", "large", "after"]


def test_a_spool_that_was_full_takes_calls_again_when_there_is_room(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    directory.mkdir()
    (directory / "of-others").write_bytes(bytes(2**20))
    spool = Spool(directory, max_bytes=2**20)
    assert not spool.append(begin("refused"))
    assert spool.dropped_calls == 1
    (directory / "of-others").unlink()
    spool.prepare()
    assert spool.append(begin("taken"))


def test_an_event_too_large_for_the_room_refuses_no_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=2**20)
    assert spool.append(begin("first"))
    assert not spool.append(begin("huge", 2**21))
    assert spool.append(begin("second"))


def test_the_end_of_a_call_has_room_where_a_beginning_has_none(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=2**20)
    calls = 0
    while spool.append(begin(str(calls))):
        calls += 1
    assert all(spool.append(finish(str(call))) for call in range(500))
    assert spool.track is not None
    assert spool.track.state.dropped_calls == spool.dropped_calls == 1


def test_an_event_from_a_finalizer_in_the_middle_of_making_room_is_kept_in_order(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append(begin("0"))
    make: Callable[..., object] = spool._new

    def interrupted(size: int, *, room: int) -> object:
        if len(spool.segments) < 4:
            spool.append(begin(f"inner-{len(spool.segments)}"))
        return make(size, room=room)

    monkeypatch.setattr(spool, "_new", interrupted)
    written = 1
    while len(spool.segments) < 6:
        spool.append(begin(str(written)))
        written += 1
    numbers = [one.number for one in spool.segments]
    assert numbers == sorted(numbers)
    assert all(one.sealed for one in spool.segments[:-1])
    found = read(spool)
    assert len(found) == len(set(found)) == written + 3


def test_a_track_belongs_to_one_owner_and_can_be_adopted_when_that_is_gone(spool: Spool) -> None:
    spool.append(begin("a"))
    (name,) = names(spool.directory)
    assert look(spool.directory, name)[1]
    assert Track.adopt(spool.directory, name) is None
    spool.close()
    spool.leave()
    assert not look(spool.directory, name)[1]
    adopted = Track.adopt(spool.directory, name)
    assert adopted is not None
    (path,) = segments(spool.directory, name)
    assert [found[1] for some in read_segment(path) for found in some] == [begin("a")]
    adopted.leave()


def test_what_a_track_could_not_keep_is_remembered_when_it_is_gone(tmp_path: Path) -> None:
    for _process in range(2):
        spool = Spool(tmp_path / "spool", max_bytes=2**20)
        assert spool.append(begin("a"))
        assert not spool.append(begin("huge", 2**21))
        spool.close()
        spool.discard()
    assert names(tmp_path / "spool") == []
    assert losses(tmp_path / "spool").calls == 2
