"""A world of the recovery benchmark, served within the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.recovery.calls import Call, Size, make_call
from benchmarks.recovery.contestant import Endpoint
from benchmarks.recovery.log import Clock, Entry
from benchmarks.recovery.server import Provider
from benchmarks.recovery.world import PROVIDERS, Episode, Kind, World


@dataclass(frozen=True)
class Served:
    endpoints: Sequence[Endpoint]
    log: list[Entry]
    begin: float


def world_with(*episodes: Episode, calls: Sequence[Call] = ()) -> World:
    return World(7, episodes, calls, 1000)


def always(kind: Kind, provider: int = 0, *, amount: float = 0.0, form: str = "") -> Episode:
    return Episode(provider, 0, 1000, (kind,), amount=amount, form=form)


def call(
    number: int = 1, *, arrival: float = 0.0, as_json: bool = False, streamed: bool = False, tokens: int = 0
) -> Call:
    size: Size = "document" if tokens else "small"
    return make_call(7, number, arrival, as_json=as_json, streamed=streamed, size=size, tokens=tokens)


@asynccontextmanager
async def serving(world: World, at: float = 0.0) -> AsyncIterator[Served]:
    """The world's providers, with its clock at so many seconds from its beginning."""
    clock, log = Clock(), list[Entry]()
    providers = [Provider(world, index, clock, log) for index in range(len(PROVIDERS))]
    running = [asyncio.ensure_future(provider.run()) for provider in providers]
    begin = time.monotonic() - at
    clock.begin(begin)
    await asyncio.sleep(0)  # let them listen
    try:
        endpoints = [
            Endpoint(name, f"http://127.0.0.1:{provider.port}/v1", f"sk-{name}", f"{name}-large")
            for name, provider in zip(PROVIDERS, providers, strict=True)
        ]
        yield Served(endpoints, log, begin)
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for provider in providers:
            await provider.aclose()
