"""Compares the database with the ledgers: what was acknowledged is stored, exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from cajanegra.models import Base
from cajanegra.storage.database import Database
from crash.ledger import Entries
from crash.plan import Ending, Plan, PlannedStep, plan_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """What the database has."""

    calls: list[Row]
    steps: list[Row]
    patterns: list[Row]
    contents: list[Row]
    waiting: list[Row]

    @classmethod
    def read(cls, url: str) -> Tables:
        """Every row of every table, steps in their order."""
        with Database(url) as database, database.engine.connect() as connection:
            names = (
                *("ai_request_logs", "ai_error_recovery", "ai_error_analysis"),
                *("cajanegra_contents", "cajanegra_waiting"),
            )
            tables = [Base.metadata.tables[name] for name in names]
            return cls(
                *(
                    [dict(row) for row in connection.execute(select(table).order_by(table.c.id)).mappings()]
                    for table in tables
                )
            )


@dataclass(frozen=True)
class Stored:
    """A call as it was found."""

    row: Row
    steps: list[Row]
    content: Row | None


def require_all(url: str, ledgers: Mapping[str, Entries]) -> Counter[str]:
    """Fail unless the database holds what the ledgers say, once; how many calls came to which status.

    Nothing may have been dropped: a call that began is there with its steps, end, content and feedback, a
    call that never ended is interrupted, and every failed attempt is counted under its pattern.
    """
    tables = Tables.read(url)
    stored = _by_request_id(tables)
    wrong = [f"{name}: nobody made this call" for name in stored.keys() - ledgers.keys()]
    for request_id, entries in ledgers.items():
        found = stored.get(request_id)
        if found is not None:
            wrong += [f"{request_id}: {what}" for what in _wrong(plan_of(request_id), entries, found)]
        elif "begin" in entries.told:
            wrong.append(f"{request_id}: is not there")
    wrong += _miscounted(tables, stored)
    assert not wrong, f"{len(wrong)} of {len(ledgers)} calls are wrong:\n" + "\n".join(wrong[:20])
    return Counter(found.row["error_code"] or found.row["status"] for found in stored.values())


def missing_events(url: str, ledgers: Mapping[str, Entries]) -> tuple[int, int]:
    """How many events are missing at least, and at most: a killed caller was not told of its last one.

    What is there must be there once, in calls that somebody made, and be counted under its pattern.
    """
    tables = Tables.read(url)
    stored = _by_request_id(tables)
    assert stored.keys() <= ledgers.keys()
    assert not _miscounted(tables, stored)
    waiting = {row["request_id"] for row in tables.waiting}
    return tuple(  # type: ignore[return-value]  # of two
        sum(
            _missing(getattr(entries, which), stored.get(request_id), fed=request_id in waiting)
            for request_id, entries in ledgers.items()
        )
        for which in ("told", "tried")
    )


def _missing(events: set[str], found: Stored | None, *, fed: bool) -> int:
    """Events of a call that are not there; of a call that is not there at all only its beginning was dropped."""
    feedback = "feedback" in events and not fed
    if found is None:
        return ("begin" in events) + feedback
    steps = sum(event.startswith("step") for event in events) - len(found.steps)
    ended = found.row["error_code"] != "interrupted"
    return max(0, steps) + ("end" in events and not ended) + (feedback and not found.row["user_feedback"])


def _by_request_id(tables: Tables) -> dict[str, Stored]:
    names = Counter(row["request_id"] for row in tables.calls)
    twice = [name for name, count in names.items() if count > 1]
    assert not twice, f"calls with more than one row: {twice[:20]}"
    ids = {row["id"]: row["request_id"] for row in tables.calls}
    stray = [row for row in (*tables.steps, *tables.contents) if row["request_log_id"] not in ids]
    assert not stray, f"rows that belong to no call: {stray[:5]}"
    contents = {row["request_log_id"]: row for row in tables.contents}
    assert len(contents) == len(tables.contents), "contents that are there twice"
    steps: dict[int, list[Row]] = {}
    for row in tables.steps:
        steps.setdefault(row["request_log_id"], []).append(row)
    return {
        row["request_id"]: Stored(row, steps.get(row["id"], []), contents.get(row["id"]))
        for row in tables.calls
    }


def _wrong(plan: Plan, entries: Entries, found: Stored) -> Iterable[str]:
    """What is wrong with a call that is there."""
    ended = not (found.row["status"] == "error" and found.row["error_code"] == "interrupted")
    if ended and "end" not in entries.tried:
        yield "has an end, and never ended"
    if not ended and "end" in entries.told:
        yield "is interrupted, and ended"
    least, most = entries.steps()
    if not least <= len(found.steps) <= most:
        yield f"has {len(found.steps)} steps instead of {least} to {most}"
    for number, (step, row) in enumerate(zip(plan.steps, found.steps, strict=False), start=1):
        yield from _differences(_step_columns(step, number), _step_found(row))
    wanted = _call_columns(plan, len(found.steps), ended=ended)
    yield from _differences(wanted, found.row)
    answer = plan.answer if ended and plan.ending == Ending.ANSWERED else None
    content = found.content or {}
    yield from _differences({"prompt": plan.prompt, "answer": answer}, content)
    given = found.row["user_feedback"], found.row["correction_applied"]
    allowed: list[tuple[str | None, str | None]] = [] if "feedback" in entries.told else [(None, None)]
    if "feedback" in entries.tried:
        allowed.append((plan.feedback, plan.correction))
    if given not in allowed:
        yield f"has feedback {given}"


def _call_columns(plan: Plan, steps: int, *, ended: bool) -> Row:
    failed = plan.ending == Ending.FAILED
    answered = ended and not failed
    done = plan.steps[:steps]
    wanted: Row = {
        "tenant_id": plan.tenant_id,
        "task": "classification",
        "model_requested": "llama3.2",
        "prompt_length": len(plan.prompt),
        "status": plan.status if ended else "error",
        "error_code": None if answered else plan.failure if ended else "interrupted",
        "retry_count": sum(step.strategy == "retry" for step in done),
        "tokens_used": plan.tokens if answered else None,
        "response_content_length": len(plan.answer) if answered else None,
    }
    if answered:
        wanted["fallback_used"] = "openai" if plan.status == "fallback" else None
        wanted["provider_used"] = wanted["fallback_used"] or "ollama"
    return wanted


def _step_columns(step: PlannedStep, number: int) -> Row:
    return {
        "step_number": number,
        "strategy_name": step.strategy,
        "action_taken": step.action,
        "was_successful": "true" if step.successful else "false",
        "recovery_time_ms": step.time_ms,
        "trigger": step.kind,
    }


def _step_found(row: Row) -> Row:
    return row | {"trigger": row["recovery_result"]["trigger"]["kind"]}


def _differences(wanted: Row, found: Mapping[str, Any]) -> Iterable[str]:
    for name, value in wanted.items():
        if found.get(name) != value:
            yield f"{name} is {found.get(name)!r} instead of {value!r}"


def _miscounted(tables: Tables, stored: Mapping[str, Stored]) -> list[str]:
    """Failed attempts by kind: those of the rows that are there, and those that the patterns count."""
    failures: Counter[str] = Counter()
    for found in stored.values():
        failures.update(step["recovery_result"]["trigger"]["kind"] for step in found.steps)
        if found.row["error_code"]:
            failures[found.row["error_code"]] += 1
    counted: Counter[str] = Counter()
    for pattern in tables.patterns:
        counted[pattern["error_code"]] += pattern["occurrence_count"]
    return [
        f"{kind}: {counted[kind]} occurrences are counted, and {failures[kind]} happened"
        for kind in failures | counted
        if failures[kind] != counted[kind]
    ]
