"""Holds keys to their limits, together with the other serving processes, through the database.

Requests are taken from the minute in shares, so that all processes together never grant more than that.
Tokens and money are known when an answer is there: what others have used is looked up once a second while a
key is in use, so a key can exceed them by what is under way and by what other processes answer in a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cajanegra.errors import StorageError
from cajanegra.server.gateway.refusals import Headers, RefusalError
from cajanegra.storage import key_limits
from cajanegra.storage.database import Database
from cajanegra.storage.key_limits import NANOS, Used
from cajanegra.storage.keys import Key

logger = logging.getLogger("cajanegra.server")

EXCHANGED_EVERY = 1.0
"""Seconds between two looks at what other processes have used."""
STALE = 3.0
"""Seconds after which a request waits for such a look: the key was not in use here."""
SHARES = 20
"""Of a minute's requests, one is taken at a time."""
_KEPT_MINUTES = 60


@dataclass(slots=True)
class _Spent:
    """What a key has used in a period: as the database had it last, and what it has not been told yet."""

    period: str = ""
    tokens: int = 0
    cost: int = 0
    new_tokens: int = 0
    new_cost: int = 0

    def begin(self, period: str) -> None:
        if period != self.period:
            self.period, self.tokens, self.cost, self.new_tokens, self.new_cost = period, 0, 0, 0, 0


@dataclass(slots=True)
class _Account:
    """One key in this process."""

    key_id: int
    minute: _Spent = field(default_factory=_Spent)
    month: _Spent = field(default_factory=_Spent)
    share: int = 0
    """Requests of the minute that are this process's to grant."""
    granted: int = 0
    """Requests that it has granted in the minute."""
    exchanged_at: float = -math.inf
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Limits:
    """What keys have used of their limits, as this process knows it. Used on one event loop.

    Args:
        database: shared by all processes.
        clock: seconds since the Unix epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._accounts: dict[int, _Account] = {}
        self._unsent: list[Used] = []
        """Of periods that are over."""
        self._exchanging: asyncio.Task[None] | None = None

    async def admit(self, key: Key) -> None:
        """Let a request begin.

        Raises:
            RefusalError: 429, with the time from which on it may.
        """
        limits = key.limits
        if limits is None:
            return
        account = self._account(key.id)
        if self._clock() - account.exchanged_at > STALE:
            await self._exchange()
        self._exchange_soon()
        now = self._clock()
        if limits.monthly_budget is not None:
            spent = account.month.cost + account.month.new_cost
            if spent >= limits.monthly_budget * NANOS:
                raise _over_budget(limits.monthly_budget, now)
        if limits.tokens_per_minute is not None:
            used = account.minute.tokens + account.minute.new_tokens
            if used >= limits.tokens_per_minute:
                raise _too_many("tokens", limits.tokens_per_minute, now)
        if limits.requests_per_minute is not None:
            await self._take(account, limits.requests_per_minute)

    def charge(self, key: Key, tokens: int, cost: float | None) -> None:
        """Count what a call has used.

        Args:
            key: whose call it was.
            tokens: of prompt and answer.
            cost: in US dollars; ``None`` where nobody knows, which counts nothing.
        """
        account = self._account(key.id)
        for spent in (account.minute, account.month):
            spent.new_tokens += tokens
            spent.new_cost += round((cost or 0) * NANOS)
        self._exchange_soon()

    async def aclose(self) -> None:
        """Tell the database what it does not know yet."""
        if self._exchanging is not None:
            self._exchanging.cancel()
        if any(self._new()):
            await self._exchange()

    def _account(self, key_id: int) -> _Account:
        """What is known of a key, in the periods that it is now."""
        account = self._accounts.get(key_id)
        if account is None:
            account = self._accounts[key_id] = _Account(key_id)
        at = datetime.fromtimestamp(self._clock(), UTC)
        minute = at.strftime("%Y-%m-%dT%H:%M")
        if minute != account.minute.period:
            self._unsent += [one for one in self._new_of(account) if one.period not in (minute, minute[:7])]
            account.share = account.granted = 0
            account.minute.begin(minute)
            account.month.begin(minute[:7])
        return account

    async def _take(self, account: _Account, most: int) -> None:
        """Use one request of the minute.

        Raises:
            RefusalError: none is left.
        """
        if account.share <= 0:
            async with account.taking:
                if account.share <= 0:
                    await self._take_share(account, most)
        if account.share <= 0:
            raise _too_many("requests", most, self._clock())
        account.share -= 1
        account.granted += 1

    async def _take_share(self, account: _Account, most: int) -> None:
        period = account.minute.period
        try:
            taken = await asyncio.to_thread(
                key_limits.take, self._database, account.key_id, period, max(most // SHARES, 1), most
            )
        except StorageError as error:
            # Calls go on while the database is away: each process then holds the key to the limit by itself.
            logger.warning("limits are not shared now: %s", error)
            taken = 1 if account.granted < most else 0
        if account.minute.period == period:
            account.share += taken

    def _exchange_soon(self) -> None:
        if self._exchanging is None or self._exchanging.done():
            self._exchanging = asyncio.create_task(self._exchange_while_used())

    async def _exchange_while_used(self) -> None:
        await asyncio.sleep(EXCHANGED_EVERY)
        await self._exchange()

    async def _exchange(self) -> None:
        """Tell the database what was used here, and hear what was used by all."""
        used = self._new()
        sent = {(one.key_id, one.period): one for one in used}
        wanted = [
            (account.key_id, spent.period)
            for account in self._accounts.values()
            for spent in (account.minute, account.month)
        ]
        now = self._clock()
        oldest = datetime.fromtimestamp(now - 60 * _KEPT_MINUTES, UTC).strftime("%Y-%m-%dT%H:%M")
        try:
            totals = await asyncio.to_thread(key_limits.add, self._database, used, wanted, oldest)
        except StorageError as error:
            logger.warning("limits are not shared now: %s", error)
            return
        self._unsent = [one for one in self._unsent if (one.key_id, one.period) not in sent]
        known = {(one.key_id, one.period): one for one in totals}
        for account in [*self._accounts.values()]:
            for spent in (account.minute, account.month):
                if one := sent.get((account.key_id, spent.period)):
                    spent.new_tokens -= one.tokens
                    spent.new_cost -= one.cost
                if total := known.get((account.key_id, spent.period)):
                    spent.tokens, spent.cost = total.tokens, total.cost
            account.exchanged_at = now
        self._forget_idle()

    def _new(self) -> list[Used]:
        """What the database does not know yet, added up by key and period."""
        added: dict[tuple[int, str], Used] = {}
        new = [*self._unsent, *(one for account in self._accounts.values() for one in self._new_of(account))]
        for one in new:
            before = added.get((one.key_id, one.period), Used(one.key_id, one.period))
            tokens, cost = before.tokens + one.tokens, before.cost + one.cost
            added[one.key_id, one.period] = Used(one.key_id, one.period, 0, tokens, cost)
        return [*added.values()]

    def _new_of(self, account: _Account) -> list[Used]:
        return [
            Used(account.key_id, spent.period, 0, spent.new_tokens, spent.new_cost)
            for spent in (account.minute, account.month)
            if spent.new_tokens or spent.new_cost
        ]

    def _forget_idle(self) -> None:
        """Drop what is known of keys that were not in use for some minutes: it is in the database."""
        oldest = datetime.fromtimestamp(self._clock() - 120, UTC).strftime("%Y-%m-%dT%H:%M")
        for account in [*self._accounts.values()]:
            if account.minute.period < oldest and not self._new_of(account):
                del self._accounts[account.key_id]


def _too_many(what: str, most: int, now: float) -> RefusalError:
    wait = 60 - now % 60
    seconds = math.ceil(wait)
    headers: Headers = [
        (b"retry-after", str(seconds).encode()),
        (f"x-ratelimit-limit-{what}".encode(), str(most).encode()),
        (f"x-ratelimit-remaining-{what}".encode(), b"0"),
        (f"x-ratelimit-reset-{what}".encode(), f"{seconds}s".encode()),
    ]
    text = f"this key may use {most} {what} per minute; try again in {seconds} s"
    more = {"reset_at": _moment(now + wait), "limit": f"{what}_per_minute"}
    return RefusalError(429, text, code="rate_limit_exceeded", headers=headers, more=more)


def _over_budget(budget: float, now: float) -> RefusalError:
    at = datetime.fromtimestamp(now, UTC)
    month = at.month % 12 + 1
    reset = datetime(at.year + (month == 1), month, 1, tzinfo=UTC)
    text = f"this key's budget of {budget:g} US dollars a month is used up until {reset:%Y-%m-%d} UTC"
    headers: Headers = [
        (b"retry-after", str(math.ceil(reset.timestamp() - now)).encode()),
        (b"x-should-retry", b"false"),
    ]
    more = {"reset_at": _moment(reset.timestamp()), "limit": "monthly_budget"}
    return RefusalError(429, text, code="insufficient_quota", headers=headers, more=more)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
