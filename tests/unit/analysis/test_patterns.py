from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.analysis.knowledge import KnowledgeBase, OwnEntry
from cajanegra.analysis.patterns import PatternBook
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.pattern import Pattern, pattern_name


def _pattern(message: str, kind: str, provider: str = "openai", **more: Any) -> Pattern:
    return PatternBook(KnowledgeBase()).explain(provider=provider, kind=kind, message=message, **more)


@pytest.mark.parametrize(
    ("provider", "kind", "message", "name"),
    [
        ("openai", "rate_limit", "Rate limited", "openai_rate_limit"),
        ("openai", "rate_limit", "Rate limit reached on tokens per min (TPM)", "openai_tokens_per_minute"),
        ("ollama", "timeout", "Request timed out.", "ollama_timeout"),
        ("ollama", "timeout", "ReadTimeout", "ollama_timeout"),
        ("ollama", "server_error", "Internal Server Error", "ollama_server_error"),
        ("openai", "rate_limit", "Request failed with status code 429", "openai_http_429"),
        (
            "ollama",
            "model_not_found",
            "404 Client Error: Not Found for url: http://x/api/chat",
            "ollama_http_404",
        ),
        ("openai", "interrupted", "the recorder was closed first", "openai_interrupted"),
        ("openai", "timeout", "", "openai_timeout"),
        ("Acme AI", "timeout", "timed out", "acme-ai_timeout"),
        ("", "timeout", "timed out", "unknown_timeout"),
    ],
)
def test_a_known_cause_has_a_readable_name(provider: str, kind: str, message: str, name: str) -> None:
    assert _pattern(message, kind, provider).name == name


def test_an_unknown_cause_is_named_by_its_template() -> None:
    first = _pattern("The widget 12 is bent", "invalid_request")
    assert first.name.startswith("openai_invalid_request_")
    assert len(first.name) == len("openai_invalid_request_") + 6
    assert first.template == "The widget <*> is bent"
    assert _pattern("Error: the widget 7 is bent", "invalid_request").name == first.name
    assert _pattern("The widget 12 is broken", "invalid_request").name != first.name


def test_a_template_has_the_same_name_in_every_process() -> None:
    code = (
        "from cajanegra.analysis.knowledge import KnowledgeBase\n"
        "from cajanegra.analysis.patterns import PatternBook\n"
        "print(PatternBook(KnowledgeBase()).explain(provider='a', kind='unknown', message='it is bent').name)"
    )
    seeds = ("0", "1")
    names = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in seeds
    }
    assert names == {"a_unknown_" + _pattern("it is bent", "unknown", "a").name[-6:] + "\n"}


def test_the_kind_that_was_seen_is_not_overruled() -> None:
    pattern = _pattern("Rate limited", "timeout")
    assert pattern.name.startswith("openai_timeout_")
    assert pattern.recover == "retry"


def test_the_first_move_follows_the_cause() -> None:
    assert _pattern("certificate verify failed", "tls").recover == "none"
    assert _pattern("Unsupported parameter: 'top_k'", "invalid_request").recover == "simplify"
    assert _pattern("Connection refused", "connection").recover == "fallback"


def test_only_so_many_templates_are_told_apart_and_the_rest_is_counted() -> None:
    book = PatternBook(KnowledgeBase(), max_templates=3, max_all_templates=5)

    def name(kind: str, message: str) -> str:
        return book.explain(provider="p", kind=kind, message=message).name

    messages = [f"it is {word}" for word in ("bent", "blue", "big", "bad", "bold")]
    names = [name("unknown", message) for message in messages]
    assert len(set(names[:3])) == 3
    assert names[3:] == ["p_unknown_other"] * 2
    assert [name("unknown", message) for message in messages[:3]] == names[:3]
    assert book.overflowed == 2
    assert name("auth", "it is gone") != name("auth", "it is odd")
    assert name("auth", "it is grim") == "p_auth_other"
    assert name("rate_limit", "Rate limited") == "p_rate_limit"


def test_threads_share_one_book() -> None:
    book = PatternBook(KnowledgeBase(), max_templates=50)
    words = [f"{first}{second}x" for first in "abcdefgh" for second in "abcdefgh"]
    found: list[set[str]] = []

    def explain() -> None:
        found.append({book.explain(provider="p", kind="unknown", message=f"it is {w}").name for w in words})

    threads = [threading.Thread(target=explain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = set.union(*found) - {"p_unknown_other"}
    assert len(own) == 50


def test_what_somebody_knows_themselves_goes_first() -> None:
    own = OwnEntry(
        "The night job runs.",
        "Wait.",
        provider="openai",
        contains="Shared Pool",
        name="night_job",
        recover="none",
    )
    book = PatternBook(KnowledgeBase(own=[own]))
    found = book.explain(provider="openai", kind="rate_limit", message="Rate limit of the shared pool")
    assert (found.name, found.probable_cause, found.recover) == (
        "openai_night_job",
        "The night job runs.",
        "none",
    )
    other = book.explain(provider="azure", kind="rate_limit", message="Rate limit of the shared pool")
    assert other.name == "azure_rate_limit"


def test_secrets_and_input_stay_out_of_templates() -> None:
    message = (
        "Could not read the note 'my diagnosis' with key sk-proj-abcdefgh12345678 or Bearer abc.DEF.123456"
    )
    template = _pattern(message, "invalid_response").template
    assert "diagnosis" not in template
    assert "abcdefgh" not in template
    assert "DEF" not in template


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("invalid_response", "Could not parse LLM output: my diagnosis is"),
        ("tool_call", "Look up my diagnosis is not a valid tool, try another one."),
    ],
)
def test_what_the_model_wrote_stays_out_of_templates(kind: str, message: str) -> None:
    pattern = _pattern(message, kind)
    assert "diagnosis" not in pattern.template
    assert pattern.template.endswith(": <*>")


@given(st.text(max_size=300), st.sampled_from([*FailureKind, "weather"]), st.text(max_size=300))
def test_a_name_fits_its_column(provider: str, kind: str, message: str) -> None:
    pattern = _pattern(message, kind, provider)
    assert len(pattern.name) <= 100
    assert len(pattern.template) <= 255
    assert pattern.name.isascii()


def test_a_provider_whose_name_is_too_long_does_not_share_another_ones_patterns() -> None:
    assert pattern_name("a" * 30, "timeout") != pattern_name("a" * 31, "timeout")
