"""Reads a message once: what it says, its template, and the rule that holds for it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cajanegra.analysis.masking import masked
from cajanegra.analysis.phrases import Rule, RuleBook, words
from cajanegra.analysis.reasons import bare_status
from cajanegra.analysis.rules import ANSWERS, RULES, TOPICS, VAGUE, VALIDATION
from cajanegra.analysis.rules.fields import (
    DECISIVE_EXCEPTIONS,
    EXCEPTIONS,
    FIRST_MOVES,
    PRECISE_STATUSES,
    STATUSES,
)
from cajanegra.analysis.unwrap import MAX_MESSAGE, REASON, core, without_input
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.pattern import FirstMove

_MAX_CACHED = 512
_NOT_THE_REQUEST = frozenset(
    {
        FailureKind.CONNECTION,
        FailureKind.STREAM_INTERRUPTED,
        FailureKind.DNS,
        FailureKind.TLS,
        FailureKind.TIMEOUT,
        FailureKind.SERVER_ERROR,
        FailureKind.CANCELLED,
    }
)
"""Said of a provider that was not reached, broke, or was not waited for: not so when it answered 4xx."""
_SAID_OF_ANY = frozenset(
    {FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.SERVER_ERROR, FailureKind.CANCELLED}
)
"""What wrappers say of any failure, in words that are hard to tell from those of the provider."""
_WRONG_REQUEST = frozenset({400, 404, 415, 422})
_OF_ANSWERS = (*VALIDATION, *ANSWERS)
_ESCAPED_BREAK = re.compile(r"\\[nrt]")
_NUMBER = re.compile(r"\b[45]\d\d\b")
_STATUS = re.compile(
    r"(?:(?:status(?:[ _]?code)?(?: \w{2,20}){0,2}|http|error|exception|response|\bcode"
    r"|failed(?: with)?|(?:got|received|returned)(?: an?)?)[: =([\"'-]{1,4}"
    r"|^\W{0,3})"
    r"([45]\d\d)\b(?![.,]?\d| tokens| characters| requests| validation| items| records)"
    rf"|\b([45]\d\d) (?:status code|{REASON})\b",
    re.IGNORECASE,
)


class Reading:
    """A message as it was read.

    Attributes:
        template: what the message says, ``<*>`` for what varies.
        said: the words of the template.
        rule: the first rule that holds for them.
        status: the HTTP status that the message names.
    """

    __slots__ = ("_message", "_wrapped", "rule", "said", "status", "template")

    def __init__(self, message: str) -> None:
        self._message = message
        self._wrapped: Rule | bool | None = False
        self.template = masked(core(message))
        # A number that the message begins with may be a status, and is stripped as one.
        self.said = f" {words(self.template).strip(' .*')} "
        self.rule = book().first(self.said)
        head = message[:300]
        found = _STATUS.search(head) if _NUMBER.search(head) else None
        self.status = int(found[1] or found[2]) if found else bare_status(self.said) or None

    @property
    def rule_of_wrapper(self) -> Rule | None:
        """The first rule that holds for the whole message, wrappers and quoted texts included."""
        if isinstance(self._wrapped, bool):
            # A field without a value says nothing, and must not read as an answer without one.
            # What is left of an escaped line break must not read as the parameter n.
            text = words(_ESCAPED_BREAK.sub(" ", without_input(self._message)))
            text = text.replace(" none ", " ").replace(" null ", " ")
            self._wrapped = book().first(text)
        return self._wrapped

    @property
    def is_bare(self) -> bool:
        """Whether the message says nothing more than a status does."""
        return bare_status(self.said) is not None

    @property
    def vague(self) -> Rule | None:
        """The first vague rule that holds of what is said, what that is about, or one for all of it."""
        book = vague_book()
        return book.first(self.said) or topic_book().first(self.said) or book.first(words(self._message))


@dataclass(frozen=True, slots=True)
class Judgement:
    """The kind of a failure, and the rule that told it, if a rule did."""

    kind: FailureKind
    rule: Rule | None = None

    @property
    def recover(self) -> FirstMove:
        """What to do first."""
        if self.rule is not None and self.rule.kind is self.kind and self.rule.recover is not None:
            return self.rule.recover
        return FIRST_MOVES[self.kind]


@functools.lru_cache(maxsize=_MAX_CACHED)
def read(message: str) -> Reading:
    """Read a message that is no longer than ``MAX_MESSAGE``."""
    return Reading(message[:MAX_MESSAGE])


@functools.cache
def book() -> RuleBook:
    """All rules but the vague ones."""
    return RuleBook(RULES)


@functools.cache
def vague_book() -> RuleBook:
    """The vague rules."""
    return RuleBook(VAGUE)


@functools.cache
def topic_book() -> RuleBook:
    """The rules for what a message is about: not asked of wrappers, which are about too much."""
    return RuleBook(TOPICS)


def judge(
    reading: Reading, status: int | None = None, codes: Iterable[str] = (), types: Iterable[str] = ()
) -> Judgement:
    """The kind of a failure; the most precise evidence first.

    Args:
        reading: its message.
        status: HTTP status of the response.
        codes: the provider's own codes and types, the most precise first.
        types: class names of the exception and its causes, the innermost first.
    """
    types, codes = tuple(types), tuple(codes)
    status = status or reading.status
    for name in types:
        if kind := DECISIVE_EXCEPTIONS.get(name):
            return Judgement(kind, _rule_for(reading, kind))
    if status and status in PRECISE_STATUSES and (kind := STATUSES.get(status)):
        return Judgement(kind, _rule_for(reading, kind))
    rule = reading.rule
    if rule is not None and status in _WRONG_REQUEST and rule.kind in _SAID_OF_ANY and not rule.recover:
        rule = None  # the status says whose fault it was
    rule = rule or (book().first(words(" . ".join(codes))) if codes else None)
    rule = rule or _rule_of_wrapper(reading, status)
    if rule is not None:
        if status in _WRONG_REQUEST and rule in _OF_ANSWERS:  # it was the request that could not be used
            return Judgement(FailureKind.INVALID_REQUEST, rule)
        if rule in VALIDATION and _of_class(status) is FailureKind.SERVER_ERROR:
            return Judgement(FailureKind.SERVER_ERROR, rule)  # it was the provider's own data that was wrong
        return Judgement(rule.kind, rule)
    return _by_fields(reading, status, types)


def _rule_of_wrapper(reading: Reading, status: int | None) -> Rule | None:
    rule = reading.rule_of_wrapper
    answered = _of_class(status) is FailureKind.INVALID_REQUEST
    return None if rule is not None and answered and rule.kind in _NOT_THE_REQUEST else rule


def _by_fields(reading: Reading, status: int | None, types: tuple[str, ...]) -> Judgement:
    named = next((kind for name in types if (kind := EXCEPTIONS.get(name))), None)
    if kind := STATUSES.get(status or 0) or _of_class(status) or named:
        return Judgement(kind)
    vague = reading.vague
    return Judgement(vague.kind, vague) if vague else Judgement(FailureKind.UNKNOWN)


def _rule_for(reading: Reading, kind: FailureKind) -> Rule | None:
    if reading.rule is not None and reading.rule.kind is kind:
        return reading.rule
    return book().first(reading.said, lambda rule: rule.kind is kind)


def rule_for(reading: Reading, kind: FailureKind) -> Rule | None:
    """The rule that says why a failure of a kind that is already known happened, if one does."""
    rule = _rule_for(reading, kind)
    if rule is None and reading.is_bare and (wrapped := reading.rule_of_wrapper) and wrapped.kind is kind:
        return wrapped
    return rule


def _of_class(status: int | None) -> FailureKind | None:
    if status is None:
        return None
    if 400 <= status < 500:  # noqa: PLR2004 - RFC 9110, section 15
        return FailureKind.INVALID_REQUEST
    return FailureKind.SERVER_ERROR if 500 <= status < 600 else None  # noqa: PLR2004
