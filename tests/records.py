"""Records of calls, made up with as little as a test cares about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from cajanegra.domain.record import Batch, CallRecord, Occurrence, Record, StepRecord
from cajanegra.storage.database import Database
from cajanegra.storage.writes import Store

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def call_record(request_id: str, **known: Any) -> CallRecord:
    """A call of acme that openai answered at ``NOW``."""
    usual: dict[str, Any] = dict.fromkeys(CallRecord.__struct_fields__[1:27]) | {
        "prompt_length": 0,
        "retry_count": 0,
        "request_metadata": {},
        "task": "chat",
        "tenant_id": "acme",
        "provider_used": "openai",
        "status": "success",
        "created_at": NOW,
        "updated_at": NOW,
        "response_metadata": {"attempts": 1},
    }
    values = usual | known
    for name in ("created_at", "updated_at"):
        if isinstance(values[name], datetime):
            values[name] = values[name].timestamp()
    return CallRecord(request_id=request_id, **values)


def step_record(number: int = 1, **known: Any) -> StepRecord:
    """A successful fallback after a timeout of ollama."""
    usual: dict[str, Any] = {
        "strategy_name": "fallback",
        "step_number": number,
        "action_taken": "ollama -> openai",
        "was_successful": True,
        "recovery_time_ms": 100,
        "recovery_result": {"trigger": {"pattern": "ollama_timeout"}},
        "created_at": NOW,
    }
    return StepRecord(**(usual | known))


def occurrence(pattern: str = "ollama_timeout", at: datetime = NOW) -> Occurrence:
    """One failure of a pattern."""
    return Occurrence(pattern, "timeout", "ollama timeout: <*>", at, "It is slow.", "Wait.")


def recovered_call(request_id: str, **known: Any) -> CallRecord:
    """A call that a fallback answered after a timeout."""
    usual: dict[str, Any] = {
        "status": "fallback",
        "fallback_used": "openai",
        "steps": [step_record()],
        "occurrences": [occurrence()],
        "response_metadata": {"attempts": 2, "patterns": ["ollama_timeout"]},
    }
    return call_record(request_id, **(usual | known))


def correct_by_hand(database: Database, pattern: str, strategy: str | None, config: str | None) -> None:
    """Write a correction into the table as somebody does in SQL, whatever it is."""
    statement = (
        "UPDATE ai_error_analysis SET auto_correction_enabled = :strategy, correction_config = :config "
        "WHERE error_pattern = :name"
    )
    if database.dialect == "postgresql":
        statement = statement.replace(":config", "CAST(:config AS JSONB)")
    with database.transaction() as connection:
        connection.execute(text(statement), {"strategy": strategy, "config": config, "name": pattern})


def write(database: Database, *records: Record, track: str = "", at: datetime = NOW) -> int:
    """Write records in one transaction, at that time; how many calls were new."""
    return _write(Store(database, lambda: at), records, track)


def write_now(database: Database, *records: Record) -> int:
    """The same at the time that it is."""
    return _write(Store(database), records, "")


def _write(store: Store, records: Sequence[Record], track: str) -> int:
    return store.write([store.prepare(Batch.of(records))], track)
