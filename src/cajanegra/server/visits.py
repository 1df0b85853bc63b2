"""Counts and logs requests that have ended together: one by itself takes three times as long.

By the time that a request has ended the processor's caches have lost the code that counts and logs it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

import msgspec

from cajanegra.server.access_log import LineHandler, access_log
from cajanegra.server.metrics import Metrics

LATE = 0.05
"""Seconds that one may wait."""
MOST = 1_000
"""How many may wait."""
_LINE = "%s %s %s %d %d bytes %.1f ms %s"


class Visit(msgspec.Struct, frozen=True, gc=False):
    """A request that has ended.

    Attributes:
        at: when it did, in seconds since the Unix epoch.
        address: of the client.
        method: of HTTP.
        path: as it came, without the query.
        operation: what was asked for, in a word of ours.
        status: of the response; 0 where there was none.
        size: bytes of its body.
        seconds: that it took.
        request_id: of the HTTP request.
    """

    at: float
    address: str
    method: str
    path: str
    operation: str
    status: int
    size: int
    seconds: float
    request_id: str


class Visits:
    """Requests that wait to be counted and logged; ``note`` is for the event loop.

    Args:
        metrics: where they are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        metrics.before_telling = self.flush
        self._ended: deque[Visit] = deque()
        self._due_on: asyncio.AbstractEventLoop | None = None
        """The event loop that is going to flush; it may have ended before that."""
        self._may_wait = True

    def note(self, visit: Visit) -> None:
        """Count and log a request with those that end within a moment."""
        self._ended.append(visit)
        if not self._may_wait or len(self._ended) >= MOST:
            self.flush()
        else:
            self._flush_soon()

    def flush(self) -> None:
        """Count and log those that wait."""
        self._due_on = None
        while self._ended:
            try:
                visit = self._ended.popleft()
            except IndexError:  # another thread was faster
                break
            self._metrics.note_request(visit.method, visit.operation, visit.status, visit.seconds)
            if access_log.isEnabledFor(logging.INFO):
                access_log.handle(_record(visit))
        for handler in access_log.handlers:
            if isinstance(handler, LineHandler):
                handler.flush()

    def hurry(self) -> None:
        """Have none wait any more: a process that a signal ends goes without a further word."""
        self._may_wait = False
        self.flush()

    def _flush_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody would come back to it
            self.flush()
            return
        if self._due_on is not loop:
            self._due_on = loop
            loop.call_later(LATE, self.flush)


def _record(visit: Visit) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": access_log.name,
            "levelno": logging.INFO,
            "levelname": "INFO",
            "msg": _LINE,
            "args": (
                visit.address,
                visit.method,
                visit.path,
                visit.status,
                visit.size,
                visit.seconds * 1000,
                visit.request_id,
            ),
            "created": visit.at,
            "msecs": visit.at % 1 * 1000,
        }
    )
