from __future__ import annotations

import asyncio
import json
import socket
import ssl
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.analysis.classify import Classifier
from cajanegra.analysis.delays import MAX_RETRY_AFTER
from cajanegra.domain.failure import Failure, FailureKind, ProviderError

NOW = 1_800_000_000.0


def _response(status: int, body: Any, headers: dict[str, str] | None = None) -> Failure:
    text = body if isinstance(body, str) else json.dumps(body)
    return Classifier(lambda: NOW).from_response(
        provider="acme-ai", model="m", status=status, headers=headers or {}, body=text
    )


def _openai(code: str | None, message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, _openai("rate_limit_exceeded", "Rate limit reached for m on requests per min"), "rate_limit"),
        (429, _openai("insufficient_quota", "You exceeded your current quota"), "quota_exhausted"),
        (429, "", "rate_limit"),
        (402, "", "quota_exhausted"),
        (401, _openai("invalid_api_key", "Incorrect API key provided"), "auth"),
        (403, {"detail": "forbidden"}, "permission"),
        (403, _openai("unsupported_country_region_territory", "Country not supported"), "region_blocked"),
        (404, _openai("model_not_found", "The model `m-9` does not exist"), "model_not_found"),
        (404, {"error": "model 'llama9.1:8b' not found, try pulling it first"}, "model_not_found"),
        (400, _openai("context_length_exceeded", "maximum context length is 8192 tokens"), "context_length"),
        (
            400,
            _openai(None, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
            "context_length",
        ),
        (
            400,
            _openai(None, "Requested token count exceeds the model's maximum context length of 8192 tokens."),
            "context_length",
        ),
        (400, {"error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}}, "context_length"),
        (400, _openai(None, "max_tokens is too large: 99999. This model supports at most 4096"), "max_tokens_invalid"),
        (400, _openai("content_filter", "The response was filtered"), "content_filter"),
        (400, _openai(None, "Unsupported parameter: 'top_k' is not supported with this model"), "invalid_request"),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, "invalid_request"),
        (413, "<html>413 Request Entity Too Large</html>", "payload_too_large"),
        (500, {"error": "llama runner process has terminated: exit status 2"}, "server_error"),
        (500, {"error": "model requires more system memory (8.4 GiB) than is available (6.1 GiB)"}, "out_of_memory"),
        (503, {"error": "the model 'llama3.2' is currently loading, try again"}, "model_loading"),
        (503, _openai("service_unavailable", "Service unavailable."), "overloaded"),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
        (502, "<html>502 Bad Gateway</html>", "bad_gateway"),
        (504, "", "bad_gateway"),
        (408, "", "timeout"),
        (451, "", "region_blocked"),
        (418, "short and stout", "invalid_request"),
        (599, "", "server_error"),
        (410, "", "deprecated"),
        (0, "no words for it", "unknown"),
    ],
)  # fmt: skip
def test_a_response_has_a_kind(status: int, body: Any, kind: str) -> None:
    assert _response(status, body).kind == kind


def test_the_providers_own_words_and_code_are_kept() -> None:
    failure = _response(429, _openai("insufficient_quota", "You exceeded your current quota"))
    assert (failure.message, failure.code, failure.http_status) == (
        "You exceeded your current quota",
        "insufficient_quota",
        429,
    )


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "7"}, "", 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, "", 0.25),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:20 GMT"}, "", 20.0),
        ({"retry-after": "Fri, 15 Jan 2020 08:00:20 GMT"}, "", 0.0),
        ({"retry-after": "soon"}, "Please try again in 20s.", 20.0),
        ({}, "Please try again in 1m30s.", 90.0),
        ({}, "Please retry after 250ms", 0.25),
        ({}, "wait for 2 minutes", 120.0),
        ({"retry-after": "99999999"}, "", MAX_RETRY_AFTER),
        ({"retry-after": "-5"}, "", 0.0),
        ({"retry-after": "nan"}, "", None),
        ({}, "try again later", None),
    ],
)
def test_the_wait_that_was_asked_for_is_read(
    headers: dict[str, str], message: str, seconds: float | None
) -> None:
    assert _response(429, _openai(None, message), headers).retry_after == seconds


def test_googles_retry_delay_is_read() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"}]
    body = [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "wait", "details": details}}]
    failure = _response(429, body)
    assert (failure.kind, failure.retry_after) == ("rate_limit", 17.5)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (ConnectionRefusedError(111, "Connection refused"), "connection"),
        (ConnectionResetError("reset"), "connection"),
        (socket.gaierror(-2, "Name or service not known"), "dns"),
        (ssl.SSLCertVerificationError("certificate verify failed"), "tls"),
        (MemoryError(), "out_of_memory"),
        (json.JSONDecodeError("Expecting value", "x", 0), "invalid_response"),
        (ValueError("nobody knows"), "unknown"),
    ],
)
def test_an_exception_has_a_kind(error: BaseException, kind: str) -> None:
    assert Classifier().from_exception(error, provider="p", model=None).kind == kind


def test_the_cause_is_found_below_its_wrappers() -> None:
    error = RuntimeError("the request failed")
    error.__cause__ = OSError("connect failed")
    error.__cause__.__cause__ = socket.gaierror(-2, "Name or service not known")
    failure = Classifier().from_exception(error, provider="p", model=None)
    assert failure.kind == FailureKind.DNS
    assert failure.exception_type == "builtins.RuntimeError"


def test_a_provider_error_gives_its_own_failure() -> None:
    failure = Failure(FailureKind.REFUSAL, "no", "p")
    assert Classifier().from_exception(ProviderError(failure), provider="q", model=None) is failure


def test_the_openai_sdk_is_understood(llmock: Any) -> None:
    llmock.rate_limit(times=1, retry_after=3)
    with openai.OpenAI(base_url=llmock.base_url("openai"), api_key="x", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="gpt-4o", messages=messages)
    failure = Classifier().from_exception(caught.value, provider="openai", model="gpt-4o")
    assert (failure.kind, failure.http_status, failure.retry_after) == ("rate_limit", 429, 3.0)


def test_the_openai_sdk_without_a_server_is_a_connection_failure() -> None:
    with openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        with pytest.raises(openai.APIConnectionError) as caught:
            client.chat.completions.create(model="gpt-4o", messages=messages)
    assert Classifier().from_exception(caught.value, provider="openai", model=None).kind == "connection"


@given(st.integers(-1, 700), st.text(max_size=300) | st.recursive(st.none() | st.text(), st.lists), st.text())
def test_nothing_that_a_server_sends_raises(status: int, body: Any, wait: str) -> None:
    failure = _response(status, body, {"retry-after": wait, "retry-after-ms": wait})
    assert failure.kind in FailureKind
    assert failure.retry_after is None or 0 <= failure.retry_after <= MAX_RETRY_AFTER


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "type", "message", "detail", "details"]), inner)
    ),
    max_leaves=10,
)


@given(json_values)
def test_no_shape_of_an_error_body_raises(body: Any) -> None:
    assert _response(400, body).kind in FailureKind
