from __future__ import annotations

from pathlib import Path

import pytest

from cajanegra import Settings, bootstrap


@pytest.fixture(autouse=True)
def _no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_causes_are_told_in_the_language_that_is_set() -> None:
    patterns = bootstrap.new_patterns(Settings(knowledge={"language": "es"}))
    found = patterns.explain(provider="ollama", kind="timeout", message="Request timed out.")
    assert found.name == "ollama_timeout"
    assert "modelo" in found.probable_cause


def test_own_knowledge_goes_first() -> None:
    entry = {"provider": "ollama", "cause": "The tunnel is slow.", "action": "Wait."}
    settings = Settings(knowledge={"entries": [entry]})
    known = bootstrap.new_knowledge(settings)
    assert known.explain("ollama", "timeout").probable_cause == "The tunnel is slow."
    assert known.explain("openai", "timeout").probable_cause != "The tunnel is slow."
