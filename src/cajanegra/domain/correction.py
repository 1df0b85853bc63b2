"""Corrections: the strategy that people enable for an error pattern, its settings, and what is refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from cajanegra.domain.call import MEANINGFUL, Strategy
from cajanegra.domain.failure import FailureKind
from cajanegra.domain.moves import MOVES
from cajanegra.errors import UsageError

Models = Mapping[str, Collection[str]]
"""The providers that may be asked, each with the models that it is known to serve; none are any."""


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    @property
    def config(self) -> dict[str, Any]:
        """The settings as ``correction_config`` has them."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class Retry(_Settings, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Send the same request to the same target again."""

    strategy: ClassVar[Strategy] = Strategy.RETRY
    wait: Annotated[float, msgspec.Meta(ge=0, le=3_600)] | None = None
    """Seconds to wait at least; what the provider asks for and backing off may be longer."""
    retries: Annotated[int, msgspec.Meta(ge=1, le=19)] | None = None
    """How often at most; default is once, or more where nobody else is left to ask."""

    @property
    def words(self) -> str:
        """What is done, for people."""
        times = f" up to {self.retries} times" if self.retries else ""
        return f"retry{times}" + (f" after {self.wait:g} s" if self.wait else "")


class Fallback(_Settings, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Ask another provider or model."""

    strategy: ClassVar[Strategy] = Strategy.FALLBACK
    provider: Annotated[str, msgspec.Meta(min_length=1, max_length=20)] | None = None
    """Whom to ask; default is the next of the chain."""
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    """The provider's own name of the model to ask; default is the one that the call would ask there."""

    @property
    def words(self) -> str:
        """What is done, for people."""
        if self.provider is None:
            return "fall back to the next provider"
        return f"fall back to {self.provider}" + (f"/{self.model}" if self.model else "")


class Simplify(_Settings, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Ask the same target for less."""

    strategy: ClassVar[Strategy] = Strategy.SIMPLIFY
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    """Tokens that the answer may have at most."""
    context_window: Annotated[int, msgspec.Meta(ge=256, le=100_000_000)] | None = None
    """Tokens that prompt and answer may have together; the prompt is shortened to fit."""
    remove: Annotated[tuple[str, ...], msgspec.Meta(max_length=20)] = ()
    """Parameters to leave out; not those that the answer depends on."""

    @property
    def words(self) -> str:
        """What is done, for people."""
        parts = [f"max_tokens at most {self.max_tokens}"] if self.max_tokens else []
        parts += [f"fit into {self.context_window} tokens"] if self.context_window else []
        parts += [f"without {', '.join(self.remove)}"] if self.remove else []
        return "simplify" + (f" ({'; '.join(parts)})" if parts else "")


Correction = Retry | Fallback | Simplify
"""What is done about the failures of a pattern before anything else is tried."""

_TYPES: Mapping[str, type[Correction]] = {kind.strategy: kind for kind in (Retry, Fallback, Simplify)}
_NEVER = frozenset(kind for kind, moves in MOVES.items() if not moves)
_NEVER_REPEATED = frozenset(kind for kind, moves in MOVES.items() if Strategy.RETRY not in moves)


def correction_of(strategy: str, settings: Any, *, kind: str | None, models: Models) -> Correction:
    """The correction that is meant, if it is one that can be obeyed.

    Args:
        strategy: ``retry``, ``fallback`` or ``simplify``.
        settings: as ``correction_config`` has them, numbers as texts allowed; ``None`` is none.
        kind: the failure kind of the pattern, as far as it is known.
        models: who may be asked.

    Raises:
        UsageError: the strategy, a setting, the provider or the model is unknown, a value makes no sense, or
            failures of this kind must not be treated so. The message says which, and what there is.
    """
    known = _TYPES.get(strategy.strip().lower())
    if known is None:
        raise UsageError(f"{strategy[:50]!r} is not a strategy{_suggestion(strategy, _TYPES)}")
    found = _convert(known, settings)
    if isinstance(found, Fallback):
        _check_target(found, models)
    elif isinstance(found, Simplify):
        _check_removed(found)
    _check_kind(found, kind)
    return found


def strategies_for(kind: str | None) -> tuple[Strategy, ...]:
    """The strategies that may be enabled for patterns of a failure kind, as far as it is known."""
    if kind in _NEVER:
        return ()
    return tuple(
        one
        for one in (Strategy.RETRY, Strategy.FALLBACK, Strategy.SIMPLIFY)
        if one is not Strategy.RETRY or kind not in _NEVER_REPEATED
    )


def _convert(kind: type[Correction], settings: Any) -> Correction:
    given = {} if settings is None else settings
    if not isinstance(given, Mapping):
        raise UsageError("the settings must be an object of names and values")
    if isinstance(given.get("remove"), str):
        given = {**given, "remove": [name.strip() for name in given["remove"].split(",") if name.strip()]}
    for name in given:
        if name not in kind.__struct_fields__:
            unknown, known = str(name)[:50], kind.__struct_fields__
            raise UsageError(f"{unknown!r} is not a setting of {kind.strategy}{_suggestion(unknown, known)}")
    try:
        found: Correction = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$.")
        for kind_of_value, words in _VALUES.items():
            reason = re.sub(rf"`{kind_of_value}( \| null)?`", words, reason)
        name = re.split(r"[`\[]", where)[0]
        raise UsageError(f"{name}: {reason[:1].lower()}{reason[1:]}") from None
    return found


_VALUES = {"float": "a number", "int": "a whole number", "str": "a text", "array": "a list", "bool": "true"}
"""What msgspec calls types, in words."""


def _check_target(found: Fallback, models: Models) -> None:
    if found.provider is None:
        if found.model is not None:
            raise UsageError("a model needs its provider: give provider, too")
        return
    if found.provider not in models:
        raise UsageError(
            f"provider {found.provider!r} is not configured{_suggestion(found.provider, models)}"
        )
    served = models[found.provider]
    if found.model is not None and served and found.model not in served:
        raise UsageError(
            f"model {found.model!r} is not configured for {found.provider}{_suggestion(found.model, served)}"
        )


def _check_removed(found: Simplify) -> None:
    for name in found.remove:
        if name in MEANINGFUL:
            raise UsageError(f"{name!r} is never left out, since the answer depends on it")


def _check_kind(found: Correction, kind: str | None) -> None:
    if kind in _NEVER:
        raise UsageError(f"{kind} is never recovered: nobody wants an answer any more")
    if isinstance(found, Retry) and kind in _NEVER_REPEATED:
        ways = " or ".join(MOVES[FailureKind(kind)])
        raise UsageError(f"after {kind} the same request is never sent again; use {ways}")


def _suggestion(name: str, known: Iterable[str]) -> str:
    names = [str(one) for one in known]
    near = difflib.get_close_matches(name.lower(), names, n=1)
    there_is = ", ".join(names) or "none"
    return f"; did you mean {near[0]!r}?" if near else f"; there is: {there_is}"
