"""Callers and drains as processes of their own, on one database and any number of hosts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent
END = 30.0
"""Seconds after which a process that should have ended is taken to hang."""


class Fleet:
    """Starts processes on a database.

    Args:
        url: the database.
        directory: where the ledgers and the spools of all hosts go.
        spool: further settings of ``[spool]``.
    """

    def __init__(self, url: str, directory: Path, **spool: str) -> None:
        self.url = url
        self.ledgers = directory / "ledgers"
        self.ledgers.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._spool = spool
        self._started = 0
        self._processes: list[subprocess.Popen[str]] = []

    def spool_of(self, host: int = 0) -> Path:
        """The spool directory of a host."""
        return Path(self._spool.get("dir") or self._directory / f"host-{host}")

    def environment(self, host: int = 0) -> dict[str, str]:
        """The settings as a process of that host finds them."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CAJANEGRA_")}
        spool = {**self._spool, "dir": str(self.spool_of(host))}
        return {
            **kept,
            "HOME": str(self._directory),
            "PYTHONPATH": str(TESTS),
            "CRASH_LEDGERS": str(self.ledgers),
            "CAJANEGRA_DATABASE__URL": self.url,
            "CAJANEGRA_CAPTURE__CONTENT": "full",
            **{f"CAJANEGRA_SPOOL__{name.upper()}": value for name, value in spool.items()},
        }

    def start(
        self, *arguments: str, host: int = 0, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start ``python`` with these arguments; it is killed with the fleet if it is still there."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._directory,
            env=self.environment(host) | dict(environment or {}),
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def caller(self, *arguments: str, host: int = 0) -> subprocess.Popen[str]:
        """Start a caller and wait until its first call has begun."""
        self._started += 1
        name = f"h{host}c{self._started}"
        process = self.start(
            "-m", "crash.caller", "--ledger", str(self.ledgers), "--name", name, *arguments, host=host
        )
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == "ready\n", said + process.communicate()[1]
        return process

    def drain(self, *options: str, host: int = 0) -> subprocess.Popen[str]:
        """Start ``cajanegra spool drain``."""
        return self.start("-m", "cajanegra", "spool", "drain", "--json", *options, host=host)

    def drained(self, host: int = 0) -> None:
        """Drain all that is there, to the end; nothing of it may be refused or unreadable."""
        output, errors = self.drain(host=host).communicate(timeout=END)
        assert "Traceback" not in errors, errors
        did = json.loads(output)
        assert (did["refused"], did["lost"], did["unreadable"], did["left"]) == (0, 0, 0, 0), errors

    def status(self, host: int = 0) -> dict[str, Any]:
        """What ``spool status`` says."""
        process = self.start("-m", "cajanegra", "spool", "status", "--json", host=host)
        output, errors = process.communicate(timeout=END)
        assert process.returncode == 0, errors
        status: dict[str, Any] = json.loads(output)
        return status

    def close(self) -> None:
        """Kill what is still there, children that were left behind included."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@contextmanager
def fleet(url: str, directory: Path, **spool: str) -> Iterator[Fleet]:
    """A fleet that is gone at the end."""
    made = Fleet(url, directory, **spool)
    try:
        yield made
    finally:
        made.close()


def ended(process: subprocess.Popen[str], within: float = END) -> dict[str, Any]:
    """End a caller's input, wait for it, and return what its recorder said."""
    output, errors = process.communicate(timeout=within)
    assert process.returncode == 0, errors
    said: dict[str, Any] = json.loads(output.splitlines()[-1])
    return said
