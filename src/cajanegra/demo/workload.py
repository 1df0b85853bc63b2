"""The calls of the demonstration: three tenants of an ERP, their modules, sizes and arrival times."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TENANTS = ("acme", "globex", "initech")
_TENANT_WEIGHTS = (5, 3, 2)

_WORK = {
    "copilot": ("chat", "summary"),
    "imports": ("classification", "extraction"),
    "incidents": ("analysis", "classification"),
}
_MODULE_WEIGHTS = (4, 4, 2)

_OPENINGS = {
    "chat": (
        "Which invoices of supplier {number} are still open, and since when?",
        "Resume en tres frases los pedidos pendientes del almacén {number}.",
        "Draft a friendly reminder for order {number}, due last week.",
    ),
    "summary": (
        "Summarise the purchase history of customer {number} for the account manager.",
        "Resume las incidencias abiertas del proyecto {number}.",
    ),
    "classification": (
        "Classify this document as invoice, receipt, delivery note or other: '{number}'.",
        "Clasifica este movimiento bancario por cuenta contable: 'Recibo {number}'.",
    ),
    "extraction": (
        "Extract supplier, date, net amount and VAT from this scanned invoice {number}.",
        "Extrae las líneas de producto y cantidades del albarán {number}.",
    ),
    "analysis": (
        "Find the probable cause of incident {number} in the log below.",
        "Analiza por qué el stock del artículo {number} no cuadra con el inventario.",
    ),
}
_FILLER = (
    "Line {n}: part {a} x {b}, unit price {c} EUR, delivered to warehouse {d}. ",
    "Pedido {a}: {b} unidades, descuento {d} %, importe {c} EUR. ",
    "2026-10-{d:02d} {b:02d}:{d:02d} stock service: adjustment of item {a} by {c} rejected. ",
)

BURST = 12
"""Calls that arrive close together, as when a user imports a file."""
STREAMED_SHARE = 0.15
IMPATIENT_SHARE = 0.012
LONG_SHARE = 0.06
FEEDBACK_SHARE = 0.08
CALLS_PER_SECOND = 15.0
LONGEST_PROMPT = 24_000
"""Characters; what fits the smaller context windows."""
IMPATIENCE = 0.06
"""Seconds: less than the first provider needs when it is well."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call of the demonstration.

    Attributes:
        at: seconds after the beginning at which it is made.
        arguments: what ``AIClient.chat`` is given.
        streamed: whether the answer is wanted piece by piece.
        feedback: what the user says of the answer, and the correction.
    """

    at: float
    arguments: dict[str, Any]
    streamed: bool = False
    feedback: tuple[str, str | None] | None = None


def plan(count: int, seed: int) -> list[PlannedCall]:
    """The same calls for the same seed, in the order of their arrival."""
    chance = random.Random(seed)  # noqa: S311 - a demonstration, not a secret
    return [_call(chance, number, at) for number, at in enumerate(_arrivals(chance, count))]


def _arrivals(chance: random.Random, count: int) -> Iterator[float]:
    """Bursts of calls with pauses between them: what gateways see, other than evenly spaced requests."""
    at, in_burst = 0.0, 0
    for _ in range(count):
        yield at
        if in_burst == 0:
            at += chance.expovariate(1.0) * BURST / CALLS_PER_SECOND * 0.6
            in_burst = chance.randint(1, 2 * BURST)
        else:
            in_burst -= 1
            at += chance.expovariate(CALLS_PER_SECOND * 1.5)


def _call(chance: random.Random, number: int, at: float) -> PlannedCall:
    (tenant,) = chance.choices(TENANTS, _TENANT_WEIGHTS)
    (module,) = chance.choices(list(_WORK), _MODULE_WEIGHTS)
    task = chance.choice(_WORK[module])
    opening = chance.choice(_OPENINGS[task]).format(number=chance.randint(1000, 9999))
    arguments: dict[str, Any] = {
        "task": task,
        "tenant_id": tenant,
        "module": module,
        "user_id": f"{tenant}-user-{chance.randint(1, 9)}",
        "temperature": chance.choice((0.0, 0.2, 0.7)),
        "max_tokens": chance.choice((128, 256, 512)),
        "metadata": {"document": f"DOC-{number:05d}"},
    }
    if chance.random() < LONG_SHARE:
        arguments["messages"] = _conversation(chance, opening)
    else:
        arguments["prompt"] = f"{opening}\n{_text(chance, _prompt_size(chance))}"
    if chance.random() < IMPATIENT_SHARE:
        arguments["timeout"] = IMPATIENCE
    feedback = None
    if chance.random() < FEEDBACK_SHARE:
        good = chance.random() < 0.7  # noqa: PLR2004 - most answers are fine
        feedback = ("thumbs_up", None) if good else ("thumbs_down", "invoice, not receipt")
    return PlannedCall(at, arguments, chance.random() < STREAMED_SHARE, feedback)


def _conversation(chance: random.Random, opening: str) -> Sequence[dict[str, str]]:
    """A long conversation, too long for the smaller context windows."""
    turns = [{"role": "system", "content": "You are the assistant of an ERP. Answer briefly."}]
    for _ in range(chance.randint(8, 14)):
        turns.append({"role": "user", "content": _text(chance, chance.randint(1500, 3000))})
        turns.append({"role": "assistant", "content": _text(chance, chance.randint(300, 900))})
    return [*turns, {"role": "user", "content": opening}]


def _prompt_size(chance: random.Random) -> int:
    """Log-normal with a long tail, as traces of real services have it: half are short, a few are huge."""
    return int(min(chance.lognormvariate(6.8, 1.1), LONGEST_PROMPT))


def _text(chance: random.Random, size: int) -> str:
    lines: list[str] = []
    while sum(map(len, lines)) < size:
        values = {
            "n": len(lines) + 1,
            "a": chance.randint(100, 999),
            "b": chance.randint(1, 23),
            "c": chance.randint(5, 500),
            "d": chance.randint(1, 28),
        }
        lines.append(chance.choice(_FILLER).format(**values))
    return "".join(lines)[:size]
