"""Whom a call may ask: a model at a provider, and what its settings allow."""

from __future__ import annotations

from dataclasses import dataclass

from cajanegra.ports import Provider


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider.

    Attributes:
        provider: who serves it.
        model: the provider's own name of it.
        timeout: seconds that one attempt may take.
        context_window: tokens that it can hold, when known.
        account: what a provider's limits apply to: the same for all that share an address and a key.
        first_token_timeout: seconds that a stream may take to its first content.
        idle_timeout: seconds that a stream may pause afterwards.
        max_in_flight: attempts that may be under way at once at this account.
    """

    provider: Provider
    model: str
    timeout: float
    context_window: int | None = None
    account: str = ""
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    max_in_flight: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Identifies account and model."""
        return self.account or self.provider.name, self.model
