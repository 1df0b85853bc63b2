"""The providers behind the gateway, as the settings were when they were read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cajanegra import bootstrap
from cajanegra.domain.call import Operation
from cajanegra.ports import CallLog
from cajanegra.recording.unrecorded import Unrecorded
from cajanegra.recovery.memory import Memory
from cajanegra.recovery.routing import resolve
from cajanegra.recovery.target import Target
from cajanegra.settings import Settings

_CLOSING = 5.0
"""Seconds that telling other processes what was learned may take at the end."""


class Upstream:
    """Routes and engine for one reading of the settings; another reading makes another one.

    Args:
        settings: what is served.
        log: where calls are written down.

    Attributes:
        engine: asks, and writes down.
        silent_engine: the same for callers who write down themselves.

    Raises:
        SettingsError: the settings are wrong, or a provider's key is not there.
    """

    def __init__(self, settings: Settings, log: CallLog) -> None:
        self.settings = settings
        self.patterns = bootstrap.new_patterns(settings)
        self._routes = bootstrap.new_routes(settings)
        self.prices = bootstrap.new_prices(settings)
        self.engine, self._sharing = bootstrap.new_engine(settings, log, self._routes, self.prices)
        self.silent_engine = self.engine.with_log(Unrecorded())
        self._targets = Memory[tuple[str, Operation], Sequence[Target]]()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def targets(self, model: str, operation: Operation) -> Sequence[Target]:
        """Whom a request for a model may ask, in order.

        Raises:
            SettingsError: nobody is configured.
            UsageError: nobody there speaks what is asked.
        """
        asked = (model, operation)
        found = self._targets.get(asked)
        if found is None:
            found = resolve(self._routes, self.settings.models, model, operation)
            self._targets[asked] = found
        return found

    def retry_budgets(self) -> list[tuple[str, str | None, float]]:
        """The retry budgets that are not full: provider, tenant, and the share that is left (0 to 1)."""
        names = {route.account: route.provider.name for route in self._routes}
        found = self.engine.health.budget.left()
        return [(names.get(account, account), tenant, share) for account, tenant, share in found]

    def models(self) -> list[tuple[str, str]]:
        """Every name that can be asked for, and who owns it: aliases, ``provider/model``, bare names."""
        names = dict.fromkeys(self.settings.models, "cajanegra")
        for route in self._routes:
            for model in route.models:
                names.setdefault(f"{route.provider.name}/{model}", route.provider.name)
        for route in self._routes:
            for model in route.models:
                names.setdefault(model, route.provider.name)
        return [*names.items()]

    def enter(self) -> None:
        """A request begins that asks here."""
        self._under_way += 1
        self._idle.clear()

    def leave(self) -> None:
        """It has ended."""
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def retire(self) -> None:
        """Close every connection as soon as nobody asks here any more."""
        await self._idle.wait()
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for provider in {id(route.provider): route.provider for route in self._routes}.values():
            await provider.aclose()
        await asyncio.to_thread(self._sharing.close, _CLOSING)
