"""The real server in a process of its own, in front of providers that a test serves."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cajanegra.domain.principal import ALL_TENANTS, Role, Scope
from cajanegra.storage import keys, reads
from cajanegra.storage.database import Database
from provider_servers import Exchange, Script, Server, answers, chat_completion, serve
from records import NOW

START = 120.0
"""Seconds."""
HELLO: Any = [{"role": "user", "content": "Hola"}]
GOOD = json.dumps({"model": "gpt-4o-mini", "messages": HELLO}).encode()
"""A body that is answered."""


@dataclass
class Gateway:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    database: Database
    directory: Path

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"

    @property
    def host(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def key(self, scope: Scope = "acme", role: Role = Role.WRITER, **known: Any) -> str:
        """A new key's text."""
        return keys.create(self.database, scope=scope, role=role, now=NOW, **known)[1].text

    def stop(self) -> int:
        """End it as a supervisor would, and wait until the record is written."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START)

    def configure(self, **sections: Any) -> None:
        write_settings(self.directory, sections)


@contextmanager
def gateway(
    directory: Path,
    database: Database,
    environment: Mapping[str, str] | None = None,
    files: int | None = None,
    **sections: Any,
) -> Iterator[Gateway]:
    """``cajanegra serve`` with these sections as its settings, and so many files; ends with the block."""
    write_settings(directory, sections)
    kept = {name: os.environ[name] for name in ("PATH", "XDG_STATE_HOME") if name in os.environ}
    url = database.url.render_as_string(hide_password=False)
    log = directory / "server.log"
    command = [sys.executable, "-m", "cajanegra", "serve", "--port", "0", "--db", url]
    if files is not None:
        command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**kept, "HOME": str(directory), **(environment or {})},
            stderr=stderr,
        )
    try:
        yield Gateway(_address(process, log), process, database, directory)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(START)
        finally:
            process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server is, once it answers there."""
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"cajanegra serves (http://\S+)", log.read_text())
        if found and _answers(found[1]):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"the server does not answer: {log.read_text()}")


def _answers(url: str) -> bool:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=1)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def write_settings(directory: Path, sections: Mapping[str, Any]) -> None:
    """The settings as a file, moved into place at once."""
    text = "".join(f"{name} = {_toml(value)}\n" for name, value in sections.items())
    new = directory / "cajanegra.toml.new"
    new.write_text(text)
    new.rename(directory / "cajanegra.toml")


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value)


def provider(name: str, url: str, models: Sequence[str] = ("gpt-4o-mini",), **more: Any) -> dict[str, Any]:
    """A provider of the settings, at a URL without a version."""
    base_url = url if more.get("kind") == "ollama" else f"{url}/v1"
    return {"name": name, "base_url": base_url, "models": list(models), **more}


class Upstream:
    """A provider whose script a test may change."""

    def __init__(self) -> None:
        self.script: Script = answers(chat_completion())
        self.server: Server

    async def __call__(self, exchange: Exchange) -> None:
        await self.script(exchange)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def last(self) -> Any:
        """The body of the newest request."""
        return self.server.requests[-1]


@contextmanager
def upstream() -> Iterator[Upstream]:
    """A provider on a thread of its own."""
    made, started, stop = Upstream(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with serve(made) as made.server:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert started.wait(START)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START)
        loop.close()


def recorded(database: Database, request_id: str) -> reads.CallDetail:
    """A call as the record has it, once it is there."""
    until = time.monotonic() + START
    while time.monotonic() < until:
        if found := reads.call(database, ALL_TENANTS, request_id):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{request_id} is not in the record")


def head(key: str, length: int | None, *more: str, path: str = "/v1/chat/completions") -> bytes:
    """The head of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def response_of(client: socket.socket) -> tuple[int, Any]:
    """The status and the JSON that come next."""
    file = client.makefile("rb")
    status = int(file.readline().split()[1])
    length = 0
    while (line := file.readline().strip()) != b"":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, json.loads(file.read(length) or b"null")
