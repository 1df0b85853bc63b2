"""What to do about a failure: a pure function of what is known."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cajanegra.domain.call import Strategy
from cajanegra.domain.correction import Correction, Fallback, Retry
from cajanegra.domain.failure import Failure
from cajanegra.domain.moves import MOVES, is_repeatable
from cajanegra.recovery.learning import Arm, Record, choose

RETRY, FALLBACK, SIMPLIFY = Strategy.RETRY, Strategy.FALLBACK, Strategy.SIMPLIFY

LEAST_ATTEMPT = 0.05
"""Seconds that must be left for an attempt to be worth making."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How far to go for one call.

    Attributes:
        attempts: requests on the wire, all providers and strategies together.
        timeout: seconds until the deadline, waits included.
        retries: repetitions of the same request at one target while another is left to ask.
        last_retries: the same, when no other is left.
        simplifications: how often a request may be made smaller for one target.
        retry_budget: size of the token bucket of repetitions per provider and tenant; 0 is no limit.
    """

    attempts: int = 6
    timeout: float = 60.0
    retries: int = 1
    last_retries: int = 4
    simplifications: int = 3
    retry_budget: int = 100


@dataclass(frozen=True, slots=True)
class Other:
    """A target other than the one that failed.

    Attributes:
        wait: seconds until it may be asked.
        usual: seconds that it usually needs.
        is_new: whether it was not asked in this call before.
        holds_all: whether its context window is known to have room for the whole request.
        name: its provider and model.
    """

    wait: float = 0.0
    usual: float = 1.0
    is_new: bool = True
    holds_all: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision depends on.

    Attributes:
        failure: what the last attempt ended with.
        attempts: attempts made so far.
        retries: how often the same request was already repeated at this target.
        simplifications: how often it was already made smaller for this target.
        remaining: seconds until the deadline.
        wait: seconds until this target may be asked again, by this call's backing off and all that is known.
        usual: seconds that this target usually needs.
        can_simplify: whether there is a smaller request that may avoid the failure.
        within_budget: whether the tenant may repeat requests at this provider.
        other: whom else to ask, if there is anybody.
        others: all who could be asked instead, for a choice by what was learned.
        correction: what people want to be done about such failures.
        named: the target that the correction names, if it can be asked; without a name, ``other``.
        can_correct: whether the request can be made smaller as the correction says.
        records: what every strategy has achieved after such failures; ``None`` is not to go by it.
        seed: of the dice that a choice by records is made with.
    """

    failure: Failure
    attempts: int = 1
    retries: int = 0
    simplifications: int = 0
    remaining: float = 30.0
    wait: float = 0.0
    usual: float = 1.0
    can_simplify: bool = False
    within_budget: bool = True
    other: Other | None = None
    others: Sequence[Other] = ()
    correction: Correction | None = None
    named: Other | None = None
    can_correct: bool = False
    records: Mapping[tuple[Strategy, str], Record] | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step, or none.

    Attributes:
        strategy: what to do; ``None`` is to give up.
        wait: seconds to wait before it.
        reason: why, in words.
        other: who is asked instead, of a fallback.
        corrected: whether it is the correction that is obeyed.
        because: for the record, under documented keys: what a correction or the records had to do with it.
    """

    strategy: Strategy | None
    wait: float
    reason: str
    other: Other | None = None
    corrected: bool = False
    because: Mapping[str, Any] = field(default_factory=dict)


def decide(policy: Policy, now: Situation) -> Decision:
    """The next step after a failure: a correction goes before what was learned, and that before the table.

    Whatever is preferred, it is one of the steps that the limits permit.
    """
    kind = now.failure.kind
    if not MOVES[kind]:
        return _give_up(f"{kind} is never recovered")
    if now.attempts >= policy.attempts:
        return _give_up(f"the limit of {policy.attempts} attempts is reached")
    if now.remaining <= LEAST_ATTEMPT:
        return _give_up("the deadline has passed")
    possible = {move: decision for move in MOVES[kind] if (decision := _MOVES[move](policy, now))}
    usual = _usual(now, possible)
    if now.correction is not None:
        return _corrected(policy, now, now.correction, usual)
    if now.records is not None and usual.strategy is not None:
        return _learned(now, now.records, possible, usual)
    return usual


def _usual(now: Situation, possible: Mapping[Strategy, Decision]) -> Decision:
    """What the table of moves says."""
    moves = MOVES[now.failure.kind]
    if RETRY in possible and FALLBACK in possible and now.other is not None:
        return possible[RETRY if _retry_is_better(moves, now, now.other) else FALLBACK]
    if SIMPLIFY in possible and FALLBACK in possible and now.other is not None and now.other.holds_all:
        return possible[FALLBACK]  # nothing has to be left out for it
    return next((possible[move] for move in moves if move in possible), None) or _give_up(_why_nothing(now))


def _corrected(policy: Policy, now: Situation, correction: Correction, usual: Decision) -> Decision:
    """What the correction says, where the limits permit it; else the usual, and why it is not obeyed."""
    obstacle = _obstacle(policy, now, correction)
    noted: dict[str, Any] = {"strategy": str(correction.strategy), **correction.config}
    if obstacle is not None:
        noted |= {"obeyed": False, "obstacle": obstacle}
        reason = f"{usual.reason}; its correction ({correction.words}) was not obeyed: {obstacle}"
        return replace(usual, reason=reason, because={"correction": noted})
    other = now.named if correction.strategy is FALLBACK else None
    return Decision(
        correction.strategy,
        now.wait if other is None else other.wait,
        f"the correction of this pattern says so: {correction.words}",
        other,
        corrected=True,
        because={"correction": {**noted, "obeyed": True}},
    )


def _obstacle(policy: Policy, now: Situation, correction: Correction) -> str | None:
    """Why a correction cannot be obeyed now, if it cannot."""
    if isinstance(correction, Fallback):
        return _obstacle_of_fallback(now)
    if isinstance(correction, Retry):
        if not is_repeatable(now.failure):
            return "such a request is never sent again unchanged"
        if now.retries >= (correction.retries or _retry_limit(policy, now)):
            return f"it was repeated {now.retries} times already"
        if not now.within_budget:
            return "the retry budget is spent"
    elif now.simplifications >= policy.simplifications:
        return f"it was made smaller {now.simplifications} times already"
    elif not now.can_correct:
        return "there is nothing to leave out"
    return None if _fits(now.wait, now) else _too_late(now.wait, now)


def _obstacle_of_fallback(now: Situation) -> str | None:
    named = now.named
    if named is None:
        return "whom it names cannot be asked in this call"
    if not _fits(named.wait, now):
        return _too_late(named.wait, now)
    if now.other is not None and now.other.wait < named.wait:
        return f"it may be asked in {named.wait:.1f} s, and another in {now.other.wait:.1f} s"
    return None


def _learned(
    now: Situation,
    records: Mapping[tuple[Strategy, str], Record],
    possible: Mapping[Strategy, Decision],
    usual: Decision,
) -> Decision:
    """The permitted step that was drawn, by what each has achieved."""
    options = [decision for move, decision in possible.items() if move is not FALLBACK]
    options += [_to(other, now) for other in now.others if _fits(other.wait, now)] or [
        possible[move] for move in possible if move is FALLBACK
    ]
    if len(options) < 2:  # noqa: PLR2004 - there is nothing to choose
        return usual
    arms = [_arm(option, now, records, usual) for option in options]
    choice, drawn = choose(arms, now.remaining, random.Random(now.seed))  # noqa: S311 - no secret
    chosen = options[choice]
    reason = f"{chosen.strategy} was drawn by what has helped after such failures"
    because = {"learned": {"seed": now.seed, "remaining": round(now.remaining, 3), "arms": drawn}}
    return replace(chosen, reason=reason, because=because)


def _arm(
    option: Decision, now: Situation, records: Mapping[tuple[Strategy, str], Record], usual: Decision
) -> Arm:
    assert option.strategy is not None  # noqa: S101 - to give up is not among the options
    name = option.other.name if option.other is not None else ""
    is_usual = option.strategy is usual.strategy and option.other is usual.other
    seconds = now.usual if option.other is None else option.other.usual
    record = records.get((option.strategy, name), Record())
    return Arm(option.strategy, name, record, option.wait, seconds, is_usual=is_usual)


def _to(other: Other, now: Situation) -> Decision:
    return Decision(
        FALLBACK, other.wait, f"another target may answer where this one had {now.failure.kind}", other
    )


def _retry_limit(policy: Policy, now: Situation) -> int:
    other_is_left = now.other is not None and now.other.is_new and _fits(now.other.wait, now)
    return policy.retries if other_is_left else policy.last_retries


def _retry(policy: Policy, now: Situation) -> Decision | None:
    if not is_repeatable(now.failure) or now.retries >= _retry_limit(policy, now) or not now.within_budget:
        return None
    if not _fits(now.wait, now):
        return None
    return Decision(RETRY, now.wait, f"{now.failure.kind} may have passed by then")


def _fallback(_policy: Policy, now: Situation) -> Decision | None:
    return None if now.other is None or not _fits(now.other.wait, now) else _to(now.other, now)


def _simplify(policy: Policy, now: Situation) -> Decision | None:
    if not now.can_simplify or now.simplifications >= policy.simplifications or not _fits(now.wait, now):
        return None
    return Decision(SIMPLIFY, now.wait, f"a smaller request may avoid {now.failure.kind}")


_MOVES = {RETRY: _retry, FALLBACK: _fallback, SIMPLIFY: _simplify}


def _retry_is_better(moves: tuple[Strategy, ...], now: Situation, other: Other) -> bool:
    """Whether the same target is waited for although another one could be asked."""
    if moves[0] is RETRY:
        return now.wait <= other.wait + (other.usual if other.is_new else 0.0)
    return now.wait < other.wait


def _fits(wait: float, now: Situation) -> bool:
    return wait + LEAST_ATTEMPT < now.remaining


def _too_late(wait: float, now: Situation) -> str:
    return f"it would have to wait {wait:.1f} s with {now.remaining:.1f} s left"


def _why_nothing(now: Situation) -> str:
    asked = now.failure.retry_after
    if asked is not None and asked >= now.remaining:
        return f"asked to wait {asked:g} s with {now.remaining:.1f} s left, and nobody else to ask"
    if not now.within_budget and is_repeatable(now.failure):
        return f"the retry budget is spent after too many failures like {now.failure.kind}"
    return f"nothing is left to try after {now.failure.kind}"


def _give_up(reason: str) -> Decision:
    return Decision(None, 0.0, reason)
