"""Two days of three tenants' calls, the same for the same seed: what the dashboard is shown."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.record import CallRecord, Occurrence, StepRecord
from cajanegra.storage.database import Database
from records import call_record, write_now

CALLS = 420
HOURS = 47
TENANTS = ("acme", "globex", "initech")
_WORK = {
    "copilot": ("chat", "summary"),
    "imports": ("classification", "extraction"),
    "incidents": ("analysis", "classification"),
}
_MODELS = {"ollama": "llama3.2", "ovhcloud": "Meta-Llama-3_3-70B-Instruct", "openai": "gpt-4o-mini"}
_PRICES = {"ollama": None, "ovhcloud": 9e-7, "openai": 4e-7}
"""US dollars a token; nobody knows what the first costs."""
_CHAIN = tuple(_MODELS)
_FAILURES: Sequence[tuple[FailureKind, str, int]] = (
    (FailureKind.TIMEOUT, "no answer within <*> s", 504),
    (FailureKind.RATE_LIMIT, "Rate limit reached for requests: try again in <*> s", 429),
    (FailureKind.OVERLOADED, "server busy, please try again. maximum pending requests exceeded", 503),
    (FailureKind.SERVER_ERROR, "llama runner process has terminated: exit status <*>", 500),
    (FailureKind.AUTH, "Invalid token: it has expired", 401),
)
_CONVERSATION = [
    {"role": "system", "content": "You are the assistant of an ERP. Answer briefly."},
    {"role": "user", "content": "Which invoices of supplier 4711 are still open, and since when?"},
]
_ANSWER = "Two invoices are open: 2026-1042 since 3 November, and 2026-1077 since 17 November."


def seed(
    database: Database, *, now: datetime | None = None, calls: int = CALLS, hours: float = HOURS
) -> None:
    """Write the calls, the newest of them a minute before ``now``."""
    chance = random.Random(7)  # noqa: S311 - a seed, not a secret
    made = list(_calls(chance, now or datetime.now(UTC), calls, hours))
    for begin in range(0, len(made), 2_000):
        write_now(database, *made[begin : begin + 2_000])


def _calls(chance: random.Random, now: datetime, count: int, hours: float) -> Iterator[CallRecord]:
    knowledge = KnowledgeBase("en")
    for number in range(count):
        age = timedelta(minutes=1) + timedelta(hours=hours) * (1 - (number + 1) / count)
        yield _call(chance, knowledge, number, now - age)


def _call(chance: random.Random, knowledge: KnowledgeBase, number: int, at: datetime) -> CallRecord:
    (tenant,) = chance.choices(TENANTS, (5, 3, 2))
    (module,) = chance.choices(list(_WORK), (4, 4, 2))
    failures = chance.choices((0, 1, 2, 3), (84, 10, 4, 2))[0]
    is_lost = failures == len(_CHAIN) or (failures > 0 and chance.random() < 0.12)
    steps, met = [], []
    spent = 0
    provider = _CHAIN[0]
    kind, last = FailureKind.UNKNOWN, ""
    for step in range(failures):
        kind, message, status = chance.choice(_FAILURES)
        last = message.replace("<*>", str(chance.randint(1, 30)))
        occurrence = _occurrence(knowledge, provider, kind, message, at + timedelta(milliseconds=spent))
        met.append(occurrence)
        if step == failures - 1 and is_lost:
            break
        strategy: Literal["retry", "fallback"] = (
            "retry" if provider == _CHAIN[-1] or chance.random() < 0.3 else "fallback"
        )
        following = provider if strategy == "retry" else _CHAIN[_CHAIN.index(provider) + 1]
        wait = chance.choice((0, 0.25, 0.5)) if strategy == "retry" else 0
        took = round(wait * 1000) + chance.randint(60, 700)
        works = step == failures - 1
        steps.append(
            StepRecord(
                strategy_name=strategy,
                step_number=step + 1,
                action_taken=f"{provider} again" if strategy == "retry" else f"{provider} -> {following}",
                was_successful=works,
                recovery_time_ms=took,
                recovery_result={
                    "trigger": {
                        "provider": provider,
                        "model": _MODELS[provider],
                        "kind": str(kind),
                        "pattern": occurrence.pattern,
                        "message": last,
                        "http_status": status,
                    },
                    "provider": following,
                    "model": _MODELS[following],
                    "reason": f"{kind} is worth another try"
                    if strategy == "retry"
                    else f"{following} may answer",
                    "wait_asked": wait or None,
                    "wait_taken": wait,
                    "outcome": "answered" if works else "timeout",
                },
                created_at=at + timedelta(milliseconds=spent + took),
            )
        )
        spent += took + 40
        provider = following
    answered = not is_lost
    tokens = chance.randint(80, 2400)
    output = tokens // chance.randint(3, 8)
    total = spent + int(chance.lognormvariate(6.2, 0.7))
    price = _PRICES[provider]
    told: dict[str, Any] = {
        "attempts": 1 + len(steps),
        "patterns": list(dict.fromkeys(one.pattern for one in met)),
    }
    if answered:
        told |= {"finish_reason": "stop", "input_tokens": tokens - output, "output_tokens": output}
        if chance.random() < 0.3:
            told["cached_tokens"] = (tokens - output) // 2
        if price is not None:
            told |= {
                "cost": round(tokens * price, 9),
                "cost_currency": "USD",
                "cost_prices": "genai-prices 0.2.3",
            }
        if chance.random() < 0.4:
            told["ttft_ms"] = min(total, chance.randint(40, 400))
        if steps:
            spent_on_it = {"tokens": tokens} | ({"cost": told["cost"]} if price else {})
            result = {**steps[-1].recovery_result, **spent_on_it}
            steps[-1] = msgspec.structs.replace(steps[-1], recovery_result=result)
    else:
        told |= {"pattern": met[-1].pattern, "gave_up_because": "no provider is left to ask"}
    captured = number % 5 == 0
    is_fallback = answered and provider != _CHAIN[0]
    return call_record(
        f"call-{number:06d}",
        tenant_id=tenant,
        module=module,
        user_id=f"{tenant}-user-{chance.randint(1, 9)}",
        task=chance.choice(_WORK[module]),
        prompt_length=chance.randint(40, 9000),
        temperature=chance.choice((0.0, 0.2, 0.7)),
        max_tokens=chance.choice((128, 256, 512)),
        model_requested=_MODELS[_CHAIN[0]],
        provider_used=provider,
        provider_model=_MODELS[provider],
        status=("fallback" if is_fallback else "success") if answered else _lost(kind),
        response_content_length=output * 4 if answered else None,
        tokens_used=tokens if answered else None,
        processing_time_ms=total,
        error_message=None if answered else last,
        error_code=None if answered else str(kind),
        retry_count=sum(step.strategy_name == "retry" for step in steps),
        fallback_used=provider if is_fallback else None,
        user_feedback=chance.choice((None, None, None, "thumbs_up")) if answered else None,
        request_metadata={"document": f"DOC-{number:05d}"},
        response_metadata=told,
        created_at=at,
        updated_at=at + timedelta(milliseconds=total),
        steps=steps,
        occurrences=met,
        prompt=_CONVERSATION if captured else None,
        answer=_ANSWER if captured and answered else None,
    )


def _lost(kind: FailureKind) -> str:
    return "timeout" if kind is FailureKind.TIMEOUT else "error"


def _occurrence(
    knowledge: KnowledgeBase, provider: str, kind: FailureKind, message: str, at: datetime
) -> Occurrence:
    known = knowledge.explain(provider, kind)
    return Occurrence(
        pattern=f"{provider}_{kind}",
        error_code=str(kind),
        message_pattern=f"{provider} {kind}: {message}",
        at=at,
        probable_cause=known.probable_cause,
        suggested_action=known.suggested_action,
        provider=provider,
        model=_MODELS[provider],
    )
