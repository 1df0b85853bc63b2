from __future__ import annotations

from typing import Literal

import pytest

from cajanegra.analysis.knowledge import KnowledgeBase, _known
from cajanegra.domain.failure import FailureKind


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
    kinds = set(FailureKind)
    assert set(_known()["kind"]) == kinds
    assert all(set(entries) <= kinds for entries in _known()["provider"].values())
