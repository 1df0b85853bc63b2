"""Makes the planned calls against the simulated providers, through the public surface alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cajanegra import AIClient, Recorder, Settings
from cajanegra.demo import host
from cajanegra.demo.providers import NAMES, Providers, running
from cajanegra.demo.workload import PlannedCall, plan
from cajanegra.domain.failure import ProviderError
from cajanegra.domain.ids import uuid7
from cajanegra.errors import CallError

HOST_EVERY = 25
"""Every so many calls one is made by the application's own client and only recorded."""
DEADLINE = 12.0
"""Seconds that a call may take, recovery included."""


@dataclass(slots=True)
class Health:
    """How a provider fares, as the calls that have ended tell."""

    answered: int = 0
    failed: int = 0
    well: bool = True


@dataclass(slots=True)
class Progress:
    """How far the demonstration is."""

    total: int
    done: int = 0
    answered: int = 0
    recovered: int = 0
    failed: int = 0
    providers: dict[str, Health] = field(default_factory=lambda: {name: Health() for name in NAMES})

    def note_answer(self, provider: str | None, attempts: int, failed: Iterable[str] = ()) -> None:
        """A call was answered in so many attempts, after failures at the named providers."""
        self.answered += 1
        self.recovered += attempts > 1
        self._note_failures(failed)
        if provider is not None:
            self.providers[provider].answered += 1
            self.providers[provider].well = True

    def note_failure(self, failed: Iterable[str] = ()) -> None:
        """A call was not answered."""
        self.failed += 1
        self._note_failures(failed)

    def _note_failures(self, names: Iterable[str]) -> None:
        for name in names:
            self.providers[name].failed += 1
            self.providers[name].well = False


@dataclass(frozen=True, slots=True)
class Run:
    """A demonstration that has ended.

    Attributes:
        request_ids: of all calls that were made.
        begun_at: when it began (UTC).
        seconds: how long it took.
        findings: what the simulator holds against the client; empty is well.
    """

    request_ids: tuple[str, ...]
    begun_at: datetime
    seconds: float
    findings: tuple[str, ...]


def run(database_url: str, *, count: int, seed: int, on_progress: Callable[[Progress], None]) -> Run:
    """Make ``count`` calls and return when all of them are recorded.

    Raises:
        CajanegraError: the database cannot be used.
    """
    with running(count) as providers:
        settings = Settings(
            database={"url": database_url},
            providers=providers.settings,
            recovery={"chain": list(NAMES), "timeout": DEADLINE, "attempts": 6},
        )
        begun, begun_at = time.monotonic(), datetime.now(UTC)
        calls = _Calls(settings, providers, Progress(count), on_progress)
        request_ids = asyncio.run(calls.make(plan(count, seed)))
        seconds = time.monotonic() - begun
        return Run(tuple(request_ids), begun_at, seconds, tuple(providers.verdict()))


class _Calls:
    """Makes the calls when their time has come."""

    def __init__(
        self,
        settings: Settings,
        providers: Providers,
        progress: Progress,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._progress = progress
        self._on_progress = on_progress

    async def make(self, calls: list[PlannedCall]) -> list[str]:
        """Make all calls; their request ids."""
        begun = time.monotonic()
        with Recorder(self._settings) as recorder:
            async with AIClient(self._settings) as ai, asyncio.TaskGroup() as group:
                tasks = []
                for number, call in enumerate(calls):
                    await asyncio.sleep(max(0.0, begun + call.at - time.monotonic()))
                    self._providers.before_call(number)
                    by_host = number % HOST_EVERY == HOST_EVERY - 1
                    making = self._by_host(recorder, call) if by_host else self._by_client(ai, call)
                    tasks.append(group.create_task(making))
        return [task.result() for task in tasks]

    async def _by_client(self, ai: AIClient, call: PlannedCall) -> str:
        try:
            request_id = await (self._stream(ai, call) if call.streamed else self._chat(ai, call))
        except CallError as error:
            self._progress.note_failure(_failed(error))
            request_id = error.request_id
        else:
            if call.feedback is not None:
                word, correction = call.feedback
                tenant = call.arguments["tenant_id"]
                await ai.feedback(request_id, word, correction=correction, tenant_id=tenant)
        self._done()
        return request_id

    async def _chat(self, ai: AIClient, call: PlannedCall) -> str:
        reply = await ai.chat(**call.arguments)
        failed = [step.failure.provider for step in reply.steps]
        self._progress.note_answer(reply.provider, reply.attempts, failed)
        return reply.request_id

    async def _stream(self, ai: AIClient, call: PlannedCall) -> str:
        async with ai.stream(**call.arguments) as stream:
            async for _chunk in stream:
                pass
        self._progress.note_answer(None, 1)  # a stream does not say who answered
        return stream.request_id

    async def _by_host(self, recorder: Recorder, call: PlannedCall) -> str:
        request_id = uuid7()
        first, second = NAMES[-1], NAMES[-2]
        try:
            attempts = await asyncio.to_thread(host.ask, recorder, self._settings.chain, call, request_id)
        except OSError:
            self._progress.note_failure([first, second])
        else:
            self._progress.note_answer(*((first, 1) if attempts == 1 else (second, 2, [first])))
        self._done()
        return request_id

    def _done(self) -> None:
        self._progress.done += 1
        self._on_progress(self._progress)


def _failed(error: CallError) -> list[str]:
    """The providers that failed in a call that nobody answered, once per failure."""
    names = [step.failure.provider for step in error.steps]
    last = error.__cause__
    return [*names, last.failure.provider] if isinstance(last, ProviderError) else names
