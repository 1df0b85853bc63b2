from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import ChatRequest
from cajanegra.providers.answers import Checked, Outcome, check, may_be_refusal
from cajanegra.providers.delivery import Delivery
from cajanegra.providers.json_answers import decode, repaired

SCHEMA = {
    "type": "object",
    "properties": {"due": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["due"],
    "additionalProperties": False,
}
PLAIN = ChatRequest([])
AS_JSON = ChatRequest([], parameters={"response_format": {"type": "json_object"}})
AS_SCHEMA = ChatRequest(
    [],
    parameters={"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
)


def _kind(text: str, request: ChatRequest = PLAIN, finish_reason: str | None = "stop", **known: Any) -> str:
    found = check(Outcome(text, finish_reason, **known), request)
    return "good" if isinstance(found, Checked) else str(found[0])


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m sorry, but I cannot assist with that request.",
        "Sorry, I can't comply.",
        "I am unable to provide that.",
        "I won't help with this.",
        "Lo siento, pero no puedo ayudar con eso.",
    ],
)
def test_a_refusal_in_words_is_a_refusal(text: str) -> None:
    assert _kind(text) == "refusal"
    assert all(may_be_refusal(text[:size]) for size in range(0, min(len(text), 12), 3))


@pytest.mark.parametrize(
    "text",
    [
        "I can help with that.",
        "Sorry for the delay: the invoice is due on Monday.",
        "The customer wrote: I can't help with that.",
        "I cannot find an error in line 3; the totals match.",
        "I'm sorry, but I can't help with that. " + "However, here is what the contract says. " * 10,
    ],
)
def test_an_answer_is_no_refusal_because_it_has_its_words(text: str) -> None:
    assert _kind(text) == "good"


def test_silent_failures_have_their_kinds() -> None:
    assert _kind("") == "invalid_response"
    assert _kind("fine", finish_reason=None) == "invalid_response"
    assert _kind("half of it", finish_reason="content_filter") == "content_filter"
    assert _kind("", refused=True) == "refusal"
    assert _kind("long text", finish_reason="length") == "good"
    assert _kind('{"a": 1}', AS_JSON, "length") == "invalid_response"
    assert _kind('{"due": 1}', AS_SCHEMA) == "schema_validation"
    assert _kind('{"due": "x", "more": 1}', AS_SCHEMA) == "schema_validation"
    assert _kind('{"due": "x", "days": 3}', AS_SCHEMA) == "good"


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"due": "Monday"}\n```',
        'Here you are: {"due": "Monday"}. Anything else?',
        "{'due': 'Monday'}",
        '{"due": "Monday",}',
        '{due: "Monday"}',
        '{"due": "Monday" // the first\n}',
    ],
)
def test_slips_are_mended_when_the_result_matches(text: str) -> None:
    mended = repaired(text, SCHEMA)
    assert mended is not None
    assert json.loads(mended) == {"due": "Monday"}


@pytest.mark.parametrize(
    "text",
    [
        '{"due": "Mon',
        '{"due": "Monday"',
        '{"due": "Monday", "days": 1',
        '[{"due": "Monday"}, {"due": "Tue',
        '```json\n{"due": "Monday", "days": 12\n```',
        "It is due on Monday.",
        '{"when": "Monday"}',
        '{"due": "Monday"} {"due": "Tuesday"}',
        "",
    ],
)
def test_what_is_cut_or_something_else_is_not_mended(text: str) -> None:
    assert repaired(text, SCHEMA) is None


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=8), min_size=1, max_size=5),
    st.data(),
)
def test_a_beginning_is_never_taken_for_the_whole(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    assert repaired(cut, None) is None


@given(st.text(max_size=200))
def test_no_text_breaks_the_checks(text: str) -> None:
    for request in (PLAIN, AS_JSON, AS_SCHEMA):
        check(Outcome(text, "stop"), request)
    decode(text.encode(errors="surrogatepass"))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "https://example.invalid/schema.json"},
        {"$ref": "#/$defs/missing"},
        {"properties": {"due": {"pattern": "("}}},
    ],
)
def test_a_schema_that_cannot_be_checked_lets_the_answer_pass(schema: dict[str, Any]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    request = ChatRequest([], parameters={"response_format": wanted})
    assert _kind('{"due": "Monday"}', request) == "good"


@given(st.lists(st.text(max_size=20), max_size=20))
def test_what_is_handed_out_is_the_whole_text(pieces: list[str]) -> None:
    delivery = Delivery(PLAIN)
    out = [delivery.take(piece) for piece in pieces]
    out.append(delivery.finish(Checked(delivery.text)))
    assert "".join(out) == "".join(pieces)


def test_json_is_kept_back_until_it_has_been_checked() -> None:
    delivery = Delivery(AS_JSON)
    assert [delivery.take(piece) for piece in ("```", '{"a": 1}', "```")] == ["", "", ""]
    assert delivery.finish(Checked('{"a": 1}', repaired=True)) == '{"a": 1}'
