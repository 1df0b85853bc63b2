"""Limits how often an address may try keys that do not hold; in bounded memory."""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import OrderedDict
from collections.abc import Callable

ATTEMPTS = 10
"""Failed attempts that an address may make at once."""
PER_SECOND = ATTEMPTS / 60
"""How fast it gets them back."""
MAX_ADDRESSES = 10_000
"""Addresses remembered; the one that was quiet for longest is forgotten first."""
_IPV6_NETWORK = 64
"""Bits of an IPv6 address that a single customer usually has all of."""


class FailedAttempts:
    """A token bucket per address, which only failures empty.

    Keys have 256 random bits, so nobody is kept from guessing one by this: it keeps guesses from costing a
    query each.

    Args:
        timer: seconds of a monotonic clock.
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, address: str) -> int:
        """Seconds until this address may try again; 0 is now."""
        with self._lock:
            tokens = self._tokens(_network(address))
        return 0 if tokens >= 1 else math.ceil((1 - tokens) / PER_SECOND)

    def note(self, address: str) -> None:
        """This address has tried a key that does not hold."""
        network = _network(address)
        with self._lock:
            self._buckets[network] = (max(self._tokens(network) - 1, 0.0), self._timer())
            self._buckets.move_to_end(network)
            if len(self._buckets) > MAX_ADDRESSES:
                self._buckets.popitem(last=False)

    def _tokens(self, network: str) -> float:
        if network not in self._buckets:
            return float(ATTEMPTS)
        tokens, at = self._buckets[network]
        return min(tokens + (self._timer() - at) * PER_SECOND, float(ATTEMPTS))


def _network(address: str) -> str:
    """What is counted together: an IPv4 address, an IPv6 network; anything else as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6:  # noqa: PLR2004
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))
    return str(found)
