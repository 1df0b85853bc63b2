"""What is known about failures: probable cause and suggested action, from a file that anybody can edit."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cajanegra.domain.pattern import FirstMove
from cajanegra.ports import Explanation

Language = Literal["en", "es"]


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """What somebody knows about failures of their own; it holds for failures that fit all that is given.

    Attributes:
        cause: why they happen.
        action: what to do about them.
        provider: only those of this provider.
        kind: only those of this failure kind.
        code: only those with this code of the provider's own, whatever the case.
        contains: only those with these words in the message, whatever the case.
        name: gives them a pattern of their own, ``{provider}_{name}``.
        recover: what to do first about them.
    """

    cause: str
    action: str
    provider: str | None = None
    kind: str | None = None
    code: str | None = None
    contains: str | None = None
    name: str | None = None
    recover: FirstMove | None = None

    def fits(self, provider: str, kind: str, code: str | None, message: str) -> bool:
        """Whether it holds for a failure."""
        return (
            self.provider in (None, provider)
            and self.kind in (None, kind)
            and (self.code is None or (code is not None and self.code.lower() == code.lower()))
            and (self.contains is None or self.contains.lower() in message.lower())
        )


class KnowledgeBase:
    """Causes and actions; reads ``knowledge.toml`` when it is first asked.

    Args:
        language: the language of its answers.
        own: entries that win over the file's, the first that fits first.
    """

    def __init__(self, language: Language = "en", own: Sequence[OwnEntry] = ()) -> None:
        self.language = language
        self._own = tuple(own)

    def explain(self, provider: str, kind: str) -> Explanation:
        """The cause and action for a failure kind, as it is at that provider."""
        return self.look_up(provider, kind)

    def own_entry(self, provider: str, kind: str, code: str | None, message: str) -> OwnEntry | None:
        """The first entry of the user's own that fits a failure."""
        return next((entry for entry in self._own if entry.fits(provider, kind, code, message)), None)

    def look_up(
        self,
        provider: str,
        kind: str,
        *,
        cause: str | None = None,
        code: str | None = None,
        message: str = "",
    ) -> Explanation:
        """The most precise that is known: of the user's own, by code, by cause, by kind; else "unknown".

        Args:
            provider: who failed; what is known of it goes before what holds for all.
            kind: the failure kind.
            cause: the named cause that was found.
            code: the provider's own error code.
            message: what the provider said.
        """
        if own := self.own_entry(provider, kind, code, message):
            return Explanation(own.cause, own.action)
        words = next(_entries(provider, kind, cause, code))[self.language]
        return Explanation(words["cause"], words["action"])


def translated(explanation: Explanation, language: Language) -> Explanation:
    """An explanation from the file, in either language, in that language; any other stays as it is."""
    words = _by_text().get((explanation.probable_cause, explanation.suggested_action))
    if words is None:
        return explanation
    return Explanation(words[language]["cause"], words[language]["action"])


@functools.cache
def _by_text() -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """The file's entries by what they say."""
    known = known_entries()
    sections = [known["kind"], known["cause"], known["code"]]
    sections += [known["provider"].get(name, {}) for name in known["provider"]]
    return {
        (words["cause"], words["action"]): entry
        for section in sections
        for entry in section.values()
        for words in (entry["en"], entry["es"])
    }


def _entries(provider: str, kind: str, cause: str | None, code: str | None) -> Iterator[Mapping[str, Any]]:
    known = known_entries()
    of_provider = known["provider"].get(provider, {})
    for section, name in (("code", code and code.lower()), ("cause", cause), ("kind", kind)):
        for entries in (of_provider, known[section]):
            if name in entries:
                yield entries[name]
    yield known["kind"]["unknown"]


@functools.cache
def known_entries() -> Mapping[str, Any]:
    """The file's entries."""
    import tomllib

    return tomllib.loads(Path(__file__).with_name("knowledge.toml").read_text(encoding="utf-8"))
