"""Numbers of what was written between two points of the record: what a counter goes up by."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from cajanegra.domain.call import CallStatus
from cajanegra.domain.failure import FailureKind
from cajanegra.storage.database import Database, reading
from cajanegra.storage.tables import ERROR_RECOVERY, REQUEST_LOGS

MOST = 1_000_000
"""Rows counted at once; what is beyond them is counted next time."""
OTHER = "other"
"""Stands for words that are none of ours: rows may have been written by others."""

_STATUSES, _KINDS = frozenset(CallStatus), frozenset(FailureKind)
_STRATEGIES = frozenset({"retry", "fallback", "simplify"})
_NAME = re.compile(r"[a-z0-9_-]{1,20}")
_LOGS, _STEPS = REQUEST_LOGS.c, ERROR_RECOVERY.c


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of the record.

    Attributes:
        call: id of the newest call.
        step: id of the newest recovery step.
    """

    call: int
    step: int


@dataclass(slots=True)
class Totals:
    """What lies between two marks; the names are bounded, and none is a tenant's.

    Attributes:
        calls: number by provider and status.
        milliseconds: what they took, waits and steps included, by provider.
        tokens: of their answers, by provider.
        failures: failed attempts by provider and failure kind.
        recoveries: recovery steps by strategy and whether they worked.
    """

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    milliseconds: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    recoveries: Counter[tuple[str, bool]] = field(default_factory=Counter)


def newest(db: Database) -> Mark:
    """The end of the record as it is now.

    On PostgreSQL rows that are being written by others may still appear before it.

    Raises:
        StorageError: the database cannot be read.
    """
    with reading(db) as connection:
        ids = [connection.execute(select(func.max(column))).scalar() or 0 for column in (_LOGS.id, _STEPS.id)]
        return Mark(*ids)


def between(db: Database, start: Mark, end: Mark) -> tuple[Totals, Mark]:
    """What lies behind ``start``, up to ``end`` or so far as is counted at once, and how far that is.

    Raises:
        StorageError: the database cannot be read.
    """
    reached = Mark(min(end.call, start.call + MOST), min(end.step, start.step + MOST))
    totals = Totals()
    with reading(db) as connection:
        _add_calls(connection, totals, [_LOGS.id > start.call, _LOGS.id <= reached.call])
        _add_steps(connection, totals, [_STEPS.id > start.step, _STEPS.id <= reached.step])
    return totals, reached


def _add_calls(connection: Connection, totals: Totals, where: list[ColumnElement[bool]]) -> None:
    columns = (_LOGS.provider_used, _LOGS.status, _LOGS.error_code)
    sums = (func.count(), func.sum(_LOGS.processing_time_ms), func.sum(_LOGS.tokens_used))
    for name, status, kind, count, took, tokens in connection.execute(
        select(*columns, *sums).where(*where).group_by(*columns)
    ):
        provider = _provider(name)
        totals.calls[provider, _one_of(status, _STATUSES)] += count
        totals.milliseconds[provider] += took or 0
        totals.tokens[provider] += tokens or 0
        if kind is not None:
            totals.failures[provider, _one_of(kind, _KINDS)] += count


def _add_steps(connection: Connection, totals: Totals, where: list[ColumnElement[bool]]) -> None:
    trigger = _STEPS.recovery_result["trigger"]
    columns = (
        _STEPS.strategy_name,
        _STEPS.was_successful,
        trigger["provider"].as_string().label("provider"),
        trigger["kind"].as_string().label("kind"),
    )
    rows = connection.execute(select(*columns, func.count()).where(*where).group_by(*columns))
    for strategy, successful, provider, kind, count in rows:
        totals.recoveries[_one_of(strategy, _STRATEGIES), successful == "true"] += count
        if kind is not None:
            totals.failures[_provider(provider), _one_of(kind, _KINDS)] += count


def _provider(name: Any) -> str:
    return name if isinstance(name, str) and _NAME.fullmatch(name) else OTHER


def _one_of(word: Any, known: frozenset[Any]) -> str:
    return str(word) if word in known else OTHER
