"""What other programs write down of calls, as items."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cajanegra.cli.formats import FORMATS, recognised
from cajanegra.cli.lines import Cells
from cajanegra.errors import UsageError
from cajanegra.recording.items import read_item

SPENT: dict[str, Any] = {
    "request_id": "chatcmpl-1",
    "call_type": "acompletion",
    "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    "spend": 0.002,
    "total_tokens": 30,
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "startTime": "2026-11-20T10:00:00Z",
    "endTime": "2026-11-20T10:00:02.500Z",
    "completionStartTime": "2026-11-20T10:00:00.700Z",
    "model": "gpt-4o",
    "model_group": "smart",
    "custom_llm_provider": "openai",
    "user": "u1",
    "team_id": "team-a",
    "metadata": {"status": "success", "usage_object": {"prompt_tokens_details": {"cached_tokens": 4}}},
    "messages": [{"role": "user", "content": "Hi"}],
    "response": {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]},
    "status": "success",
}
FAILED: dict[str, Any] = {
    **SPENT,
    "status": "failure",
    "response": {},
    "metadata": {
        "status": "failure",
        "attempted_retries": 2,
        "error_information": {
            "error_code": "429",
            "error_class": "RateLimitError",
            "llm_provider": "openai",
            "error_message": "litellm.RateLimitError: RateLimitError: OpenAIException - Slow down",
            "traceback": "File ...",
        },
    },
}


def item(fields: dict[str, Any]) -> dict[str, Any]:
    known = recognised(fields)
    assert known is not None
    found = known.item(fields)
    read_item(found)
    return found


def test_a_request_of_litellm_is_a_call() -> None:
    found = item(SPENT)
    assert found["request_metadata"]["litellm"] == {"call_type": "acompletion", "spend": 0.002}
    assert found["response_metadata"] == {
        "input_tokens": 10,
        "output_tokens": 20,
        "cached_tokens": 4,
        "finish_reason": "stop",
        "ttft_ms": 700,
    }
    assert found["content"] == {"prompt": SPENT["messages"], "answer": "Hello"}
    columns = {
        "request_id": "chatcmpl-1",
        "tenant_id": "team-a",
        "user_id": "u1",
        "task": "completion",
        "model_requested": "smart",
        "provider_used": "openai",
        "provider_model": "gpt-4o",
        "status": "success",
        "tokens_used": 30,
        "processing_time_ms": 2500,
    }
    assert {name: found[name] for name in columns} == columns
    assert SPENT["api_key"] not in json.dumps(found)


def test_a_failed_request_of_litellm_has_its_error() -> None:
    found = item(FAILED)
    assert found["error_message"].endswith("Slow down")
    assert found["response_metadata"] == {"http_status": 429, "exception_type": "RateLimitError"}
    assert found["retry_count"] == 2
    assert "status" not in found


def test_csv_of_litellm_says_the_same() -> None:
    cells = Cells(
        {
            name: json.dumps(value) if isinstance(value, dict | list) else str(value)
            for name, value in FAILED.items()
        }
    )
    in_csv, in_json = FORMATS["litellm"].item(cells), FORMATS["litellm"].item(FAILED)
    assert in_csv.pop("request_metadata")["litellm"].pop("spend") == "0.002"
    assert in_csv == {name: value for name, value in in_json.items() if name != "request_metadata"}


ERROR = {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"}


@pytest.mark.parametrize(
    "line",
    [
        {"error": ERROR},
        {"status_code": 401, "error": json.dumps(ERROR)},
        {"response": {"error": ERROR}},
        {"response": {"status_code": 401, "body": {"error": ERROR}}, "custom_id": "c", "error": None},
        {"level": "error", "error": ERROR, "msg": "call failed"},
    ],
)
def test_an_error_of_openai_is_found_wherever_it_stands(line: dict[str, Any]) -> None:
    found = item(line)
    assert found["error_message"] == ERROR["message"]
    assert found["response_metadata"]["provider_error_code"] == "invalid_api_key"


def test_words_of_an_exception_are_an_error_and_those_of_a_success_are_none() -> None:
    assert item({"message": "timed out", "provider": "ollama"})["error_message"] == "timed out"
    assert item({"status": 503, "msg": "busy"})["response_metadata"] == {"http_status": 503}
    nothing: list[dict[str, Any]] = [
        {"level": "INFO", "msg": "x"},
        {"message": "x", "status": 200},
        {"response": {}},
    ]
    for line in nothing:
        with pytest.raises(UsageError, match="neither an error nor an answer"):
            item(line)


def test_an_answer_in_a_batch_is_a_call_of_openai() -> None:
    body = {
        "model": "gpt-4o",
        "created": 1795514400,
        "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    line = {
        "id": "batch_req_1",
        "custom_id": "c1",
        "response": {"request_id": "req_1", "body": body},
        "error": None,
    }
    found = item(line)
    assert (found["request_id"], found["provider_used"], found["status"]) == ("req_1", "openai", "success")
    assert (found["tokens_used"], found["created_at"]) == (3, 1795514400)


def test_what_nobody_writes_is_not_recognised() -> None:
    assert recognised({"hello": 1}) is None
