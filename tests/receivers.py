"""A real HTTP receiver for alerts, which answers as it is told."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came in, and what is to be answered: the statuses in turn, the last one for ever."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    stall: float = 0.0
    """Seconds until it answers."""
    delay: float = 0.0
    """Seconds between two bytes of the answer."""
    answer: bytes = b"ok"
    bodies: list[Any] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.raw.append(body)
        self.bodies.append(json.loads(body))
        self.headers.append({name.lower(): value for name, value in headers.items()})
        self.came.set()
        return status


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = state.take(body, dict(self.headers))
            time.sleep(state.stall)
            self.send_response(status)
            self.send_header("Location", f"{state.url}/elsewhere")
            self.send_header("Content-Length", str(len(state.answer)))
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked has gone
                for byte in state.answer:
                    time.sleep(state.delay)
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class calls it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/very-secret"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
