from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cajanegra.ports import Provider
from provider_servers import (
    DONE,
    QUESTION,
    STREAM_HEAD,
    Exchange,
    answers,
    chat_completion,
    consume,
    delta,
    provider,
    serve,
    streams,
)

CERTIFICATE = Path(__file__).parent.parent / "data" / "self_signed.pem"


@pytest.mark.parametrize("streamed", [False, True])
def test_cancelling_closes_the_upstream_at_once(streamed: bool) -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        gone: asyncio.Future[float] = loop.create_future()

        async def script(exchange: Exchange) -> None:
            if streamed:
                await exchange.send(STREAM_HEAD, b"7\r\n: here\n\r\n")
            asked.set()
            await exchange.gone()
            gone.set_result(loop.time())

        async with serve(script) as server:
            upstream = provider(server.url)
            if streamed:
                task = asyncio.ensure_future(consume(upstream.stream(QUESTION, "m", timeout=60)))
            else:
                task = asyncio.ensure_future(_chat(upstream))
            await asked.wait()
            cancelled = loop.time()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await asyncio.wait_for(gone, 1) - cancelled

    assert asyncio.run(run()) < 0.1


async def _chat(upstream: Provider) -> None:
    await upstream.chat(QUESTION, "m", timeout=60)


@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_closing_the_iterator_closes_the_upstream(kind: str) -> None:
    async def run() -> None:
        gone = asyncio.Event()

        async def script(exchange: Exchange) -> None:
            piece = delta("Ho") if kind == "openai" else b'{"message": {"content": "Ho"}}\n'
            await exchange.send(STREAM_HEAD, f"{len(piece):x}\r\n".encode(), piece, b"\r\n")
            await exchange.gone()
            gone.set()

        async with serve(script) as server:
            chunks = provider(server.url, kind).stream(QUESTION, "m", timeout=60)
            assert (await anext(chunks)).text == "Ho"
            await chunks.aclose()
            await asyncio.wait_for(gone.wait(), 1)

    asyncio.run(run())


@pytest.mark.parametrize("streamed", [False, True])
def test_connections_are_used_again(streamed: bool) -> None:
    async def run() -> int:
        script = streams(delta("Hola", "stop"), DONE) if streamed else answers(chat_completion())
        async with serve(script) as server:
            upstream = provider(server.url)
            for _ in range(5):
                if streamed:
                    await consume(upstream.stream(QUESTION, "m", timeout=5))
                else:
                    await upstream.chat(QUESTION, "m", timeout=5)
            return server.connections

    assert asyncio.run(run()) == 1


def test_many_calls_are_in_flight_on_one_loop() -> None:
    async def run() -> int:
        everybody = asyncio.Event()
        waiting = 0

        async def script(exchange: Exchange) -> None:
            nonlocal waiting
            waiting += 1
            if waiting == 300:
                everybody.set()
            await everybody.wait()
            await answers(chat_completion())(exchange)

        async with serve(script) as server:
            upstream = provider(server.url)
            before = threading.active_count()
            replies = await asyncio.gather(*(upstream.chat(QUESTION, "m", timeout=30) for _ in range(300)))
            assert threading.active_count() == before
            return len(replies)

    assert asyncio.run(run()) == 300


class InThread:
    """A server on a loop of its own, so that a test can use other loops."""

    def __enter__(self) -> str:
        started = threading.Event()

        async def run() -> None:
            async with serve(answers(chat_completion())) as server:
                self.url, self.loop, self.stop = server.url, asyncio.get_running_loop(), asyncio.Event()
                started.set()
                await self.stop.wait()

        self.thread = threading.Thread(target=asyncio.run, args=(run(),))
        self.thread.start()
        started.wait()
        return self.url

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()


def test_one_provider_serves_loop_after_loop_and_leaves_nothing_open() -> None:
    with InThread() as url:
        upstream = provider(url)
        for _ in range(3):
            assert asyncio.run(upstream.chat(QUESTION, "m", timeout=5)).text == "Hola."


def test_closing_from_one_loop_closes_the_connections_of_another() -> None:
    async def run(upstream: Provider) -> None:
        await upstream.chat(QUESTION, "m", timeout=5)
        await asyncio.to_thread(asyncio.run, upstream.aclose())
        assert (await upstream.chat(QUESTION, "m", timeout=5)).text == "Hola."
        await upstream.aclose()

    with InThread() as url:
        asyncio.run(run(provider(url)))


FORKED = """
import asyncio, os, sys, time
from provider_servers import QUESTION, provider

upstream = provider(sys.argv[1])

async def twice():
    await upstream.chat(QUESTION, "m", timeout=5)
    child = os.fork()
    if child == 0:
        asyncio._set_running_loop(None)
        text = asyncio.run(upstream.chat(QUESTION, "m", timeout=5)).text
        begin = time.monotonic()
        asyncio.run(upstream.aclose())  # waits for no loop of the parent
        os._exit(0 if text == "Hola." and time.monotonic() - begin < 0.5 else 1)
    _, status = os.waitpid(child, 0)
    reply = await upstream.chat(QUESTION, "m", timeout=5)
    print(os.waitstatus_to_exitcode(status), reply.text)
    await upstream.aclose()

asyncio.run(twice())
"""


def python(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert done.stderr == ""
    return done.stdout


def test_parent_and_child_both_go_on_after_a_fork() -> None:
    with InThread() as url:
        assert python(FORKED, url) == "0 Hola.\n"


ONCE = """
import asyncio, sys
from provider_servers import QUESTION, provider

print(asyncio.run(provider(sys.argv[1]).chat(QUESTION, "m", timeout=5)).text)
"""


def test_tls_with_a_trusted_certificate_works_and_closes() -> None:
    async def run() -> str:
        async with serve(answers(chat_completion()), certificate=str(CERTIFICATE)) as server:
            return await asyncio.to_thread(python, ONCE, server.url, SSL_CERT_FILE=str(CERTIFICATE))

    assert asyncio.run(run()) == "Hola.\n"
