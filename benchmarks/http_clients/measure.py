"""Measures one client in this process and prints CPU microseconds per request as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time

from benchmarks.http_clients.clients import CLIENTS, Client

BATCHES = 5
PER_BATCH = {"plain": 384, "stream": 128}
CONCURRENCY = (1, 64)
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "palabra " * 120}]}).encode()


async def measure(name: str, base_url: str) -> dict[str, float]:
    results = {}
    async with CLIENTS[name]() as client:
        for shape, count in PER_BATCH.items():
            for concurrency in CONCURRENCY:
                await _batch(client, shape, base_url, count, concurrency)  # warms connections and caches
                costs = []
                for _ in range(BATCHES):
                    begin = time.process_time()  # user and system, all threads
                    await _batch(client, shape, base_url, count, concurrency)
                    costs.append((time.process_time() - begin) / count * 1e6)
                results[f"{shape} x{concurrency}"] = statistics.median(costs)
    return results


async def _batch(client: Client, shape: str, base_url: str, count: int, concurrency: int) -> None:
    send = client.plain if shape == "plain" else client.stream
    url = f"{base_url}/{shape}"

    async def lane() -> None:
        for _ in range(count // concurrency):
            if await send(url, BODY) < len("data: [DONE]"):
                raise RuntimeError(f"short answer for {url}")

    await asyncio.gather(*(lane() for _ in range(concurrency)))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(sys.argv[1], sys.argv[2]))), flush=True)
    os._exit(0)  # pyreqwest's thread now and then aborts an interpreter that shuts down in order
