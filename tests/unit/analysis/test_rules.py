from __future__ import annotations

import re

import pytest

from cajanegra.analysis.knowledge import known_entries
from cajanegra.analysis.phrases import Rule
from cajanegra.analysis.reading import Judgement, Reading, judge
from cajanegra.analysis.rules import RULES, TOPICS, VAGUE
from cajanegra.analysis.rules.fields import DECISIVE_EXCEPTIONS, EXCEPTIONS, FIRST_MOVES, STATUSES
from cajanegra.domain.failure import FailureKind
from rule_examples import EXAMPLES

ALL = (*RULES, *VAGUE, *TOPICS)


def _first(message: str) -> Rule | None:
    reading = Reading(message)
    return reading.rule or reading.rule_of_wrapper or reading.vague


@pytest.mark.parametrize(("cause", "message"), EXAMPLES)
def test_a_message_is_taken_by_the_rule_that_is_for_it(cause: str, message: str) -> None:
    found = _first(message)
    assert found is not None
    assert found.cause == cause


def test_every_rule_has_a_message_that_no_rule_before_it_takes() -> None:
    taken = {id(_first(message)) for _cause, message in EXAMPLES}
    assert [rule.cause for rule in ALL if id(rule) not in taken] == []


@pytest.mark.parametrize("rule", ALL, ids=[f"{number}-{rule.cause}" for number, rule in enumerate(ALL)])
def test_a_rule_says_why_it_holds_and_names_its_cause_for_people(rule: Rule) -> None:
    assert len(rule.because) > 20
    assert re.fullmatch(r"[a-z0-9_]{2,40}", rule.cause)
    assert rule.broad or rule.cause in {*known_entries()["cause"], *FailureKind}
    assert rule.recover is None or rule.recover != FIRST_MOVES[rule.kind] or rule.kind == "tool_call"


def test_every_kind_has_a_first_move() -> None:
    assert set(FIRST_MOVES) == set(FailureKind)
    assert Judgement(FailureKind.RATE_LIMIT).recover == "retry"


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_a_status_alone_has_a_kind(status: int, kind: FailureKind) -> None:
    assert judge(Reading(""), status).kind is kind


@pytest.mark.parametrize(("name", "kind"), [*EXCEPTIONS.items(), *DECISIVE_EXCEPTIONS.items()])
def test_a_class_name_alone_has_a_kind(name: str, kind: FailureKind) -> None:
    assert judge(Reading(""), None, (), [name]).kind is kind


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("Error code: 418 - {'detail': 'hm'}", 418),
        ("Request failed with status code 503", 503),
        ("API Error: 529 Hm", 529),
        ("[404:hm] The thing", 404),
        ("429 hm", 429),
        ("HTTP 400: hm", 400),
        ("Too Many Requests", 429),
        ("AcmeException InternalServerError - 400 Hm", 400),
        ('{"error":{"message":"hm","code":503}}', 503),
        ("Response status code was unacceptable: 500", 500),
        ("Failed to reach a model: 400 Bad Request hm", 400),
        ("404 page not found", 404),
        ("API request failed: 503 - hm", 503),
        ("got a 402 from the API", 402),
        ("received 404 items", None),
        ("there are 429 reasons", None),
        ("about 500 tokens", None),
        ("error: 512 tokens", None),
    ],
)
def test_the_status_in_a_message_is_found(message: str, status: int | None) -> None:
    assert Reading(message).status == status


def test_the_innermost_message_goes_before_its_wrapper() -> None:
    wrapped = "litellm.APIConnectionError: OllamaException - litellm.Timeout: Connection timed out after 600.0 seconds."
    assert judge(Reading(wrapped)).kind == "timeout"
    hidden = '{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"m is temporarily rate-limited upstream"}}}'
    assert judge(Reading(hidden), 429).rule is not None
    assert judge(Reading(hidden), 500).kind == "rate_limit"


def test_a_provider_that_refused_was_reached() -> None:
    message = 'stream error: unexpected status 400 Bad Request: {"message":"the widget is bent"}; retrying 4/5 in 1.7s'
    assert judge(Reading(message)).kind == "invalid_request"


def test_an_escaped_line_break_is_no_parameter() -> None:
    message = '{"message": "{\\n \\"the widget\\": \\"is bent\\",\\n \\"status\\": \\"INVALID\\"\\n}"}'
    assert judge(Reading(message), 400).recover == "none"


def test_a_status_of_the_request_goes_before_a_title_of_the_server() -> None:
    message = "Internal server error: the widget is bent"
    assert judge(Reading(message)).kind == "server_error"
    assert judge(Reading(message), 422).kind == "invalid_request"
    assert judge(Reading("The model has crashed"), 400).kind == "server_error"


def test_a_guess_by_topic_is_asked_last_and_moves_on() -> None:
    guessed = judge(Reading("Mind the concurrency of your plan"))
    assert (guessed.kind, guessed.recover) == ("rate_limit", "fallback")
    known = judge(Reading("Mind the concurrency of your plan"), 429)
    assert (known.kind, known.recover) == ("rate_limit", "retry")
    assert judge(Reading("acme.RateError: the widget is bent")).kind == "unknown"


def test_a_field_without_a_value_is_no_empty_answer() -> None:
    message = "{'error': {'message': 'the widget is bent', 'type': 'x', 'param': None, 'code': None}}"
    assert judge(Reading(message)).kind == "unknown"
    assert judge(Reading(message), 500).kind == "server_error"


def test_what_is_wrong_with_an_answer_is_wrong_with_the_request_when_the_provider_refused_it() -> None:
    message = "name: Field required"
    assert judge(Reading(message)).kind == "schema_validation"
    assert judge(Reading(message), 422).kind == "invalid_request"


def test_what_a_validator_says_within_a_provider_is_a_failure_of_the_provider() -> None:
    message = "1 validation error for ManagedFile\nname\n  Field required"
    assert judge(Reading(message)).kind == "schema_validation"
    assert judge(Reading(message), 500).kind == "server_error"
    assert judge(Reading(message), 400).kind == "invalid_request"


def test_an_answer_that_the_provider_itself_threw_away_stays_one() -> None:
    assert judge(Reading("Failed to generate JSON."), 400).kind == "invalid_response"
