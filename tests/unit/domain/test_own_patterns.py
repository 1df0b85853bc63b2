from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.own_patterns import MAX_MATCHES, OwnPatterns
from cajanegra.errors import SettingsError
from unit.domain.test_redactor import assert_linear

PATTERNS = OwnPatterns({"employee": r"EMP-\d{6}"})


@given(st.text(), st.integers(0, 999_999), st.text())
def test_a_match_is_masked_in_any_text(before: str, number: int, after: str) -> None:
    secret = f"EMP-{number:06}"
    assert PATTERNS.mask(f"{before}{secret}{after}") == re.sub(
        r"EMP-\d{6}", "[employee]", f"{before}{secret}{after}", flags=re.ASCII
    )


@given(st.text(max_size=50))
def test_a_text_without_a_match_is_itself(text: str) -> None:
    other = text.replace("EMP", "")
    assert PATTERNS.mask(other) is other


def test_lone_surrogates_survive() -> None:
    assert PATTERNS.mask("\ud800 EMP-123456 \udfff") == "\ud800 [employee] \udfff"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", "capture.patterns.mine is not a regular expression of RE2: missing ): ("),
        (r"(a)\1", r"capture.patterns.mine is not a regular expression of RE2: invalid escape sequence: \1"),
        ("(?<=a)b", "capture.patterns.mine is not a regular expression of RE2: "),
        ("(?:a{1000}){1000}", "capture.patterns.mine is not a regular expression of RE2: "),
        ("(?:[a-z]{1,1000}é){1,20}x", "capture.patterns.mine is not a regular expression of RE2: "),
        ("a*", "capture.patterns.mine matches the empty text"),
        ("", "capture.patterns.mine matches the empty text"),
        ("a" * 1001, "capture.patterns.mine has 1001 characters; at most 1000"),
    ],
)
def test_an_unusable_expression_is_refused_with_the_reason(
    expression: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        OwnPatterns({"fine": "x", "mine": expression})
    assert capfd.readouterr() == ("", "")


def test_without_re2_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(SettingsError, match=r"pip install 'cajanegra\[patterns\]'"):
        OwnPatterns({"mine": "x"})


def test_what_matches_too_often_is_masked_to_the_end() -> None:
    masked = OwnPatterns({"a": "a"}).mask("a" * (MAX_MATCHES - 1) + "b" + "a" * 2 + "secret")
    assert masked == "[a]" * (MAX_MATCHES - 1) + "b[a]"
    assert OwnPatterns({"a": "a"}).mask("ab" * 10) == "[a]b" * 10


@pytest.mark.parametrize(
    ("expression", "piece"),
    [
        ("(a+)+$", "a"),
        ("a(?:.*b)?", "a"),
        (r"(?:[ab]*a[ab]{200})c", "ab"),
        (r"\w+@acme", "a"),
        ("(?:a|b|ab)*c", "ab"),
    ],
)
def test_no_expression_takes_more_than_linear_time(expression: str, piece: str) -> None:
    assert_linear(OwnPatterns({"p": expression}).mask, piece)
