"""How the server is: database, spool, providers; looked at when asked, and at most every two seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.concurrency import run_in_threadpool

from cajanegra import bootstrap
from cajanegra.errors import SchemaError, StorageError
from cajanegra.ports import ProviderState
from cajanegra.recording import backlog
from cajanegra.recording.backlog import Backlog
from cajanegra.server.context import Context
from cajanegra.storage import keys
from cajanegra.storage.database import server_version
from cajanegra.storage.provider_states import ProviderStates

logger = logging.getLogger("cajanegra.server")

DatabaseState = Literal["ok", "no_tables", "unreachable"]
FRESH = 2.0
"""Seconds for which what was found out is told again, and for which an answer is waited for."""


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """How the database is.

    Attributes:
        state: whether it answers and has the tables.
        version: what it is, such as ``PostgreSQL 17.5``; ``None`` where it does not answer.
    """

    state: DatabaseState
    version: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    health: DatabaseHealth
    at: float


class Monitoring:
    """Looks at what the server depends on.

    Args:
        context: databases and settings.
        timer: seconds of a monotonic clock.
    """

    def __init__(self, context: Context, timer: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._timer = timer
        self._found: _Found | None = None
        self._looking: asyncio.Task[DatabaseHealth] | None = None
        self._was_ready = False

    async def database(self) -> DatabaseHealth:
        """How the database is; one look at a time, however many ask."""
        found = self._found
        if found is not None and self._timer() - found.at < FRESH:
            return found.health
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(run_in_threadpool(self._look))
        try:
            return await asyncio.wait_for(asyncio.shield(self._looking), FRESH)
        except TimeoutError:
            return DatabaseHealth("unreachable")

    async def is_ready(self) -> bool:
        """Whether requests should be sent here.

        Not before the database has answered once, nor while the server stops. An outage of the database later
        changes nothing: it is the same for every server, and calls are recorded all the while.
        """
        if not self._was_ready:
            self._was_ready = (await self.database()).state == "ok"
        return self._was_ready and not self._context.stopping.is_set()

    def spool(self) -> Backlog | None:
        """What waits for the database; ``None`` where the spool cannot be read. Reads files."""
        try:
            return backlog.look(bootstrap.spool_directory(self._context.settings))
        except OSError as error:
            logger.warning("the spool cannot be read: %s", error.strerror or error)
            return None

    def held_providers(self, now: float) -> list[ProviderState]:
        """Which accounts and models are not asked at a time (seconds since the epoch), as processes tell.

        Raises:
            StorageError: the database cannot be read.
        """
        states = ProviderStates(self._context.database).read(0)
        return [state for state in states if state.kind and state.until > now]

    def _look(self) -> DatabaseHealth:
        state: DatabaseState = "ok"
        version = None
        try:
            version = server_version(self._context.database)
            keys.is_any(self._context.database)
        except SchemaError:
            state = "no_tables"
        except StorageError as error:
            logger.warning("%s", error)
            state = "unreachable"
        health = DatabaseHealth(state, version)
        self._found = _Found(health, self._timer())
        return health
