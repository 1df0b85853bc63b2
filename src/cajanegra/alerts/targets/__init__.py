"""Who is told; each kind of target is a module. A new kind is a new module, named in ``build``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cajanegra.alerts.words import Language
from cajanegra.domain.alert import Delivery

TargetKind = Literal["log", "slack", "webhook"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a target is and how it is spoken to.

    Attributes:
        name: how the settings call it.
        url: where it listens; empty for one that needs none. It may hold a secret, so nobody shows it.
        timeout: seconds that telling it may take.
        language: in which people are told.
        secret: signs what a webhook is sent; empty for no signature.
    """

    name: str
    url: str = field(default="", repr=False)
    timeout: float = 10.0
    language: Language = "en"
    secret: str = field(default="", repr=False)


class Target(Protocol):
    """Somebody who is told."""

    async def tell(self, delivery: Delivery) -> None:
        """Tell an alert.

        Raises:
            AlertError: it was not taken; with the reason, without the address.
        """


def build(kind: TargetKind, address: Address) -> Target:
    """The target of a kind at an address."""
    from cajanegra.alerts.targets import log, slack, webhook

    kinds: Mapping[TargetKind, Callable[[Address], Target]] = {
        "log": log.Log,
        "slack": slack.Slack,
        "webhook": webhook.Webhook,
    }
    return kinds[kind](address)
