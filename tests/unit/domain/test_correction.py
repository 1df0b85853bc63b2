from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import MEANINGFUL, Strategy
from cajanegra.domain.correction import Correction, Fallback, Retry, Simplify, correction_of
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.moves import MOVES
from cajanegra.errors import UsageError

MODELS = {"openai": {"gpt-4o", "gpt-4o-mini"}, "ollama": set[str]()}


def _of(strategy: str, kind: str | None = None, /, **settings: Any) -> Correction:
    return correction_of(strategy, settings, kind=kind, models=MODELS)


def test_what_is_stored_is_what_is_read_again() -> None:
    for correction in (
        Retry(wait=2.5, retries=3),
        Fallback(provider="openai", model="gpt-4o"),
        Simplify(max_tokens=100, context_window=4096, remove=("temperature",)),
        Fallback(),
    ):
        again = correction_of(correction.strategy, correction.config, kind=None, models=MODELS)
        assert again == correction


def test_values_may_come_as_texts() -> None:
    assert _of("retry", wait="2.5", retries="3") == Retry(wait=2.5, retries=3)
    assert _of("simplify", remove="temperature, top_p") == Simplify(remove=("temperature", "top_p"))
    assert _of(" Fallback ", provider="openai") == Fallback(provider="openai")


@pytest.mark.parametrize(
    ("strategy", "settings", "message"),
    [
        ("falback", {}, "'falback' is not a strategy; did you mean 'fallback'?"),
        ("", {}, "there is: retry, fallback, simplify"),
        ("fallback", {"provider": "opnai"}, "provider 'opnai' is not configured; did you mean 'openai'?"),
        ("fallback", {"provider": "azure"}, "there is: openai, ollama"),
        ("fallback", {"provider": "openai", "model": "gpt-4"}, "model 'gpt-4' is not configured for openai"),
        ("fallback", {"model": "gpt-4o"}, "a model needs its provider"),
        ("fallback", {"provider": 7}, "provider: expected a text, got a whole number"),
        ("fallback", {"wait": 1}, "'wait' is not a setting of fallback; there is: provider, model"),
        ("retry", {"wiat": 1}, "'wiat' is not a setting of retry; did you mean 'wait'?"),
        ("retry", {"wait": -1}, "wait: expected a number >= 0"),
        ("retry", {"wait": "nan"}, "wait: expected a number"),
        ("retry", {"retries": 0}, "retries: expected a whole number >= 1"),
        ("simplify", {"remove": ["tools"]}, "'tools' is never left out, since the answer depends on it"),
        ("simplify", {"remove": 3}, "remove: expected a list"),
        ("simplify", {"max_tokens": "many"}, "max_tokens: expected a whole number"),
        ("simplify", "max_tokens=5", "the settings must be an object"),
        ("simplify", [1], "the settings must be an object"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_in_words(strategy: str, settings: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        correction_of(strategy, settings, kind=None, models=MODELS)
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", FailureKind)
def test_what_is_never_repeated_is_not_repeated_by_a_correction_either(kind: FailureKind) -> None:
    if Strategy.RETRY in MOVES[kind]:
        assert _of("retry", kind) == Retry()
    else:
        with pytest.raises(UsageError, match=kind):
            _of("retry", kind)


def test_a_provider_without_a_list_of_models_may_be_asked_for_any() -> None:
    assert _of("fallback", provider="ollama", model="llama3.2:70b").config == {
        "provider": "ollama",
        "model": "llama3.2:70b",
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)
names = st.sampled_from(["wait", "retries", "provider", "model", "max_tokens", "context_window", "remove"])


@given(
    st.sampled_from([*Strategy, "other", ""]) | st.text(max_size=10),
    json_values | st.dictionaries(names, json_values, max_size=3),
    st.none() | st.sampled_from(FailureKind) | st.text(max_size=10),
)
def test_whatever_stands_in_the_table_is_a_correction_within_bounds_or_an_error_in_words(
    strategy: str, settings: Any, kind: str | None
) -> None:
    message, found = "", None
    try:
        found = correction_of(strategy, settings, kind=kind, models=MODELS)
    except UsageError as error:
        message = str(error)
    if found is None:
        assert 0 < len(message) < 500
        return
    assert found.words
    if isinstance(found, Retry):
        assert 0 <= (found.wait or 0) <= 3600
        assert 1 <= (found.retries or 1) <= 19
    elif isinstance(found, Fallback):
        assert found.provider is None or found.provider in MODELS
    else:
        assert not MEANINGFUL.intersection(found.remove)
