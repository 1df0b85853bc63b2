"""When there is no room for an event the host carries on, and what could not be kept is counted to the last one."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.check import missing_events
from crash.fleet import Fleet, ended, fleet
from crash.ledger import read_all
from crash.size import LONG

DISK = 12 * 2**20
"""Bytes of the small disk."""


@pytest.fixture(params=["disk", "limit"] if LONG else ["disk"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | None]:
    """A small disk of our own; ``None`` where we may not mount one, for a limit to the size of files."""
    if request.param == "limit":
        yield None
        return
    directory = tmp_path / "disk"
    directory.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK}", "cajanegra-tests", str(directory)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_disk_that_is_full_for_a_while(sqlite_url: str, tmp_path: Path, disk: Path | None) -> None:
    with fleet(sqlite_url, tmp_path, dir=str(disk or tmp_path / "spool")) as ships:
        caller = ships.caller("--pause", "0", *(() if disk else ("--full-for", "0.5")))
        if disk is not None:
            with filled(disk):
                time.sleep(1.5)
        time.sleep(0.5)
        assert end_and_account(ships, caller) == account(ships), "all of it was this caller's"


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """A disk on which not a byte is left, for as long."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    yield
    ballast.unlink()


def test_a_spool_that_has_reached_its_limit(postgres_url: str, tmp_path: Path) -> None:
    with fleet(postgres_url, tmp_path, max_bytes=str(2**20)) as ships:
        callers = [ships.caller("--pause", "0", "--threads", "4") for _ in range(2)]
        time.sleep(1)
        for caller in callers[1:]:
            caller.kill()
            caller.communicate()
        end_and_account(ships, callers[0])


def test_a_caller_that_dies_on_a_full_disk(sqlite_url: str, tmp_path: Path, disk: Path | None) -> None:
    with fleet(sqlite_url, tmp_path, dir=str(disk or tmp_path / "spool")) as ships:
        caller = ships.caller("--pause", "0", *(() if disk else ("--full-for", "60")))
        with contextlib.ExitStack() as stack:
            if disk is not None:
                stack.enter_context(filled(disk))
            time.sleep(1)
            caller.kill()
            caller.communicate()
        account(ships)


def end_and_account(ships: Fleet, caller: subprocess.Popen[str]) -> int:
    """End a caller, which says how much it has dropped; how much is missing."""
    said = ended(caller)
    assert said["dropped"] > 0, "there was room for all"
    assert account(ships) >= said["dropped"]
    return int(said["dropped"])


def account(ships: Fleet) -> int:
    """Drain, and require that exactly what is missing is counted as dropped."""
    ships.drained()
    status = ships.status()
    least, most = missing_events(ships.url, read_all(ships.ledgers))
    counted: int = status["dropped_calls"] + status["dropped_events"]
    assert 0 < least <= counted <= most
    return counted
