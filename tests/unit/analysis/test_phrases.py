from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.analysis.phrases import Rule, RuleBook, compiled, contains, words
from cajanegra.domain.failure import FailureKind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rate limit reached", " rate limit reached "),
        ("rate_limit_error", " rate limit error "),
        ("RateLimitError", " rate limit error "),
        ("APIConnectionError", " api connection error "),
        ("isn't, isn\u2019t", " is not is not "),
        ("One. Two! v1.2", " one . two . v 1 2 "),
        ("model <*> not found", " model * not found "),
        ("maxOutputTokens", " max output tokens "),
        ("", "  "),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("rate limit", "the rate limit was hit", True),
        ("rate limit", "the rate limits were hit", False),
        ("rate limit(s|)", "the rate limits were hit", True),
        ("(not|n't) found", "It isn't found", True),
        ("model .. not found", "model a/b was not found", True),
        ("model .. not found", "model a/b is here. Key not found", False),
        ("model .. not found", f"model {'x ' * 50} not found", False),
        ("a .. b .. c", "a x b y c", True),
        ("a .. b .. c", "a x c y b", False),
        ("model * found", "model <*> found", True),
    ],
)
def test_phrases(phrase: str, text: str, found: bool) -> None:
    assert contains(words(text), compiled(phrase)) is found


RULES = (
    Rule("first", FailureKind.TIMEOUT, ("too late", "a .. b"), "", unless=("never",)),
    Rule("second", FailureKind.CONNECTION, ("late", "b"), ""),
)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("too late", "first"),
        ("late", "second"),
        ("a then b", "first"),
        ("b then a", "second"),
        ("too late, never", "second"),
        ("early", None),
    ],
)
def test_the_first_rule_that_holds_is_found(text: str, cause: str | None) -> None:
    found = RuleBook(RULES).first(words(text))
    assert (found and found.cause) == cause


def test_only_accepted_rules_are_found() -> None:
    found = RuleBook(RULES).first(words("too late"), lambda rule: rule.kind is FailureKind.CONNECTION)
    assert found is RULES[1]


@given(st.text())
def test_words_are_apart_by_one_space(text: str) -> None:
    found = words(text)
    assert found == f" {' '.join(found.split())} "
