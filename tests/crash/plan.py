"""What happens to a call, as it follows from its id alone: the caller and the check agree without talking."""

from __future__ import annotations

import random
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

FAILURES: dict[str, BaseException] = {
    "timeout": TimeoutError("it took longer than 30 s"),
    "connection": ConnectionRefusedError(111, "Connection refused"),
    "dns": socket.gaierror(-2, "Name or service not known"),
    "tls": ssl.SSLError(1, "certificate verify failed"),
}
"""An exception of each kind that the plans use."""


class Ending(StrEnum):
    """How a call ends."""

    ANSWERED = "answered"
    FAILED = "failed"
    LEFT = "left"
    """It never ends: whoever made it forgot, or hangs."""


@dataclass(frozen=True)
class PlannedStep:
    strategy: str
    kind: str
    """The failure that leads to the step."""
    successful: bool
    time_ms: int

    @property
    def action(self) -> str:
        return "ollama -> openai" if self.strategy == "fallback" else f"{self.strategy} after {self.kind}"


@dataclass(frozen=True)
class Plan:
    """A call from its beginning to its feedback; the row that must come of it is in the properties."""

    request_id: str
    tenant_id: str
    prompt: str
    steps: tuple[PlannedStep, ...]
    ending: Ending
    failure: str
    """The kind of failure that ends a call that is not answered."""
    answer: str
    tokens: int
    feedback: str | None
    correction: str | None

    @property
    def status(self) -> str:
        """The status once the call has ended."""
        if self.ending == Ending.FAILED:
            return "timeout" if self.failure == "timeout" else "error"
        return "fallback" if any(step.strategy == "fallback" for step in self.steps) else "success"


def plan_of(request_id: str) -> Plan:
    """The plan of a call; six in ten go well at once."""
    dice = random.Random(request_id)  # noqa: S311 - the same for everybody is the point
    ending = dice.choices(list(Ending), (85, 10, 5))[0]
    strategies: tuple[str, ...] = ()
    if ending == Ending.FAILED or dice.random() < 0.3:
        strategies = dice.choice([("retry",), ("retry", "retry"), ("retry", "fallback"), ("simplify",)])
    return Plan(
        request_id=request_id,
        tenant_id=dice.choice(["acme", "globex"]),
        prompt=f"Clasifica la factura {request_id}: " + "línea " * dice.randrange(150),
        steps=tuple(
            PlannedStep(
                strategy,
                dice.choice(list(FAILURES)),
                successful=ending == Ending.ANSWERED and number == len(strategies) - 1,
                time_ms=dice.randrange(1, 60_000),
            )
            for number, strategy in enumerate(strategies)
        ),
        ending=ending,
        failure=dice.choice(list(FAILURES)),
        answer="respuesta " * dice.randrange(1, 50),
        tokens=dice.randrange(1, 5_000),
        feedback=dice.choice([None, None, "thumbs_up", "thumbs_down"]),
        correction=dice.choice([None, "factura, no recibo"]),
    )
