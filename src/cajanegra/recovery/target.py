"""Whom a call may ask: a model at a provider, and what its settings allow."""

from __future__ import annotations

from dataclasses import dataclass, field

from cajanegra.domain.call import Operation
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
        continues: how it is asked to go on with an answer that is begun (``continuation.WAYS``), if it can.
        operation: what it is asked.
        weight: its share of the calls, among endpoints of one provider that are equally fast.
        key: identifies account and model; who does not know a model for one operation may for another.
        place: who answers, as the record has it: endpoints and keys of one provider are one place.
    """

    provider: Provider
    model: str
    timeout: float
    context_window: int | None = None
    account: str = ""
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    max_in_flight: int | None = None
    continues: str | None = None
    operation: Operation = Operation.CHAT
    weight: float = 1.0
    key: tuple[str, str] = field(init=False)
    place: tuple[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """They are asked for often."""
        chats = self.operation is Operation.CHAT
        model = self.model if chats else f"{self.operation}:{self.model}"
        object.__setattr__(self, "key", (self.account or self.provider.name, model))
        object.__setattr__(self, "place", (self.provider.name, self.model))
