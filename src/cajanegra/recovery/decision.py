"""What to do about a failure: a pure function of what is known, and the table it goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cajanegra.domain.call import Strategy
from cajanegra.domain.failure import Failure, FailureKind

RETRY, FALLBACK, SIMPLIFY = Strategy.RETRY, Strategy.FALLBACK, Strategy.SIMPLIFY

MOVES: Mapping[FailureKind, tuple[Strategy, ...]] = {
    # It passes by itself, often at a known time: whoever can answer sooner is asked.
    FailureKind.RATE_LIMIT: (RETRY, FALLBACK),
    FailureKind.OVERLOADED: (RETRY, FALLBACK),
    FailureKind.MODEL_LOADING: (RETRY, FALLBACK),
    # The provider is well, it was this answer that got lost on its way.
    FailureKind.STREAM_INTERRUPTED: (RETRY, FALLBACK),
    # It may pass, and it may not: somebody else comes first, the same one again after backing off.
    FailureKind.SERVER_ERROR: (FALLBACK, RETRY),
    FailureKind.BAD_GATEWAY: (FALLBACK, RETRY),
    FailureKind.CONNECTION: (FALLBACK, RETRY),
    FailureKind.DNS: (FALLBACK, RETRY),
    FailureKind.TIMEOUT: (FALLBACK, RETRY),
    FailureKind.OUT_OF_MEMORY: (FALLBACK, RETRY),
    FailureKind.UNKNOWN: (FALLBACK, RETRY),
    # The answer was no good: models are not the same twice, and another is another.
    FailureKind.INVALID_RESPONSE: (FALLBACK, RETRY),
    FailureKind.SCHEMA_VALIDATION: (FALLBACK, RETRY),
    FailureKind.TOOL_CALL: (FALLBACK, RETRY),
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
    FailureKind.TLS: (FALLBACK,),
    # Nobody wants an answer any more.
    FailureKind.CANCELLED: (),
    FailureKind.INTERRUPTED: (),
}
"""Per failure kind the strategies that make sense, best first."""

NEVER_AGAIN = frozenset({400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 451})
"""Statuses after which the same request is never sent to the same target, whatever the message says."""
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
    """The best target other than the one that failed.

    Attributes:
        wait: seconds until it may be asked.
        usual: seconds that it usually needs.
        is_new: whether it was not asked in this call before.
        holds_all: whether its context window is known to have room for the whole request.
    """

    wait: float = 0.0
    usual: float = 1.0
    is_new: bool = True
    holds_all: bool = False


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
        can_simplify: whether there is a smaller request that may avoid the failure.
        within_budget: whether the tenant may repeat requests at this provider.
        other: whom else to ask, if there is anybody.
    """

    failure: Failure
    attempts: int = 1
    retries: int = 0
    simplifications: int = 0
    remaining: float = 30.0
    wait: float = 0.0
    can_simplify: bool = False
    within_budget: bool = True
    other: Other | None = None


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


def is_repeatable(failure: Failure) -> bool:
    """Whether the same request may be sent to the same target again after such a failure."""
    return RETRY in MOVES[failure.kind] and failure.http_status not in NEVER_AGAIN


def decide(policy: Policy, now: Situation) -> Decision:
    """The next step after a failure."""
    kind = now.failure.kind
    moves = MOVES[kind]
    if not moves:
        return _give_up(f"{kind} is never recovered")
    if now.attempts >= policy.attempts:
        return _give_up(f"the limit of {policy.attempts} attempts is reached")
    if now.remaining <= LEAST_ATTEMPT:
        return _give_up("the deadline has passed")
    possible = {move: decision for move in moves if (decision := _MOVES[move](policy, now))}
    if RETRY in possible and FALLBACK in possible and now.other is not None:
        return possible[RETRY if _retry_is_better(moves, now, now.other) else FALLBACK]
    if SIMPLIFY in possible and FALLBACK in possible and now.other is not None and now.other.holds_all:
        return possible[FALLBACK]  # nothing has to be left out for it
    return next((possible[move] for move in moves if move in possible), None) or _give_up(_why_nothing(now))


def _retry(policy: Policy, now: Situation) -> Decision | None:
    other_is_left = now.other is not None and now.other.is_new and _fits(now.other.wait, now)
    limit = policy.retries if other_is_left else policy.last_retries
    if not is_repeatable(now.failure) or now.retries >= limit or not now.within_budget:
        return None
    if not _fits(now.wait, now):
        return None
    return Decision(RETRY, now.wait, f"{now.failure.kind} may have passed by then")


def _fallback(_policy: Policy, now: Situation) -> Decision | None:
    if now.other is None or not _fits(now.other.wait, now):
        return None
    reason = f"another target may answer where this one had {now.failure.kind}"
    return Decision(FALLBACK, now.other.wait, reason)


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


def _why_nothing(now: Situation) -> str:
    asked = now.failure.retry_after
    if asked is not None and asked >= now.remaining:
        return f"asked to wait {asked:g} s with {now.remaining:.1f} s left, and nobody else to ask"
    if not now.within_budget and is_repeatable(now.failure):
        return f"the retry budget is spent after too many failures like {now.failure.kind}"
    return f"nothing is left to try after {now.failure.kind}"


def _give_up(reason: str) -> Decision:
    return Decision(None, 0.0, reason)
