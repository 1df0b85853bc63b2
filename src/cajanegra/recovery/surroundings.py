"""What every call of a client shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from cajanegra.ports import CallLog, Prices
from cajanegra.recovery.advice import Advice
from cajanegra.recovery.decision import Policy
from cajanegra.recovery.health import Health
from cajanegra.recovery.routing import Route


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every call shares: the limits, what was learned, the clocks and who is told."""

    log: CallLog
    policy: Policy
    health: Health
    advice: Advice
    routes: Mapping[str, Route]
    """The providers by their names."""
    clock: Callable[[], float]
    """Seconds, monotonic."""
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    """A random number in [0, 1)."""
    prices: Prices | None = None
