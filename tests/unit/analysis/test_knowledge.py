from __future__ import annotations

from typing import Literal

import pytest

from cajanegra.analysis.knowledge import KnowledgeBase, OwnEntry, known_entries, translated
from cajanegra.analysis.rules import RULES, VAGUE
from cajanegra.domain.failure import FailureKind
from cajanegra.ports import Explanation


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_is_explained_in_both_languages(kind: FailureKind, language: Literal["en", "es"]) -> None:
    explanation = KnowledgeBase(language).explain("globex-ai", kind)
    assert explanation.probable_cause.endswith(".")
    assert explanation.suggested_action.endswith(".")


def test_a_provider_sharpens_what_is_said() -> None:
    known = KnowledgeBase()
    assert "ollama serve" in known.explain("ollama", "connection").suggested_action
    assert "ollama serve" not in known.explain("openai", "connection").suggested_action


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    assert KnowledgeBase().explain("openai", "weather").probable_cause.startswith("Unknown")


def test_the_file_has_no_entry_that_nothing_asks_for() -> None:
    known = known_entries()
    kinds = set(FailureKind)
    causes = {rule.cause for rule in (*RULES, *VAGUE)}
    assert set(known) == {"kind", "cause", "code", "provider"}
    assert set(known["kind"]) == kinds
    assert set(known["cause"]) <= causes
    assert all(set(entries) <= kinds | causes for entries in known["provider"].values())


def test_every_entry_is_complete_and_in_both_languages() -> None:
    known = known_entries()
    sections = [known["kind"], known["cause"], known["code"], *known["provider"].values()]
    for section in sections:
        for name, entry in section.items():
            assert set(entry) == {"en", "es"}, name
            for language in entry.values():
                assert set(language) == {"cause", "action"}, name
                assert all(text.endswith(".") and len(text) <= 300 for text in language.values()), name
            assert entry["en"]["cause"] != entry["es"]["cause"], name


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "requests or tokens per minute"),
        ({"cause": "tokens_per_minute"}, "tokens per minute for this model"),
        ({"cause": "tokens_per_minute", "code": "Billing_Hard_Limit_Reached"}, "monthly budget"),
        ({"cause": "concurrency_limit"}, "at the same time"),
        ({"cause": "nobody_knows"}, "requests or tokens per minute"),
    ],
)
def test_the_most_precise_entry_is_said(more: dict[str, str], said: str) -> None:
    assert said in KnowledgeBase().look_up("openai", "rate_limit", **more).probable_cause


def test_an_answer_in_spanish() -> None:
    found = KnowledgeBase("es").look_up("openai", "rate_limit", cause="tokens_per_minute")
    assert "tokens por minuto" in found.probable_cause


@pytest.mark.parametrize(
    ("entry", "fits"),
    [
        ({"provider": "openai"}, True),
        ({"provider": "ollama"}, False),
        ({"kind": "timeout"}, True),
        ({"kind": "auth"}, False),
        ({"code": "SLOW"}, True),
        ({"code": "fast"}, False),
        ({"contains": "TIMED out"}, True),
        ({"contains": "refused"}, False),
        ({"provider": "openai", "contains": "refused"}, False),
    ],
)
def test_an_own_entry_holds_where_all_that_is_given_fits(entry: dict[str, str], fits: bool) -> None:
    known = KnowledgeBase(own=[OwnEntry("mine", "do it", **entry)])  # type: ignore[arg-type]
    found = known.look_up("openai", "timeout", code="slow", message="it timed out")
    assert (found.probable_cause == "mine") is fits


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("provider", ["ollama", "openai", "globex-ai"])
@pytest.mark.parametrize("kind", list(FailureKind))
def test_what_is_stored_in_one_language_is_found_in_the_other(
    kind: FailureKind, provider: str, language: Literal["en", "es"]
) -> None:
    wanted = KnowledgeBase(language).explain(provider, kind)
    languages: tuple[Literal["en", "es"], ...] = ("en", "es")
    for stored in languages:
        assert translated(KnowledgeBase(stored).explain(provider, kind), language) == wanted


def test_what_somebody_wrote_himself_stays_as_it_is() -> None:
    own = Explanation("The cable is out.", "Put it in.")
    assert translated(own, "es") == own
