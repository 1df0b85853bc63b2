"""Tells whoever answers a request that its client has left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from starlette.types import Receive, Scope

logger = logging.getLogger("cajanegra.server")

_IN_STATE = "cajanegra.departure"


class Departure(Protocol):
    """Of one client; one at a time waits for it."""

    def tell(self, leave: Callable[[], object]) -> None:
        """Call this once the client has left, or now if it has."""

    def forget(self) -> None:
        """It need not be called any more."""


class OfConnection:
    """A departure that the connection itself tells of: nobody has to wait for it in a task of its own."""

    def __init__(self) -> None:
        self._leave: Callable[[], object] | None = None
        self._has_happened = False

    def tell(self, leave: Callable[[], object]) -> None:
        """See ``Departure.tell``."""
        if self._has_happened:
            leave()
        else:
            self._leave = leave

    def forget(self) -> None:
        """See ``Departure.forget``."""
        self._leave = None

    def happen(self) -> None:
        """The connection is gone."""
        self._has_happened = True
        if self._leave is not None:
            self._leave()

    def joined(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state with which those who answer a request know of it."""
        return {**state, _IN_STATE: self}


class _OfReceive:
    """A departure that is known by asking for messages, as any ASGI server tells it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self._leave: Callable[[], object] | None = None

    def tell(self, leave: Callable[[], object]) -> None:
        self._leave = leave
        self._watch = asyncio.get_running_loop().create_task(self._until_gone())
        self._watch.add_done_callback(self._tell)

    def forget(self) -> None:
        self._leave = None
        if self._watch is not None:
            self._watch.cancel()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _tell(self, watch: asyncio.Task[None]) -> None:
        if watch.cancelled():
            return
        if error := watch.exception():  # nobody will hear of the client any more
            logger.debug("a client is taken for gone: %s", error)
        if self._leave is not None:
            self._leave()


def departure_of(scope: Scope, receive: Receive) -> Departure:
    """The departure of the client of a request, whose body has been read."""
    known: OfConnection | None = scope.get("state", {}).get(_IN_STATE)
    return known or _OfReceive(receive)
