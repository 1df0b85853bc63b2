"""A provider that does what it is told, a clock that moves when somebody sleeps, and a log that remembers."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cajanegra.domain.call import Answer, ChatRequest, Chunk, Operation
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.domain.pattern import Pattern
from cajanegra.recovery.advice import Advice

Act = Answer | FailureKind | BaseException | Sequence[Chunk | FailureKind]


class Clock:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Asked:
    """What a provider was asked, and when."""

    at: float
    request: ChatRequest
    model: str
    timeout: float


class ScriptedProvider:
    """Plays one act per attempt; after the last it repeats it."""

    def __init__(self, name: str, *acts: Act, clock: Clock | None = None, **failure: Any) -> None:
        self.name = name
        self.operations = frozenset(Operation)
        self.asked: list[Asked] = []
        self._acts = list(acts)
        self._clock = clock or Clock()
        self._failure = failure

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        act = self._next(request, model, timeout)
        if isinstance(act, Answer):
            return act
        raise self._error(act, model, timeout)

    async def stream(self, request: ChatRequest, model: str, *, timeout: float) -> AsyncGenerator[Chunk]:
        act = self._next(request, model, timeout)
        if isinstance(act, FailureKind | BaseException):
            raise self._error(act, model, timeout)
        assert not isinstance(act, Answer)
        for piece in act:
            if isinstance(piece, FailureKind):
                raise self._error(piece, model, timeout)
            yield piece

    async def aclose(self) -> None:
        """Nothing is open."""

    def _next(self, request: ChatRequest, model: str, timeout: float) -> Act:
        self.asked.append(Asked(self._clock(), request, model, timeout))
        return self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]

    def _error(self, act: object, model: str, timeout: float) -> BaseException:
        if isinstance(act, BaseException):
            return act
        assert isinstance(act, FailureKind)
        if act is FailureKind.TIMEOUT:
            self._clock.now += timeout
        return ProviderError(Failure(act, f"{act} of {self.name}", self.name, model, **self._failure))


@dataclass
class LoggedCall:
    """A call as the log was told of it."""

    request_id: str
    begun: dict[str, Any]
    steps: list[dict[str, Any]] = field(default_factory=list)
    answer: Any = None
    error: BaseException | None = None
    status: str | None = None
    partial_text: str = ""
    asked_instead: tuple[str, str | None] | None = None
    metadata: Any = None

    def ask_instead(self, provider: str, model: str | None) -> None:
        assert not self.steps
        self.asked_instead = (provider, model)

    def step(self, strategy: str, **known: Any) -> None:
        self.steps.append({"strategy": strategy, **known})

    def finish(self, response: Any = None, *, metadata: Any = None, **_known: Any) -> None:
        assert self.answer is None
        assert self.error is None
        self.answer, self.metadata = response, metadata

    def fail(
        self, error: BaseException, *, status: str | None = None, partial_text: str = "", **_known: Any
    ) -> None:
        assert self.answer is None
        assert self.error is None
        self.error, self.status, self.partial_text = error, status, partial_text


class Log:
    """A ``ports.CallLog`` that remembers."""

    def __init__(self) -> None:
        self.calls: list[LoggedCall] = []

    def call(self, **known: Any) -> LoggedCall:
        call = LoggedCall(known["request_id"] or f"call-{len(self.calls)}", known)
        self.calls.append(call)
        return call


class _Nothing:
    """A ``ports.Patterns`` that knows provider and kind."""

    def explain(
        self,
        *,
        provider: str,
        kind: str,
        message: str,
        http_status: int | None = None,
        code: str | None = None,
        exception_type: str | None = None,
    ) -> Pattern:
        return Pattern(f"{provider}_{kind}", message, "Unknown.", f"Ask {provider} about {kind}.", "none")


Shrug = functools.partial(Advice, _Nothing)
"""What is known of failures where nobody knows anything."""
