from __future__ import annotations

from typing import Any

import click
import pytest

from cajanegra.cli import call_view
from cajanegra.storage.reads import CallDetail
from cajanegra.storage.tables import REQUEST_LOGS

TRIGGER = {"provider": "ollama", "kind": "overloaded", "http_status": 503, "message": "server busy, " * 20}


def _shown(*steps: dict[str, Any], **columns: Any) -> str:
    row: dict[str, Any] = dict.fromkeys(column.name for column in REQUEST_LOGS.columns)
    row |= {"request_id": "r1", "task": "chat", "status": "success", "prompt_length": 3, **columns}
    return click.unstyle(call_view.detail(CallDetail(row, steps, [], None, None)))


def _step(successful: str, **result: Any) -> dict[str, Any]:
    return {
        "step_number": 1,
        "strategy_name": "fallback",
        "action_taken": "ollama -> openai",
        "was_successful": successful,
        "recovery_time_ms": 640,
        "recovery_result": {"trigger": TRIGGER, **result},
    }


def test_a_step_says_after_what_why_how_long_and_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = _shown(_step("false", reason="no capacity", wait_asked=2, outcome="auth")).splitlines()
    begin = next(number for number, line in enumerate(lines) if "fallback: ollama -> openai" in line)
    told = " ".join(line.strip() for line in lines[begin + 1 :])
    assert told.startswith("after    ollama overloaded 503: server busy, server busy")
    assert "why      no capacity waited   not at all (2 s was asked for) outcome  auth, 640 ms" in told
    assert max(map(len, lines)) <= 80


def test_a_step_of_which_little_is_known_says_no_more() -> None:
    step = _step("true") | {"recovery_result": None, "recovery_time_ms": None}
    assert _shown(step).endswith("fallback: ollama -> openai\n       outcome  answered")


@pytest.mark.parametrize(("error_code", "said"), [(None, "none was needed"), ("auth", "none was possible")])
def test_a_call_without_steps_says_so(error_code: str | None, said: str) -> None:
    assert said in _shown(error_code=error_code)


def test_rows_that_others_wrote_are_shown_too() -> None:
    shown = _shown(status=None, provider_used="x", request_metadata="text", response_metadata=[1])
    assert "Call r1  -" in shown
