"""How long to wait before asking the same provider again."""

from __future__ import annotations

FIRST = 0.5
"""Seconds: upper bound of the first wait."""
LONGEST = 15.0
"""Seconds: upper bound of any wait of our own choosing."""
SHORTEST = 0.1
"""Seconds: a repetition is never immediate."""
GROWTH = 1.25
"""Each wait is at least so many times the one before: jitter never turns backing off into hurrying."""


def backoff(retries: int, retry_after: float | None, chance: float, previous: float = 0.0) -> float:
    """Seconds to wait: exponential with full jitter, and never less than the provider asked for.

    Full jitter spreads the callers that failed together over the whole interval (Brooker, "Exponential
    Backoff And Jitter", AWS Architecture Blog, 2015).

    Args:
        retries: how often the request was already repeated.
        retry_after: seconds that the provider asked to wait.
        chance: a random number in [0, 1).
        previous: seconds that were waited the last time.
    """
    highest = min(LONGEST, FIRST * 2.0**retries)
    lowest = min(max(SHORTEST, previous * GROWTH), LONGEST)
    own = lowest + chance * max(highest - lowest, 0.0)
    if retry_after is None:
        return own
    # A tenth on top spreads the callers that were told the same time.
    return retry_after + min(own, 0.05 + retry_after * 0.1 * chance)
