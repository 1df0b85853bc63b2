"""Reads the settings anew while serving: providers and what goes with them, without dropping a request."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from cajanegra.domain.principal import ALL_TENANTS, Principal, Role
from cajanegra.errors import SettingsError
from cajanegra.server.authentication import Authentication
from cajanegra.server.context import Context
from cajanegra.server.gateway.assembly import new_upstream
from cajanegra.server.gateway.gateway import Gateway
from cajanegra.server.problems import ProblemError, ProblemRoute, responses
from cajanegra.settings import Settings

logger = logging.getLogger("cajanegra.server")

_AT_START = ("database", "spool", "capture", "retention", "server")
"""Sections that a serving process reads when it starts."""


class Reloaded(BaseModel):
    """What a reload has come to."""

    providers: list[str] = Field(description="The chain, as calls ask it from now on.")
    restart_needed_for: list[str] = Field(
        description="Sections that have changed, and hold from a restart on."
    )


class Reloading:
    """Has the gateway go on with the settings as they are now.

    Args:
        context: has the settings that hold.
        gateway: goes on.
        can_read: whether the settings come from where they can be read again.
    """

    def __init__(self, context: Context, gateway: Gateway, *, can_read: bool) -> None:
        self._context = context
        self._gateway = gateway
        self._can_read = can_read
        self._running: asyncio.Task[None] | None = None

    async def now(self) -> Reloaded:
        """Read them; requests under way end as they began.

        Raises:
            SettingsError: they cannot be used; everything stays as it was.
        """
        if not self._can_read:
            raise SettingsError(
                "the application was made with settings of its own, which cannot be read again"
            )
        settings = await asyncio.to_thread(Settings)
        started = self._context.settings
        changed = [name for name in _AT_START if getattr(settings, name) != getattr(started, name)]
        if "database" in changed:
            raise SettingsError("another database needs a restart; nothing has changed")
        self._gateway.use(await asyncio.to_thread(new_upstream, settings, self._context))
        names = [provider.name for provider in settings.chain]
        logger.info("the settings were read anew; the chain is %s", ", ".join(names) or "empty")
        return Reloaded(providers=names, restart_needed_for=changed)

    def soon(self) -> None:
        """The same, for a signal; what is wrong is logged."""
        self._running = asyncio.create_task(self._logged())

    async def _logged(self) -> None:
        try:
            await self.now()
        except SettingsError as error:
            logger.error("the settings stay as they were: %s", error)  # noqa: TRY400 - its message says it all


def reload_router(reloading: Reloading, authentication: Authentication) -> APIRouter:
    """The route that has all serving processes read the settings anew."""
    router = APIRouter(route_class=ProblemRoute, tags=["administration"])

    @router.post("/admin/reload", responses=responses(401, 403, 422, 429))
    async def reload(
        principal: Principal = Depends(authentication),  # noqa: B008, FAST002 - an annotation finds none
    ) -> Reloaded:
        """Read the settings anew: providers, models, recovery, knowledge. Wrong ones change nothing."""
        if principal.scope is not ALL_TENANTS or not principal.may(Role.ADMIN):
            raise ProblemError(403, "this concerns all tenants; give an admin's key of all")
        try:
            done = await reloading.now()
        except SettingsError as error:
            raise ProblemError(422, str(error)) from None
        if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
            os.kill(parent.pid, signal.SIGUSR1)  # which tells the others
        return done

    return router
