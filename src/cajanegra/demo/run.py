"""Makes the planned calls against the simulated providers, through the public client alone."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cajanegra import AIClient, Settings
from cajanegra.client import Reply
from cajanegra.demo.providers import NAMES, Providers, running
from cajanegra.demo.workload import PlannedCall, plan
from cajanegra.domain.ids import uuid7
from cajanegra.errors import CallError

FOREIGN_EVERY = 25
"""Every so many calls one is made by somebody else's client and only recorded."""


@dataclass(slots=True)
class Progress:
    """How far the demonstration is.

    ``answering`` says for each provider whether its last attempt was answered.
    """

    total: int
    done: int = 0
    answered: int = 0
    recovered: int = 0
    failed: int = 0
    answering: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(NAMES, True))


@dataclass(frozen=True, slots=True)
class Run:
    """A demonstration that has ended.

    Attributes:
        request_ids: of all calls that were made.
        seconds: how long it took.
        findings: what the simulator holds against the client; empty is well.
    """

    request_ids: tuple[str, ...]
    seconds: float
    findings: tuple[str, ...]


def run(database_url: str, *, count: int, seed: int, on_progress: Callable[[Progress], None]) -> Run:
    """Make ``count`` calls and return when all of them are recorded.

    Raises:
        CajanegraError: the simulated providers are not installed, or the database cannot be used.
    """
    with running(count) as providers:
        settings = Settings(
            database={"url": database_url},
            providers=providers.settings,
            recovery={"chain": list(NAMES), "timeout": 12, "attempts": 6},
        )
        begun = time.monotonic()
        request_ids = asyncio.run(_make_calls(settings, providers, plan(count, seed), on_progress))
        seconds = time.monotonic() - begun
        return Run(tuple(request_ids), seconds, tuple(providers.verdict()))


async def _make_calls(
    settings: Settings,
    providers: Providers,
    calls: list[PlannedCall],
    on_progress: Callable[[Progress], None],
) -> list[str]:
    progress = Progress(len(calls))
    begun = time.monotonic()
    async with AIClient(settings) as ai, asyncio.TaskGroup() as group:
        tasks = []
        for number, call in enumerate(calls):
            await asyncio.sleep(max(0.0, begun + call.at - time.monotonic()))
            providers.before_call(number)
            foreign = number % FOREIGN_EVERY == FOREIGN_EVERY - 1
            make = _record_foreign(ai, settings, call) if foreign else _make(ai, call, progress)
            tasks.append(group.create_task(_followed(make, progress, on_progress)))
    return [task.result() for task in tasks]


async def _followed(make: Any, progress: Progress, on_progress: Callable[[Progress], None]) -> str:
    request_id: str = await make
    progress.done += 1
    on_progress(progress)
    return request_id


async def _make(ai: AIClient, call: PlannedCall, progress: Progress) -> str:
    try:
        if call.streamed:
            return await _stream(ai, call, progress)
        reply = await ai.chat(**call.arguments)
    except CallError as error:
        progress.failed += 1
        progress.answering |= {step.failure.provider: False for step in error.steps}
        return error.request_id
    _note(progress, reply)
    if call.feedback is not None:
        word, correction = call.feedback
        tenant = call.arguments["tenant_id"]
        await ai.feedback(reply.request_id, word, correction=correction, tenant_id=tenant)
    return reply.request_id


async def _stream(ai: AIClient, call: PlannedCall, progress: Progress) -> str:
    async with ai.stream(**call.arguments) as stream:
        async for _chunk in stream:
            pass
    progress.answered += 1
    return stream.request_id


def _note(progress: Progress, reply: Reply) -> None:
    progress.answered += 1
    progress.recovered += reply.attempts > 1
    progress.answering |= {step.failure.provider: False for step in reply.steps}
    progress.answering[reply.provider] = True


async def _record_foreign(ai: AIClient, settings: Settings, call: PlannedCall) -> str:
    """A call that the application makes with a client of its own, and lets the recorder write down."""
    provider = settings.chain[-1]
    arguments = dict(call.arguments)
    prompt = arguments.get("prompt") or arguments.get("messages")
    named = {name: arguments[name] for name in ("task", "tenant_id", "module", "user_id")}
    request_id = uuid7()
    try:
        with ai.recorder.call(
            provider=provider.name,
            model=provider.models[0],
            prompt=prompt,
            request_id=request_id,
            metadata={"client": "urllib"},
            **named,
        ) as recorded:
            recorded.finish(await asyncio.to_thread(_post, provider.base_url, provider.models[0], prompt))
    except urllib.error.HTTPError as error:
        error.close()
    return request_id


def _post(base_url: str, model: str, prompt: Any) -> Any:
    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": str(prompt)}]
    request = urllib.request.Request(  # noqa: S310 - our own server on loopback
        f"{base_url}/chat/completions",
        data=json.dumps({"model": model, "messages": messages}).encode(),
        headers={"Content-Type": "application/json", "Authorization": "Bearer demo"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - see above
        return json.load(response)
