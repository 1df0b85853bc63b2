"""uvicorn's HTTP protocol, with limits for slow clients, and word of a stop and of clients that leave."""

from __future__ import annotations

import functools
import logging
import resource
from asyncio import BaseTransport, TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cajanegra.recording.throttle import Throttle
from cajanegra.server.context import STOP
from cajanegra.server.departure import OfConnection

logger = logging.getLogger("cajanegra.server")

MAX_HEAD = 64 * 2**10
"""Bytes that request line and headers may have beyond what is read at once (256 KiB at most)."""
HEAD_TIMEOUT = 30.0
"""Seconds in which they must have come, from the connection's or the request's beginning."""

READ_TIMEOUT = 60.0
"""Seconds in which a client must have read what it was sent, before more of it waits here."""

MOST_FILES = 2**20
"""Files that a process asks to be allowed."""
_FEWER_FILES = (65_536, 10_240)
"""What it asks for where so many are refused."""
_TOO_MANY_TEXT = (
    b'{"error": {"message": "the server has as many connections as it can have; try again later",'
    b' "type": "server_error", "param": null, "code": "too_many_connections"}}'
)
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n" % len(_TOO_MANY_TEXT)
) + _TOO_MANY_TEXT
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


_said = Throttle()


def allow_files() -> None:
    """Let this process, and those that it starts, have as many files open as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    for wanted in (MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES), *_FEWER_FILES):
        if wanted <= soft:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError) as error:  # some systems have a bound that they do not tell
            logger.debug("%d files may not be open: %s", wanted, error)
        else:
            return


@functools.cache
def most_connections() -> int:
    """Three fifths of the files that this process may have open: calls need some for their providers, too."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (MOST_FILES if soft == resource.RLIM_INFINITY else soft) * 3 // 5


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_one_too_many = False
        """It is told so when it asks; beyond a third more, connections are cut off at once."""
        self._head_size = 0
        self._head_timer: TimerHandle | None = None
        self._read_timer: TimerHandle | None = None
        self._departure = OfConnection()
        self.app_state = self._departure.joined(self.app_state)
        self._running: Any = None
        """The request that is being answered; ``cycle`` is of the last that has come."""

    def connection_made(self, transport: BaseTransport) -> None:
        """A client has connected, and has only so long to say what it wants."""
        super().connection_made(transport)  # type: ignore[arg-type]  # as asyncio calls it
        self._is_one_too_many = len(self.connections) > most_connections()
        if self._is_one_too_many and _said.due():
            logger.warning(
                "there are more than %d connections, and more are refused; allow the process more files",
                most_connections(),
            )
        if 3 * len(self.connections) > 4 * most_connections():
            self.transport.abort()
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._stop_timer()
        self._stop_read_timer()
        super().connection_lost(exc)
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        self._departure.happen()

    def data_received(self, data: bytes) -> None:
        """More of a request has come; one whose headers do not end is refused."""
        if self._is_one_too_many:
            self.transport.write(_TOO_MANY)
            self.transport.close()
            return
        before: Any = self.scope  # None before the first request
        super().data_received(data)
        cycle: Any = self.cycle  # None before the first request, too
        if cycle is None or cycle.scope is not self.scope:
            self._watch_head(data, is_new=self.scope is not before)
        elif self._head_timer is not None:
            self._stop_timer()
        if self.flow.read_paused and cycle is not None and not cycle.more_body and not self.pipeline:
            self.flow.resume_reading()  # a client that leaves meanwhile shows so alone

    def pause_writing(self) -> None:
        """The client does not keep up; one that reads nothing more is cut off."""
        super().pause_writing()
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(READ_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read on."""
        self._stop_read_timer()
        super().resume_writing()

    def shutdown(self) -> None:
        """The server has been told to stop: answers that never end must be told so."""
        if stop := self.app_state.get(STOP):
            stop()
        super().shutdown()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _watch_head(self, data: bytes, *, is_new: bool) -> None:
        """The headers of a request are not complete."""
        if is_new:
            self._stop_timer()
            self._head_size = 0
        else:
            self._head_size += len(data)
        self._start_timer()
        if self._head_size > MAX_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        cycle: Any = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete:
            self.transport.close()
