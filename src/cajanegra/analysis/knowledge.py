"""What is known about failures: probable cause and suggested action, from a file that anybody can edit."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Literal

from cajanegra.ports import Explanation

Language = Literal["en", "es"]


class KnowledgeBase:
    """A ``ports.Knowledge`` that reads ``knowledge.toml`` when it is first asked.

    Args:
        language: the language of its answers.
    """

    def __init__(self, language: Language = "en") -> None:
        self.language = language

    def explain(self, provider: str, kind: str) -> Explanation:
        """The cause and action for a failure kind, as it is at that provider."""
        known = _known()
        by_kind = known["kind"]
        entry = known["provider"].get(provider, {}).get(kind) or by_kind.get(kind) or by_kind["unknown"]
        words = entry[self.language]
        return Explanation(words["cause"], words["action"])


@functools.cache
def _known() -> Mapping[str, Any]:
    text = files("cajanegra.analysis").joinpath("knowledge.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
