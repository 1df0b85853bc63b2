"""What to do about a failure: a pure function of what is known, and the table it goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cajanegra.domain.call import Strategy
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.backoff import backoff

RETRY, FALLBACK, SIMPLIFY = Strategy.RETRY, Strategy.FALLBACK, Strategy.SIMPLIFY

MOVES: Mapping[FailureKind, tuple[Strategy, ...]] = {
    # It passes by itself: the same request may work in a moment, and elsewhere now.
    FailureKind.RATE_LIMIT: (RETRY, FALLBACK),
    FailureKind.OVERLOADED: (RETRY, FALLBACK),
    FailureKind.SERVER_ERROR: (RETRY, FALLBACK),
    FailureKind.BAD_GATEWAY: (RETRY, FALLBACK),
    FailureKind.CONNECTION: (RETRY, FALLBACK),
    FailureKind.MODEL_LOADING: (RETRY, FALLBACK),
    FailureKind.INVALID_RESPONSE: (RETRY, FALLBACK),
    FailureKind.SCHEMA_VALIDATION: (RETRY, FALLBACK),
    FailureKind.STREAM_INTERRUPTED: (RETRY, FALLBACK),
    # It may pass, but asking again costs as much time as it has already cost.
    FailureKind.TIMEOUT: (FALLBACK, RETRY),
    FailureKind.DNS: (FALLBACK, RETRY),
    FailureKind.UNKNOWN: (FALLBACK, RETRY),
    # Too much was asked for.
    FailureKind.CONTEXT_LENGTH: (SIMPLIFY, FALLBACK),
    FailureKind.MAX_TOKENS_INVALID: (SIMPLIFY, FALLBACK),
    FailureKind.PAYLOAD_TOO_LARGE: (SIMPLIFY, FALLBACK),
    FailureKind.INVALID_REQUEST: (SIMPLIFY, FALLBACK),
    # This provider, key or model will not serve it; another may.
    FailureKind.QUOTA_EXHAUSTED: (FALLBACK,),
    FailureKind.AUTH: (FALLBACK,),
    FailureKind.PERMISSION: (FALLBACK,),
    FailureKind.MODEL_NOT_FOUND: (FALLBACK,),
    FailureKind.DEPRECATED: (FALLBACK,),
    FailureKind.REGION_BLOCKED: (FALLBACK,),
    FailureKind.CONTENT_FILTER: (FALLBACK,),
    FailureKind.REFUSAL: (FALLBACK,),
    FailureKind.TOOL_CALL: (FALLBACK,),
    FailureKind.OUT_OF_MEMORY: (FALLBACK,),
    FailureKind.TLS: (FALLBACK,),
    # Nobody wants an answer any more.
    FailureKind.CANCELLED: (),
    FailureKind.INTERRUPTED: (),
}
"""Per failure kind the strategies that make sense, best first."""

PATIENCE = 1.0
"""Seconds to wait for the same provider while another one could be asked at once."""
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
    """

    attempts: int = 6
    timeout: float = 60.0
    retries: int = 1
    last_retries: int = 3
    simplifications: int = 3


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision depends on.

    Attributes:
        failure: what the last attempt ended with.
        attempts: attempts made so far.
        retries: how often the same request was already repeated at this target.
        simplifications: how often it was already made smaller for this target.
        remaining: seconds until the deadline.
        can_simplify: whether there is a smaller request that may avoid the failure.
        other_wait: seconds until the best other target may be asked; ``None`` where there is no other.
        other_is_new: whether that target was not asked in this call before.
        chance: a random number in [0, 1) for the jitter.
    """

    failure: Failure
    attempts: int
    retries: int
    simplifications: int
    remaining: float
    can_simplify: bool
    other_wait: float | None
    other_is_new: bool
    chance: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step, or none.

    Attributes:
        strategy: what to do; ``None`` is to give up.
        wait: seconds to wait before it.
        reason: why, in words.
    """

    strategy: Strategy | None
    wait: float
    reason: str


def is_repeatable(kind: FailureKind) -> bool:
    """Whether the same request may be sent to the same target again after such a failure."""
    return RETRY in MOVES[kind]


def decide(policy: Policy, now: Situation) -> Decision:
    """The next step after a failure."""
    moves = MOVES[now.failure.kind]
    if not moves:
        return _give_up(f"{now.failure.kind} is never recovered")
    if now.attempts >= policy.attempts:
        return _give_up(f"the limit of {policy.attempts} attempts is reached")
    if now.remaining <= LEAST_ATTEMPT:
        return _give_up("the deadline has passed")
    for move in moves:
        if decision := _possible(move, policy, now):
            return decision
    return _give_up(_why_nothing(now))


def _possible(move: Strategy, policy: Policy, now: Situation) -> Decision | None:
    kind = now.failure.kind
    if move is SIMPLIFY:
        if now.can_simplify and now.simplifications < policy.simplifications:
            return Decision(SIMPLIFY, 0.0, f"a smaller request may avoid {kind}")
        return None
    if move is FALLBACK:
        if now.other_wait is not None and _fits(now.other_wait, now):
            return Decision(FALLBACK, now.other_wait, f"another target may answer where this one had {kind}")
        return None
    wait = backoff(now.retries, now.failure.retry_after, now.chance)
    if not _fits(wait, now):
        return None
    if now.other_wait is not None and now.other_wait < wait and (now.other_is_new and wait > PATIENCE):
        return None
    limit = policy.retries if now.other_wait is not None and now.other_is_new else policy.last_retries
    if now.retries >= limit:
        return None
    return Decision(RETRY, wait, f"{kind} may have passed by then")


def _fits(wait: float, now: Situation) -> bool:
    return wait + LEAST_ATTEMPT < now.remaining


def _why_nothing(now: Situation) -> str:
    asked = now.failure.retry_after
    if asked is not None and asked >= now.remaining:
        return f"asked to wait {asked:g} s with {now.remaining:.1f} s left, and nobody else to ask"
    return f"nothing is left to try after {now.failure.kind}"


def _give_up(reason: str) -> Decision:
    return Decision(None, 0.0, reason)
