"""What the driver wants of a contestant, and what it tells it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from benchmarks.recovery.calls import Call

ATTEMPT_SECONDS = 5.0
"""What every contestant is told that one attempt may take, where it can be told."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A provider as an application knows it."""

    name: str
    base_url: str
    key: str
    model: str


class Client(Protocol):
    """A way to make calls. What it raises is an honest failure; what it returns is taken for the answer."""

    async def ask(self, call: Call) -> str: ...

    def stream(self, call: Call) -> AsyncIterator[str]: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Recording(Protocol):
    """A client that writes calls down after they have ended."""

    async def settle(self) -> None:
        """Return when all that has ended is written down."""
        ...


def attempt_seconds(call: Call) -> float:
    """What one attempt of a call may take: no longer than the call itself."""
    return min(ATTEMPT_SECONDS, call.deadline)


class _Module(Protocol):
    REQUIRES: str

    async def connect(self, endpoints: Sequence[Endpoint]) -> Client: ...


CONTESTANTS: Mapping[str, str] = {
    "cajanegra": "cajanegra_client",
    "careful-loop": "careful_loop",
    "openai": "openai_sdk",
    "litellm": "litellm_router",
    "pydantic-ai": "pydantic_ai_fallback",
    "bare": "bare",
}
"""Name and module. The last one is the floor, and only meets a world in which nothing goes wrong."""


def contestant(name: str) -> _Module:
    """The module of a contestant."""
    module: _Module = importlib.import_module(f"benchmarks.recovery.clients.{CONTESTANTS[name]}")
    return module
