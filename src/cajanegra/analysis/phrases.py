"""Phrases: how rules say what a message says, in words instead of regular expressions.

A phrase is a row of words that stand together in the message, whatever signs are between them: ``rate limit``
is in ``Rate limit reached``, ``rate_limit_error`` and ``RateLimitError``. ``(a|b)`` is either, ``(a|)`` may
be missing, `` .. `` is up to 80 characters of the same sentence, ``*`` is a masked value. Every search is
linear in the text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cajanegra.domain.failure import FailureKind
from cajanegra.domain.pattern import FirstMove

MAX_GAP = 80
MAX_WORDS = 3_000
"""Characters of a text in which phrases are looked for."""
_MAX_STARTS = 4
"""How often a phrase may begin in a text before it is given up."""

_WORD = re.compile(r"<\*>|\*|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+|[.!?](?=\s|$)")
_SIGNS = str.maketrans({"!": ".", "?": ".", "<": None, ">": None})
_CHOICE = re.compile(r"\(([^()]*)\)")

Phrase = tuple[tuple[str, ...], ...]
"""Chunks in order, each with the forms that it may have."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Messages that say this fail for this cause.

    Attributes:
        cause: its name, which the pattern is called by; rules for one cause share it.
        kind: the failure kind.
        says: phrases, any of which is enough.
        because: why that holds for messages nobody has seen yet.
        recover: what to do first; ``None`` is what is usual for the kind.
        unless: phrases that make the rule not hold.
        broad: the phrases tell the kind and not the cause: the template decides about the pattern.
        quotes: such messages repeat what the model or a user wrote, which has no place in a template.
    """

    cause: str
    kind: FailureKind
    says: tuple[str, ...]
    because: str
    recover: FirstMove | None = None
    unless: tuple[str, ...] = ()
    broad: bool = False
    quotes: bool = False


def words(text: str) -> str:
    """The words of a text in lower case, a space around each; the ends of sentences are kept as points."""
    text = text[:MAX_WORDS]
    if "n't" in text or "n\u2019t" in text:
        text = text.replace("n't", " not").replace("n\u2019t", " not")
    found = _WORD.findall(text)
    return f" {' '.join(found).translate(_SIGNS).lower()} "


def compiled(phrase: str) -> Phrase:
    """A phrase as it is looked for."""
    return tuple(tuple(dict.fromkeys(map(_as_words, _forms(chunk)))) for chunk in phrase.split(" .. "))


def _as_words(form: str) -> str:
    plain = " ".join(form.split())
    return f" {plain} " if plain.islower() and plain.replace(" ", "").isalpha() else words(plain)


def _forms(chunk: str) -> list[str]:
    parts = _CHOICE.split(chunk)
    choices = [part.split("|") if number % 2 else [part] for number, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def contains(text: str, phrase: Phrase) -> bool:
    """Whether a text that ``words`` made has the chunks of a phrase, in order, within a sentence."""
    first, *others = phrase
    for form in first:
        start = text.find(form)
        if start >= 0 and not others:
            return True
        for _ in range(_MAX_STARTS):
            if start < 0:
                break
            if _continues(text, start + len(form) - 1, others):
                return True
            start = text.find(form, start + 1)
    return False


def _continues(text: str, end: int, chunks: list[tuple[str, ...]]) -> bool:
    for chunk in chunks:
        limit = text.find(" . ", end, end + MAX_GAP)
        limit = end + MAX_GAP if limit < 0 else limit
        ends = [
            found + len(form) - 1 for form in chunk if (found := text.find(form, end, limit + len(form))) >= 0
        ]
        if not ends:
            return False
        end = min(ends)
    return True


class RuleBook:
    """Finds the first of its rules that holds, looking only at phrases that share a word with the text."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._unless = [tuple(map(compiled, rule.unless)) for rule in self.rules]
        self._by_word: dict[str, list[tuple[int, str, Phrase]]] = {}
        for position, rule in enumerate(self.rules):
            for phrase in map(compiled, rule.says):
                for form in _telling_chunk(phrase):
                    word = max(form.split(), key=len)
                    self._by_word.setdefault(word, []).append((position, form, phrase))

    def first(self, text: str, accepted: Callable[[Rule], bool] | None = None) -> Rule | None:
        """The first rule that holds for a text that ``words`` made, of those that are accepted."""
        best = len(self.rules)
        for word in set(text.split()):
            for position, form, phrase in self._by_word.get(word, ()):
                if position >= best:
                    break
                if (
                    form in text
                    and (accepted is None or accepted(self.rules[position]))
                    and (len(phrase) == 1 or contains(text, phrase))
                    and not any(contains(text, unless) for unless in self._unless[position])
                ):
                    best = position
        return self.rules[best] if best < len(self.rules) else None


def _telling_chunk(phrase: Phrase) -> tuple[str, ...]:
    """The chunk that the fewest texts have: the one whose forms all have a long word."""
    return max(phrase, key=lambda chunk: (min(max(map(len, form.split())) for form in chunk), -len(chunk)))
