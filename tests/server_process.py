"""A real ``cajanegra serve`` in processes of its own, and a client for it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import Command

_START = 120.0
"""Seconds that a server has to be ready on a busy machine."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """One that is running, on a port of its own choice."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        self.port = 0

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def workers(self) -> list[int]:
        """Process ids of those that serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def wait_until_ready(self) -> None:
        def listening() -> int:
            found = [line for line in self.log.splitlines() if "cajanegra serves http" in line]
            assert self.process.poll() is None, self.log
            return int(found[0].partition("(")[0].strip().rpartition(":")[2]) if found else 0

        self.port = until(listening)
        until(lambda: self._answers() == 200)

    def _answers(self) -> int:
        try:
            return self.get("/health/live").status
        except OSError:
            return 0


def until(found: Callable[[], Any], seconds: float = _START) -> Any:
    """What a function returns once that is something."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)
    return value


@contextmanager
def serving(cajanegra: Command, *arguments: str) -> Iterator[Server]:
    """A server that runs ``cajanegra serve`` as the command does other things."""
    log = cajanegra.directory / f"serve-{time.monotonic_ns()}.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cajanegra", "serve", "--port", "0", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cajanegra.directory,
            env=cajanegra.environment,
            start_new_session=True,
        )
    server = Server(process, log)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
