"""How many repetitions a tenant may still ask of a provider, so that retries never make an outage worse."""

from __future__ import annotations

from collections import OrderedDict

REFUND = 0.1
"""What an answer gives back of what a failure takes."""
MOST_TENANTS = 10_000
"""Buckets that are kept; the ones that were not touched for the longest time are forgotten, full again."""


class RetryBudget:
    """A token bucket per provider account and tenant, after gRPC's retry throttling (proposal A6).

    A failure takes one token, an answer gives back a tenth, and nothing is repeated while the bucket is no
    more than half full. Other tenants are not touched by it.

    Args:
        size: tokens of a full bucket; 0 is no limit.
    """

    def __init__(self, size: int) -> None:
        self._size = float(size)
        self._spent: OrderedDict[tuple[str, str | None], float] = OrderedDict()

    def allows(self, account: str, tenant: str | None) -> bool:
        """Whether a request may be repeated."""
        return not self._size or self._spent.get((account, tenant), 0.0) < self._size / 2

    def failed(self, account: str, tenant: str | None) -> None:
        """An attempt failed."""
        key = (account, tenant)
        self._spent[key] = min(self._spent.pop(key, 0.0) + 1.0, self._size)
        if len(self._spent) > MOST_TENANTS:
            self._spent.popitem(last=False)

    def answered(self, account: str, tenant: str | None) -> None:
        """An attempt was answered."""
        key = (account, tenant)
        spent = self._spent.get(key)
        if spent is None:
            return
        if spent <= REFUND:
            del self._spent[key]
        else:
            self._spent[key] = spent - REFUND
