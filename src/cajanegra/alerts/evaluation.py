"""One look: finds what is worth an alert, notes it for every target, and tells what is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from cajanegra.alerts import rules, words
from cajanegra.alerts.rules import Rule
from cajanegra.alerts.targets import Target
from cajanegra.domain.alert import Alert, Delivery, PatternAlert
from cajanegra.domain.ids import uuid7
from cajanegra.errors import AlertError
from cajanegra.ports import AlertStore, Explanation

MOST = 20
"""Alerts of one look that a target is told one by one."""
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
"""Between two tries of telling an alert: the first doubled each time."""
MAX_TRIES = 10
"""After which an alert is given up; that is four hours after the first."""

logger = logging.getLogger("cajanegra.alerts")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to look for and whom to tell.

    Attributes:
        targets: whom, by name.
        patterns: the marks of error patterns that are told.
        rules: what else is.
        cooldown: time in which the same is not told again.
        lease: how long a process that has died keeps others from looking.
        explain: puts why and what to do into the language in which people are told.
    """

    targets: Mapping[str, Target]
    patterns: Collection[PatternAlert]
    rules: Sequence[Rule]
    cooldown: timedelta
    lease: timedelta
    explain: Callable[[Explanation], Explanation] = lambda explanation: explanation


@dataclass(slots=True)
class Look:
    """What a look came to.

    Attributes:
        led: whether it was this process that looked; else another one sees to alerts.
        found: what is worth an alert and was not noted before.
        told: alerts that targets took.
        failed: why others were not taken.
    """

    led: bool = True
    found: list[Alert] = field(default_factory=list)
    told: int = 0
    failed: list[str] = field(default_factory=list)


class Evaluator:
    """Looks when it is asked to, if no other process does.

    Args:
        plan: what to look for and whom to tell.
        open_store: opens the store; it is closed after each look.
        clock: the time that it is, aware.
    """

    def __init__(
        self,
        plan: Plan,
        open_store: Callable[[], AlertStore],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._plan = plan
        self._open_store = open_store
        self._clock = clock
        self._holder = uuid7()

    def look(self) -> Look:
        """Find, note and tell.

        Raises:
            StorageError: the database cannot be reached; what was noted is told another time.
        """
        store = self._open_store()
        try:
            if not self._leads(store):
                return Look(led=False)
            look = Look(found=self._file(store))
            asyncio.run(self._tell_all(store, look))
            return look
        finally:
            store.close()

    def resign(self) -> None:
        """Let another process look from now on.

        Raises:
            StorageError: the database cannot be reached; others look when the lease is over.
        """
        store = self._open_store()
        try:
            store.resign(self._holder)
        finally:
            store.close()

    def _leads(self, store: AlertStore) -> bool:
        now = self._clock()
        return store.lead(self._holder, now, now + self._plan.lease)

    def _file(self, store: AlertStore) -> list[Alert]:
        now, plan = self._clock(), self._plan
        found = list(rules.pattern_alerts(store.patterns(now), plan.patterns, now)) if plan.patterns else []
        by_rules: list[Alert] = []
        for minutes in sorted({rule.minutes for rule in plan.rules}):
            traffic = store.traffic(now - timedelta(minutes=minutes))
            for rule in plan.rules:
                if rule.minutes == minutes:
                    by_rules += rules.rule_alerts(rule, traffic, now)
        found += _explained(store, by_rules)
        found = [self._in_language(alert) for alert in found]
        return store.file(found, list(plan.targets), now, plan.cooldown, MOST)

    def _in_language(self, alert: Alert) -> Alert:
        if alert.probable_cause is None or alert.suggested_action is None:
            return alert
        said = self._plan.explain(Explanation(alert.probable_cause, alert.suggested_action))
        return replace(alert, probable_cause=said.probable_cause, suggested_action=said.suggested_action)

    async def _tell_all(self, store: AlertStore, look: Look) -> None:
        by_target: dict[str, list[Delivery]] = {}
        for delivery in store.due(list(self._plan.targets), self._clock()):
            by_target.setdefault(delivery.target, []).append(delivery)
        await asyncio.gather(*(self._tell(store, some, look) for some in by_target.values()))

    async def _tell(self, store: AlertStore, deliveries: Sequence[Delivery], look: Look) -> None:
        """Tell a target, in order, until it does not listen: the others wait for the next look."""
        for delivery in deliveries:
            wait = min(FIRST_WAIT * 2**delivery.tries, LONGEST_WAIT)
            if not self._leads(store) or not store.take(delivery, self._clock() + wait):
                return
            try:
                await self._plan.targets[delivery.target].tell(delivery)
            except AlertError as error:
                give_up = delivery.tries + 1 >= MAX_TRIES
                store.settle(delivery, self._clock(), str(error), give_up=give_up)
                look.failed.append(str(error))
                if give_up:
                    logger.warning("given up: %s (%s)", words.title(delivery.alert, "en"), error)
                return
            store.settle(delivery, self._clock(), None)
            look.told += 1


def _explained(store: AlertStore, alerts: Sequence[Alert]) -> list[Alert]:
    """Alerts of rules, with what is known of the pattern that was met most."""
    names = {alert.pattern for alert in alerts if alert.pattern is not None}
    known = store.explained(names) if names else {}
    return [
        replace(
            alert,
            template=found.template,
            probable_cause=found.probable_cause,
            suggested_action=found.suggested_action,
        )
        if alert.pattern is not None and (found := known.get(alert.pattern))
        else alert
        for alert in alerts
    ]
