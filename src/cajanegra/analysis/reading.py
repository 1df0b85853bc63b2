"""Reads a message once: what it says, its template, and the rule that holds for it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cajanegra.analysis.masking import masked
from cajanegra.analysis.phrases import Rule, RuleBook, words
from cajanegra.analysis.reasons import bare_status
from cajanegra.analysis.rules import ANSWERS, RULES, VAGUE
from cajanegra.analysis.rules.fields import (
    DECISIVE_EXCEPTIONS,
    EXCEPTIONS,
    FIRST_MOVES,
    PRECISE_STATUSES,
    STATUSES,
)
from cajanegra.analysis.unwrap import MAX_MESSAGE, core
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.pattern import FirstMove

_MAX_CACHED = 512
_NOT_ANSWERED = frozenset(
    {
        FailureKind.CONNECTION,
        FailureKind.STREAM_INTERRUPTED,
        FailureKind.DNS,
        FailureKind.TLS,
        FailureKind.TIMEOUT,
    }
)
"""What a client says of a provider that it did not reach: not so when there is a status of 4xx."""
_WRONG_REQUEST = frozenset({400, 404, 415, 422})
_NUMBER = re.compile(r"\b[45]\d\d\b")
_STATUS = re.compile(
    r"(?:error code|status(?:[ _]?code)?|http(?: error)?|\bapi error|\berror)[: =(\"']{1,4}([45]\d\d)\b"
    r"|^\W{0,3}([45]\d\d)\b(?![.,]?\d| tokens| characters| requests| validation)",
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
            text = words(self._message).replace(" none ", " ").replace(" null ", " ")
            self._wrapped = book().first(text)
        return self._wrapped

    @property
    def is_bare(self) -> bool:
        """Whether the message says nothing more than a status does."""
        return bare_status(self.said) is not None

    @property
    def vague(self) -> Rule | None:
        """The first vague rule that holds for what is said, or else for the whole message."""
        return vague_book().first(self.said) or vague_book().first(words(self._message))


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
    rule = reading.rule or (book().first(words(" . ".join(codes))) if codes else None)
    rule = rule or _rule_of_wrapper(reading, status)
    if rule is not None:
        if status in _WRONG_REQUEST and rule in ANSWERS:  # it was the request that the provider could not use
            return Judgement(FailureKind.INVALID_REQUEST, rule)
        return Judgement(rule.kind, rule)
    return _by_fields(reading, status, types)


def _rule_of_wrapper(reading: Reading, status: int | None) -> Rule | None:
    rule = reading.rule_of_wrapper
    answered = _of_class(status) is FailureKind.INVALID_REQUEST
    return None if rule is not None and answered and rule.kind in _NOT_ANSWERED else rule


def _by_fields(reading: Reading, status: int | None, types: tuple[str, ...]) -> Judgement:
    vague = reading.vague
    named = next((kind for name in types if (kind := EXCEPTIONS.get(name))), None)
    by_status = STATUSES.get(status or 0) or _of_class(status)
    return Judgement(by_status or named or (vague.kind if vague else FailureKind.UNKNOWN), vague)


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
