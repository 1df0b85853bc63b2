"""From items to the events and records of calls."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest

from cajanegra.analysis.classify import Classifier
from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.analysis.patterns import PatternBook
from cajanegra.domain.record import CallRecord
from cajanegra.domain.redactor import Redactor
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.ingest import Ingest
from cajanegra.recording.items import read_item

NOW = 1_795_600_000.0
BEGUN = NOW - 60


def ingest(capture: Literal["none", "redacted", "full"] = "none") -> Ingest:
    assembler = Assembler(PatternBook(KnowledgeBase("en", [])), redacted_content=capture != "full")
    return Ingest(assembler, Classifier(), Redactor(), capture=capture, clock=lambda: NOW)


def record(capture: Literal["none", "redacted", "full"] = "none", **fields: Any) -> CallRecord:
    return ingest(capture).record(read_item({"provider_used": "openai", **fields}))


def test_a_failure_is_classified_by_everything_that_is_known_of_it() -> None:
    found = record(
        error_message="Too many requests", created_at=BEGUN, response_metadata={"http_status": 429}
    )
    assert (found.status, found.error_code) == ("error", "rate_limit")
    assert found.response_metadata["pattern"] == "openai_rate_limit"
    assert [occurrence.pattern for occurrence in found.occurrences] == ["openai_rate_limit"]


def test_a_kind_of_ours_is_kept_and_any_other_code_is_the_providers_own() -> None:
    assert record(error_code="overloaded", error_message="no").error_code == "overloaded"
    found = record(error_code="insufficient_quota", error_message="no")
    assert found.error_code == "quota_exhausted"
    assert found.response_metadata["provider_error_code"] == "insufficient_quota"


def test_a_timeout_without_a_kind_is_a_timeout() -> None:
    assert record(status="timeout").error_code == "timeout"
    assert record(error_message="Request timed out.").status == "timeout"


def test_steps_count_their_failures_and_keep_their_order() -> None:
    steps = [
        {
            "strategy_name": "fallback",
            "step_number": 2,
            "was_successful": "true",
            "recovery_result": {"trigger": {"message": "Connection refused", "provider": "ollama"}},
        },
        {
            "strategy_name": "retry",
            "step_number": 1,
            "was_successful": "false",
            "recovery_result": {
                "reason": "it may pass",
                "trigger": {"kind": "timeout", "provider": "ollama"},
            },
        },
    ]
    found = record(status="fallback", fallback_used="openai", steps=steps, created_at=BEGUN)
    assert [step.strategy_name for step in found.steps] == ["retry", "fallback"]
    assert [step.was_successful for step in found.steps] == [False, True]
    assert [occurrence.pattern for occurrence in found.occurrences] == [
        "ollama_timeout",
        "ollama_connection_refused",
    ]
    assert found.steps[0].recovery_result["reason"] == "it may pass"
    assert (found.retry_count, found.fallback_used, found.error_code) == (1, "openai", None)


def test_patterns_that_the_item_claims_are_not_believed() -> None:
    claimed = {"pattern": "openai_invented", "patterns": ["openai_invented"], "finish_reason": "stop"}
    assert record(response_metadata=claimed).response_metadata == {"attempts": 1, "finish_reason": "stop"}


def test_secrets_are_masked_everywhere() -> None:
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    found = record(
        error_message=f"bad key {key}",
        correction_applied=f"not {key}",
        user_feedback="thumbs_down",
        request_metadata={"note": key},
        response_metadata={"note": key},
        steps=[{"strategy_name": "retry", "recovery_result": {"trigger": {"message": key, "kind": "auth"}}}],
        content={"prompt": key, "answer": key},
    )
    assert key not in repr(found)


def test_content_is_measured_and_kept_only_where_it_is_captured() -> None:
    content = {"prompt": [{"role": "user", "content": "Hola"}], "answer": "Buenas"}
    without, kept = record(content=content), record("full", content=content)
    assert (without.prompt, without.answer, without.prompt_length) == (None, None, 4)
    assert without.prompt_hash is not None
    assert without.response_content_length == 6
    assert (kept.prompt, kept.answer) == (content["prompt"], "Buenas")


@pytest.mark.parametrize("created_at", [None, "1999-01-01T00:00:00Z", NOW + 7200])
def test_a_time_that_is_not_credible_is_not_made_up(created_at: Any) -> None:
    found = record(created_at=created_at, error_message="x")
    assert math.isnan(found.created_at)
    assert found.occurrences[0].at.timestamp() == NOW
    if created_at is not None:
        assert found.request_metadata["changed"] == {"created_at": str(created_at)}
