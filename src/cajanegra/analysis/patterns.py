"""Gives each failure its error pattern: a name, a template, why it happens and what to do."""

from __future__ import annotations

import threading

from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.analysis.masking import MASK
from cajanegra.analysis.phrases import Rule
from cajanegra.analysis.reading import Judgement, Reading, judge, read, rule_for
from cajanegra.analysis.unwrap import MAX_MESSAGE
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.pattern import Pattern, digest, pattern_name

MAX_TEMPLATES = 500
"""Templates of one provider and kind that are told apart."""
MAX_ALL_TEMPLATES = 20_000
"""Templates that are told apart in all."""
_KINDS = {str(kind): kind for kind in FailureKind}
REST = "other"
"""Ends the name of the pattern that takes what found no room."""


class PatternBook:
    """A ``ports.Patterns``: names depend on the failure alone, until there are too many to tell apart.

    It may be used by several threads at once.

    Args:
        knowledge: why failures happen and what to do about them.
        max_templates: templates of one provider and kind with a pattern of their own; all others share one.
        max_all_templates: the same for all providers and kinds together.
    """

    def __init__(
        self,
        knowledge: KnowledgeBase,
        *,
        max_templates: int = MAX_TEMPLATES,
        max_all_templates: int = MAX_ALL_TEMPLATES,
    ) -> None:
        self._knowledge = knowledge
        self._max_templates, self._max_all = max_templates, max_all_templates
        self._lock = threading.Lock()
        self._known: dict[str, set[str]] = {}
        self._count = 0
        self._overflowed = 0

    @property
    def overflowed(self) -> int:
        """Failures that were counted under the pattern of the rest, because their template found no room."""
        return self._overflowed

    def explain(
        self,
        *,
        provider: str,
        kind: str,
        message: str,
        http_status: int | None = None,
        code: str | None = None,
        exception_type: str | None = None,
    ) -> Pattern:
        """The pattern of a failure; see ``ports.Patterns``."""
        message = message[:MAX_MESSAGE]
        reading = read(message)
        known_kind = _KINDS.get(kind, FailureKind.UNKNOWN)
        rule = rule_for(reading, known_kind)
        own = self._knowledge.own_entry(provider, kind, code, message)
        cause = (own and own.name) or _cause(reading, known_kind, rule, http_status)
        name = (
            pattern_name(provider, cause) if cause else self._numbered(pattern_name(provider, kind), reading)
        )
        known_cause = cause or (rule.cause if rule else None)
        explanation = self._knowledge.look_up(provider, kind, cause=known_cause, code=code, message=message)
        types = (exception_type.rpartition(".")[2],) if exception_type else ()
        judged = judge(reading, http_status, (code,) if code else (), types)
        if judged.kind is not known_kind:  # who saw the failure happen knew more
            judged = Judgement(known_kind, rule)
        recover = own.recover if own and own.recover else judged.recover
        template = f"{rule.cause.replace('_', ' ')}: {MASK}" if rule and rule.quotes else reading.template
        return Pattern(name, template, explanation.probable_cause, explanation.suggested_action, recover)

    def _numbered(self, prefix: str, reading: Reading) -> str:
        key = digest(reading.said)
        with self._lock:
            known = self._known.get(prefix, set())
            if key not in known:
                if len(known) >= self._max_templates or self._count >= self._max_all:
                    self._overflowed += 1
                    return f"{prefix}_{REST}"
                self._known.setdefault(prefix, known).add(key)
                self._count += 1
        return f"{prefix}_{key}"


def _cause(reading: Reading, kind: FailureKind, rule: Rule | None, status: int | None) -> str | None:
    """The name of the cause; ``None`` where only the template tells failures apart."""
    if kind is FailureKind.INTERRUPTED:
        return kind
    if rule is not None:
        return None if rule.broad else rule.cause
    if reading.is_bare:  # all that was said is the status
        found = status or reading.status
        return f"http_{found}" if found else kind
    return None
