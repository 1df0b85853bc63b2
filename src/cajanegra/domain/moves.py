"""Which recovery makes sense after which failure, and what is never repeated."""

from __future__ import annotations

from collections.abc import Mapping

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


def is_repeatable(failure: Failure) -> bool:
    """Whether the same request may be sent to the same target again after such a failure."""
    return RETRY in MOVES[failure.kind] and failure.http_status not in NEVER_AGAIN
