"""A host's application: one recorder, made when this is imported, and the calls that it is told to make."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from cajanegra import Recorder, Settings
from crash.events import events
from crash.ledger import Ledger

recorder = Recorder(Settings())
_ledger = Ledger(Path(os.environ["CRASH_LEDGERS"]) / "host.ledger")


def call(request_id: str) -> int:
    """Make a call from its beginning to its feedback; the process that made it."""
    for _ in events(recorder, _ledger, request_id):
        pass
    return os.getpid()


def begin(request_id: str) -> Callable[[], None]:
    """Begin a call; a function that makes the rest of it."""
    rest = events(recorder, _ledger, request_id)
    next(rest)

    def end() -> None:
        for _ in rest:
            pass

    return end


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """``GET /ID`` makes the call of that id and answers with the number of the process."""
    pid = call(environ["PATH_INFO"].strip("/"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(pid).encode()]


async def asgi(
    scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    """The same for asynchronous servers."""
    if scope["type"] != "http":
        raise NotImplementedError
    pid = call(scope["path"].strip("/"))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(pid).encode()})


if os.environ.get("CRASH_CALL_AT_IMPORT"):
    call(
        f"at-import-{os.getpid()}"
    )  # so that a server that loads its application before it forks has begun to record
