"""What is worth an alert: pure functions of what the database says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cajanegra.domain.alert import Alert, PatternAlert, PatternState, Traffic
from cajanegra.domain.failure import FailureKind

_NOBODYS = frozenset({FailureKind.CANCELLED, FailureKind.INTERRUPTED})
"""Kinds that say nothing of a provider: they count for rules that name them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """So many failures, or such a share of them, in some minutes.

    Attributes:
        name: how people call it.
        minutes: length of the window.
        failures: failed attempts from which it alerts; ``None`` for any number.
        rate: share of failed attempts (0 to 1) from which it alerts; ``None`` for any.
        min_attempts: attempts below which a share says nothing.
        per: whether each provider or module is looked at for itself; ``None`` for all together.
        provider: only attempts at this provider.
        module: only attempts for this part of the application.
        error_code: only failures of this kind.
    """

    name: str
    minutes: int
    failures: int | None = None
    rate: float | None = None
    min_attempts: int = 20
    per: Literal["provider", "module"] | None = None
    provider: str | None = None
    module: str | None = None
    error_code: str | None = None


def pattern_alerts(
    states: Iterable[PatternState], wanted: Collection[PatternAlert], now: datetime
) -> Iterator[Alert]:
    """One alert for each mark of a pattern that somebody wants to hear of."""
    found = [(state, kind) for state in states for kind in wanted if kind in state.marks]
    for state, kind in found:
        yield Alert(
            kind=kind,
            subject=state.pattern,
            episode=_episode(state, kind, now),
            at=now,
            pattern=state.pattern,
            error_code=state.error_code,
            template=state.template,
            probable_cause=state.probable_cause,
            suggested_action=state.suggested_action,
            total=state.total,
            first_occurred=state.first_occurred,
            last_occurred=state.last_occurred,
            recent=state.recent,
            expected=state.expected if kind == "escalating" else None,
        )


def _episode(state: PatternState, kind: PatternAlert, now: datetime) -> str:
    """A pattern is new once, and comes back once each time; it escalates as often as a cooldown lets it."""
    if kind == "new":
        return "once"
    at = state.regressed_at if kind == "regressed" else now
    return at.isoformat() if at else ""


def rule_alerts(rule: Rule, traffic: Iterable[Traffic], now: datetime) -> Iterator[Alert]:
    """One alert for each provider or module, or for all together, of which the rule is true."""
    groups: defaultdict[str, list[Traffic]] = defaultdict(list)
    for some in traffic:
        if rule.provider in (None, some.provider) and rule.module in (None, some.module):
            groups[getattr(some, rule.per) or "" if rule.per else ""].append(some)
    for group, members in sorted(groups.items()):
        alert = _judged(rule, group, members, now)
        if alert is not None:
            yield alert


def _counts(rule: Rule, error_code: str) -> bool:
    return error_code not in _NOBODYS if rule.error_code is None else error_code == rule.error_code


def _judged(rule: Rule, group: str, members: Iterable[Traffic], now: datetime) -> Alert | None:
    attempts, patterns, kinds = 0, Counter[str | None](), dict[str | None, str]()
    for some in members:
        attempts += some.attempts
        if some.error_code is not None and _counts(rule, some.error_code):
            patterns[some.pattern] += some.attempts
            kinds.setdefault(some.pattern, some.error_code)
    failures = patterns.total()
    if not failures or failures < (rule.failures or 0):
        return None
    if rule.rate is not None and (attempts < rule.min_attempts or failures / attempts < rule.rate):
        return None
    most = patterns.most_common(1)[0][0]
    return Alert(
        kind="failures" if rule.rate is None else "error_rate",
        subject=f"{rule.name}/{group}"[:200] if group else rule.name,
        episode=now.isoformat(),
        at=now,
        pattern=most,
        error_code=kinds[most],
        recent=failures,
        rule=rule.name,
        provider=group if rule.per == "provider" else rule.provider,
        module=group if rule.per == "module" else rule.module,
        minutes=rule.minutes,
        attempts=attempts,
    )
