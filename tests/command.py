"""The real command in a process of its own."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = 60.0
"""Seconds that a command may take."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """``python -m cajanegra`` in a bare environment and an empty directory."""

    def __init__(self, directory: Path, database_url: str | None = None, **environment: str) -> None:
        self.directory = directory
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
        self.environment = {**kept, "HOME": str(directory), "NO_COLOR": "1", **environment}
        if database_url is not None:
            self.environment["CAJANEGRA_DATABASE__URL"] = database_url

    def __call__(self, *arguments: str, stdin: str = "", columns: int = 80) -> Done:
        environment = {**self.environment, "COLUMNS": str(columns)}
        if "PYTHONPATH" in environment:  # which Python reads when it starts
            return _started(arguments, self.directory, environment, stdin)
        return _server().run(arguments, self.directory, environment, stdin)


def _started(arguments: Sequence[str], directory: Path, environment: Mapping[str, str], stdin: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "cajanegra", *arguments],
        check=False,
        capture_output=True,
        text=True,
        input=stdin,
        cwd=directory,
        env=environment,
        timeout=TIMEOUT,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class _Server:
    """Forks the processes, which cost a fraction of what starting Python costs."""

    def __init__(self) -> None:
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("command_server.py")), str(orders), str(answers)],
            pass_fds=(orders, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(orders)
        os.close(answers)
        atexit.register(self.close)

    def run(
        self, arguments: Sequence[str], directory: Path, environment: Mapping[str, str], stdin: str
    ) -> Done:
        with tempfile.TemporaryDirectory() as name:
            streams = [Path(name, stream) for stream in ("stdin", "stdout", "stderr")]
            for stream in streams:
                stream.write_text(stdin if stream.name == "stdin" else "", encoding="utf-8")
            order = {
                "arguments": arguments,
                "directory": str(directory),
                "environment": environment,
                "streams": [str(stream) for stream in streams],
            }
            os.write(self._orders, json.dumps(order).encode() + b"\n")
            code = self._code()
            return Done(code, *(stream.read_text(encoding="utf-8") for stream in streams[1:]))

    def close(self) -> None:
        os.close(self._orders)
        self._process.wait(TIMEOUT)

    def _code(self) -> int:
        pid = self._number(TIMEOUT)
        try:
            return self._number(TIMEOUT)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._number(TIMEOUT)
            raise

    def _number(self, timeout: float) -> int:
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._answers], [], [], timeout)
            if not ready:
                raise TimeoutError(f"the command has not ended after {timeout:.0f} s")
            byte = os.read(self._answers, 1)
            if not byte:
                raise RuntimeError("the process that forks the commands has ended")
            line += byte
        return int(line)


_servers = threading.local()


def _server() -> _Server:
    """This thread's."""
    server: _Server | None = getattr(_servers, "server", None)
    if server is None:
        server = _servers.server = _Server()
    return server
