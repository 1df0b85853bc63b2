"""What a message says once wrappers and variable parts are gone."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cajanegra.analysis.masking import masked
from cajanegra.analysis.reading import Reading
from cajanegra.analysis.unwrap import core
from rule_examples import EXAMPLES

SAID = "The widget is bent beyond repair"


@pytest.mark.parametrize(
    "message",
    [
        SAID,
        f'"{SAID}"',
        f"Error: {SAID}",
        f"API Error: 400 {SAID}",
        f"400 {SAID}",
        f"HTTP 400: {SAID}",
        f"[400:invalid_request_error] {SAID}",
        f"acme.errors.BadRequestError: {SAID}",
        f"litellm.BadRequestError: OpenAIException - {SAID}",
        f"2026-01-02 03:04:05,678 ERROR {SAID}",
        f"[2026-01-02 03:04:05.678] [error] [Client=acme] {SAID}",
        f"Failed after 3 attempts. Last error: {SAID}",
        f"Something went wrong. Here's the specific error message we encountered: {SAID}",
        f"Retrying acme.call in 4.0 seconds as it raised APIError: {SAID}",
        f"stream disconnected before completion: {SAID}",
        f"An error occurred (ValidationException) when calling the Converse operation: {SAID}",
        f"Acme call failed with status code 400. Details: {SAID}",
        f"{SAID} (status code: 400)",
        f"{SAID} (request id: 2025052919083290595713412628472)",
        f"{SAID}\nReceived Model Group=acme\nAvailable Model Group Fallbacks=None",
        f"{SAID}. Please visit https://acme.example/help to learn more.",
        f"Error: {SAID}\n    at Client.call (/app/node_modules/acme/client.js:1:2)",
        f'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: {SAID}',
        json.dumps({"error": {"message": SAID, "type": "invalid_request_error", "code": None}}),
        json.dumps({"error": {"message": SAID}}, indent=2),
        json.dumps({"type": "error", "error": {"type": "x", "message": SAID}, "request_id": "req_1"}),
        f"litellm.RateLimitError: AcmeException - {json.dumps([{'error': {'message': SAID}}], indent=2).encode()!r}",
        f"<400> InternalError.Acme.BentWidget: {SAID}",
        json.dumps({"base_resp": {"status_code": 1004, "status_msg": SAID}}),
        json.dumps({"detail": [{"loc": ["body"], "msg": SAID, "type": "x"}]}),
        json.dumps({"error": "Internal Server Error", "message": SAID, "statusCode": 500}),
        json.dumps({"error": {"message": json.dumps({"error": {"message": SAID}}), "code": 400}}),
        json.dumps({"error": {"message": "Provider returned error", "metadata": {"raw": json.dumps({"message": SAID})}}}),
        f"Error code: 400 - {({'error': {'message': SAID, 'type': 'x'}})}",
        f"Error code: 400 - {({'error': {'message': str({'error': {'message': SAID}})}})}",
        f"API Error (400 {json.dumps({'error': {'message': SAID}})}) · Retrying in 1 seconds… (attempt 2/10)",
        f'APIErrorResponse(error: Acme.APIError(message: "{SAID}", type: "x", param: nil))',
        f"error_code=None error_message='{SAID}' error_param=None error_type=x",
        f"{{\n  message: '{SAID}',\n  type: 'x',\n  code: 'y'\n}}",
        f"<html><head><title>{SAID}</title></head><body>nginx</body></html>",
        json.dumps({"error": {"message": SAID}})[:-3],
        f"API request failed: 503 - <!DOCTYPE html>\n<html><head><title>{SAID}</title></head></html>",
    ],
)  # fmt: skip
def test_the_same_cause_has_the_same_template_whatever_is_around_it(message: str) -> None:
    assert Reading(message).said.split() == SAID.lower().split()


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("Used 9348, limit 10,000 of 5.0 GiB", "Used <*>, limit <*> of <*>"),
        ("try in 26.604s or 23m58.56s or 7 seconds", "try in <*>"),
        ("see https://acme.example/a?b=c for more", "see <*> for more"),
        ("at /data/models/llama and C:\\models\\x", "at <*>"),
        ("organization org-gvAzf6Q9pR7y2UAiI9owd3LF is shut", "organization <*> is shut"),
        ("request 5036c677-60f5-4aef-ad04-da4182e0fc56", "request <*>"),
        ("model gpt-4o-mini and acme/Model-7B:free", "model <*>"),
        ("messages.6.content.1: bad; tools[2].parameters", "messages.<*>: bad; tools.<*>"),
        ("no file 'holiday plans' here", "no file <*> here"),
        ('no file `a` or "b" here', "no file <*> here"),
        ("unsupported parameter: 'max_tokens'", "unsupported parameter: max_tokens"),
        ("without `tools=` param", "without tools param"),
        ("key sk-abc*************xyz is wrong", "key <*> is wrong"),
        ("the model's name isn't known", "the model's name isn't known"),
        ("password=hunterhunter is no secret", "password=<*> is no secret"),
    ],
)
def test_what_varies_is_masked(text: str, template: str) -> None:
    assert masked(text) == template


def test_a_template_fits_its_column() -> None:
    assert len(masked("word " * 1000)) == 255


@pytest.mark.parametrize("name", ["d050b3d37aff", "0123456789ab", "a1"])
def test_an_id_does_not_decide_which_message_is_the_telling_one(name: str) -> None:
    message = (
        f"Server {name} not found (stale handle): Error code: 404 - {{'detail': 'Server {name} not found'}}"
    )
    assert Reading(message).said == Reading(message.replace(name, "7")).said


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "Invalid response object: '<html><head><title>502 Bad Gateway</title></head></html>'",
            "bad gateway",
        ),
        ("The widget is bent, see <html><title>Acme WebUI</title></html>", "the widget is bent"),
    ],
)
def test_the_title_of_a_page_that_is_quoted_counts_when_it_is_a_status(message: str, said: str) -> None:
    assert said in Reading(message).said


@pytest.mark.parametrize("field", ["failed_generation", "input_value", "payload_summary", "request_payload"])
def test_what_was_sent_does_not_say_what_went_wrong(field: str) -> None:
    reading = Reading(f'the widget is bent\n  {field}: {{"tool_choice": "auto", "has_tools": true}}')
    assert reading.said.split() == ["the", "widget", "is", "bent"]
    assert reading.rule_of_wrapper is None


def test_a_template_can_be_stored_and_shown() -> None:
    message = '{"error": {"message": "\\ud83d is \\u0000 bent \\u001b[31m"}}'
    template = Reading(message).template
    assert template.encode()
    assert template.isprintable()


VARIABLE = re.compile(r"\d+")
STATUS = re.compile(r"[45]\d\d")
IDS = st.from_regex(r"(req|org|proj|toolu)[-_][A-Za-z0-9]{8,24}[0-9]", fullmatch=True)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([message for _cause, message in EXAMPLES]),
    st.integers(0, 10**9).map(str),
    st.tuples(IDS, IDS),
)
def test_other_numbers_and_ids_never_change_what_is_said(
    message: str, number: str, ids: tuple[str, str]
) -> None:
    first = f"{message} (Request ID {ids[0]})"
    # What stands where a status stands is one, and says what failed.
    varied = VARIABLE.sub(lambda found: found[0] if STATUS.fullmatch(found[0]) else number, message)
    second = f"{varied} (Request ID {ids[1]})"
    assert Reading(first).said == Reading(second).said
    assert Reading(first).rule is Reading(second).rule


@given(st.text() | st.text("\"'\\{}[]():=, \nerorms<>`.-0123456789*/", max_size=500))
@example('{"message":"' * 40)
@example("\\" * 300 + '"message": "x')
def test_no_text_raises(message: str) -> None:
    reading = Reading(message)
    assert len(reading.template) <= 255
    assert isinstance(core(message), str)


@pytest.mark.parametrize(
    "piece",
    [
        *("a", " ", "\n", ".", "/", "'", '"', "`", "\\", "{", "[", "(", "<", "*", "0", "é", "-", "=", ":"),
        *('{"message":"', '\\"message\\":\\"', "error: ", "Error: ", "a.b.", "AError", "A", "a/", "a_", "a ", "1 "),
        *("[x] ", "[x]", "(status", "request id ", "retrying ", "model a not ", "messages.1", "https://", "a:b "),
        *("<title>", "(Caused by ", "SSLError(1, '", "error (", "a.1.", "'a' ", "x='", "{a: ", "bearer ", "password="),
        *("(Request ID ", "received model group", "failed with status code ", "- ", "\n at ", "request to "),
        *("{\\n", "status a ", "Aa.", "400 bad "),
    ],
)  # fmt: skip
def test_hostile_text_takes_linear_time(piece: str) -> None:
    def seconds(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size]
        begin = time.process_time()
        Reading(text)
        return time.process_time() - begin

    short = min(seconds(1_000) for _ in range(3))
    assert min(seconds(4_000) for _ in range(3)) < 4 * max(short, 0.001) * 4
