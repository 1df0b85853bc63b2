"""Records a call as it is planned, and keeps the ledger of it."""

from __future__ import annotations

from collections.abc import Iterator

from cajanegra import Recorder
from crash.ledger import Ledger
from crash.plan import FAILURES, Ending, plan_of


def events(recorder: Recorder, ledger: Ledger, request_id: str) -> Iterator[None]:
    """Hand the recorder one event of the call after the other, a pause between any two."""
    plan = plan_of(request_id)
    with ledger.entry(request_id, "begin"):
        call = recorder.call(
            task="classification",
            provider="ollama",
            model="llama3.2",
            prompt=plan.prompt,
            tenant_id=plan.tenant_id,
            request_id=request_id,
        )
    yield
    for number, step in enumerate(plan.steps):
        with ledger.entry(request_id, f"step {number}"):
            call.step(
                step.strategy,
                action=step.action,
                error=FAILURES[step.kind],
                successful=step.successful,
                time_ms=step.time_ms,
            )
        yield
    if plan.ending == Ending.LEFT:
        return
    with ledger.entry(request_id, "end"):
        if plan.ending == Ending.ANSWERED:
            call.finish(text=plan.answer, tokens_used=plan.tokens)
        else:
            call.fail(FAILURES[plan.failure])
    yield
    if plan.feedback:
        with ledger.entry(request_id, "feedback"):
            recorder.feedback(request_id, plan.feedback, tenant_id=plan.tenant_id, correction=plan.correction)
