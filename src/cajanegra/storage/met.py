"""Failures as they are counted: of calls that are written, and of rows whose end is put right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cajanegra.domain.call import CallStatus
from cajanegra.domain.record import EARLIEST, MAX_AHEAD, CallRecord
from cajanegra.storage.fitting import fit_identity, fit_text, fit_time
from cajanegra.storage.rows import pattern_key

_ANSWERED = frozenset({CallStatus.SUCCESS, CallStatus.FALLBACK})
_NO_RECOVERY = "unknown"
"""The strategy of an answered call none of whose steps succeeded: only a host's own record can say that."""


class Met(NamedTuple):
    """One failure.

    Attributes:
        pattern: the name under which it was grouped.
        tenant_id: on whose behalf; empty where the call has none.
        at: when, in UTC without a zone.
        module: the part of the application.
        provider: who failed.
        model: which of its models.
        strategy: what got the call answered in the end; ``None`` where nothing did.
    """

    pattern: str
    tenant_id: str
    at: datetime
    module: str | None
    provider: str | None
    model: str | None
    strategy: str | None


def met_now(record: CallRecord, now: datetime) -> Iterator[Met]:
    """The failures of a call; ``now`` stands for a time that cannot be."""
    if not record.occurrences:
        return
    tenant, module = fit_identity(record.tenant_id) or "", fit_text(record.module, 50)
    steps = [(step.strategy_name, step.was_successful) for step in record.steps]
    strategy = _strategy(record.status, steps)
    for one in record.occurrences:
        yield Met(
            pattern_key(one.pattern),
            tenant,
            _credible(one.at, now),
            module,
            fit_text(one.provider, 20),
            fit_text(one.model, 50),
            strategy,
        )


def met_before(call: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> list[Met]:
    """The failures that were counted for a call, from its row and the rows of its steps in their order."""
    tenant, module = call["tenant_id"] or "", call["module"]
    done = [(step["strategy_name"], step["was_successful"] == "true") for step in steps]
    strategy = _strategy(call["status"], done)
    found = []
    for step in steps:
        trigger = (step["recovery_result"] or {}).get("trigger")
        if pattern := _text(trigger, "pattern"):
            provider, model = _text(trigger, "provider"), fit_text(_text(trigger, "model"), 50)
            found.append(Met(pattern, tenant, step["created_at"], module, provider, model, strategy))
    if pattern := _text(call["response_metadata"], "pattern"):
        provider, model = call["provider_used"], call["provider_model"]
        found.append(Met(pattern, tenant, call["updated_at"], module, provider, model, strategy))
    return found


def _strategy(status: str, steps: Sequence[tuple[str, bool]]) -> str | None:
    if status not in _ANSWERED:
        return None
    return next((fit_text(name, 50) for name, successful in reversed(steps) if successful), _NO_RECOVERY)


def _credible(at: datetime, now: datetime) -> datetime:
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    found = fit_time(at if EARLIEST <= aware <= now + MAX_AHEAD else now)
    assert found is not None  # noqa: S101 - it is a time
    return found


def _text(details: Any, key: str) -> str | None:
    value = details.get(key) if isinstance(details, Mapping) else None
    return value if isinstance(value, str) else None
