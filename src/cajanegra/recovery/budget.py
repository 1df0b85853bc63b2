"""How many repetitions a tenant may still ask of a provider, so that retries never make an outage worse."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

REFUND = 0.1
"""What an answer gives back of what a failure takes."""
REFILL_SECONDS = 60.0
"""Seconds in which an empty bucket fills by itself, so that nobody is shut out for good."""
MOST_TENANTS = 10_000
"""Buckets that are kept; the ones that were not touched for the longest time are forgotten, full again."""


class RetryBudget:
    """A token bucket per provider account and tenant, after gRPC's retry throttling (proposal A6).

    A failure takes one token, an answer gives back a tenth, and nothing is repeated while the bucket is no
    more than half full. Other tenants are not touched by it.

    Args:
        size: tokens of a full bucket; 0 is no limit.
        clock: seconds, monotonic.
    """

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._size = float(size)
        self._clock = clock
        self._spent: OrderedDict[tuple[str, str | None], tuple[float, float]] = OrderedDict()

    def allows(self, account: str, tenant: str | None) -> bool:
        """Whether a request may be repeated."""
        return not self._size or self._now((account, tenant)) < self._size / 2

    def failed(self, account: str, tenant: str | None) -> None:
        """An attempt failed."""
        key = (account, tenant)
        spent = self._now(key)
        self._spent[key] = (min(spent + 1.0, self._size), self._clock())
        self._spent.move_to_end(key)
        if len(self._spent) > MOST_TENANTS:
            self._spent.popitem(last=False)

    def answered(self, account: str, tenant: str | None) -> None:
        """An attempt was answered."""
        key = (account, tenant)
        if key not in self._spent:
            return
        spent = self._now(key)
        if spent <= REFUND:
            self._spent.pop(key, None)
        else:
            self._spent[key] = (spent - REFUND, self._clock())

    def left(self) -> list[tuple[str, str | None, float]]:
        """Of each bucket that is not full: account, tenant, and the share that is left (0 to 1)."""
        if not self._size:
            return []
        shares = [(*key, 1.0 - self._now(key) / self._size) for key in self._spent]
        return [one for one in shares if one[2] < 1.0]

    def _now(self, key: tuple[str, str | None]) -> float:
        """Tokens that are missing from a bucket."""
        spent, at = self._spent.get(key, (0.0, 0.0))
        return max(spent - (self._clock() - at) * self._size / REFILL_SECONDS, 0.0) if spent else 0.0
