"""Answers one request: asks the engine, hands out what comes, and stops when nobody listens any more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing

import msgspec
from starlette.types import Send

from cajanegra.cohort import next_stage
from cajanegra.domain.call import Operation, Usage, prompt_text
from cajanegra.errors import CallError
from cajanegra.recovery.course import Course
from cajanegra.recovery.engine import Engine
from cajanegra.recovery.target import Target
from cajanegra.server.departure import Departure
from cajanegra.server.gateway.incoming import Incoming
from cajanegra.server.gateway.limits import Limits
from cajanegra.server.gateway.refusals import Headers, Unanswered, send_json
from cajanegra.server.gateway.translation import DONE, StreamTranslation, body_of
from cajanegra.server.gateway.upstream import Upstream
from cajanegra.storage.keys import Key

CHARACTERS_PER_TOKEN = 4
"""Where nobody says how many tokens there were, since the client left before the end."""

_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_UNBUFFERED = (b"x-accel-buffering", b"no")
"""Tells nginx to pass events on as they come."""


class Exchange(msgspec.Struct, frozen=True):
    """One request and what it takes to answer it."""

    upstream: Upstream
    request: Incoming
    targets: Sequence[Target]
    key: Key | None
    limits: Limits
    departure: Departure
    send: Send

    @property
    def engine(self) -> Engine:
        """Who asks the providers."""
        upstream = self.upstream
        return upstream.silent_engine if self.request.is_recorded else upstream.engine


async def answer(exchange: Exchange) -> None:
    """Answer, unless the client goes away: then the provider is left at once, and the record says so."""
    handler = asyncio.current_task()
    assert handler is not None  # noqa: S101 - a coroutine runs in a task
    left = False

    def leave() -> None:
        nonlocal left
        left = True
        handler.cancel()

    exchange.departure.tell(leave)
    try:
        await (_stream if exchange.request.streamed else _plain)(exchange)
    except asyncio.CancelledError:
        if not left:
            raise
        handler.uncancel()
    finally:
        exchange.departure.forget()


async def _plain(exchange: Exchange) -> None:
    call = exchange.request.call
    course = exchange.engine.open(call, exchange.targets)
    try:
        outcome = await exchange.engine.chat_through(course)
    except CallError as error:
        await _tell(exchange, course, error)
        return
    except asyncio.CancelledError:
        _charge(exchange, course, None, 0)
        raise
    _charge(exchange, course, outcome.answer.usage, 0)
    await next_stage()
    model = outcome.answer.model or outcome.target.model
    body = outcome.answer.wire or body_of(outcome.answer, outcome.request_id, model)
    await send_json(exchange.send, 200, body, _headers(course))


async def _stream(exchange: Exchange) -> None:
    call = exchange.request.call
    opened = exchange.engine.open_stream(call, exchange.targets)
    course, send = opened.course, exchange.send
    translation: StreamTranslation | None = None
    usage: Usage | None = None
    delivered, failed, last = 0, False, b""
    try:
        async with aclosing(opened.chunks) as chunks:
            async for chunk in chunks:
                usage = chunk.usage or usage
                delivered += len(chunk.text)
                if translation is None:
                    translation = _translation(exchange, course)
                    head = [_EVENTS, _UNBUFFERED, *_headers(course)]
                    await send({"type": "http.response.start", "status": 200, "headers": head})
                events, last = last + translation.events(chunk), b""
                if chunk.is_last:
                    last = events
                elif events:
                    await send({"type": "http.response.body", "body": events, "more_body": True})
    except CallError as error:
        if translation is None:
            failed = True
            await _tell(exchange, course, error)
        else:
            told = Unanswered(error, course.attempts, exchange.upstream.patterns).body()
            await send({"type": "http.response.body", "body": last + b"data: " + told + b"\n\n"})
        return
    finally:
        if translation is not None or not failed:
            _charge(exchange, course, usage, delivered)
    if call.request.operation is not Operation.RESPONSES:
        last += DONE
    await send({"type": "http.response.body", "body": last})


def _charge(exchange: Exchange, course: Course, usage: Usage | None, delivered: int) -> None:
    """Count what the call has used of its key's limits: estimated where the provider did not say it.

    Args:
        exchange: the request.
        course: who answered, or was left.
        usage: as the provider counts it.
        delivered: characters that the client has of the answer.
    """
    key = exchange.key
    if key is None or key.limits is None:
        return
    if usage is None or usage.total_tokens is None:
        prompt = exchange.request.call.prompt
        given = len(prompt_text(prompt)) // CHARACTERS_PER_TOKEN if prompt is not None else 0
        written = delivered // CHARACTERS_PER_TOKEN
        usage = Usage(given, written, given + written)
    prices, target = exchange.upstream.prices, course.target
    cost = prices.cost(target.provider.name, target.model, usage) if prices is not None else None
    exchange.limits.charge(key, usage.total_tokens or 0, cost.amount if cost is not None else None)


def _translation(exchange: Exchange, course: Course) -> StreamTranslation:
    asked = exchange.request.call.request.parameters.get("stream_options")
    wants_usage = isinstance(asked, Mapping) and bool(asked.get("include_usage"))
    return StreamTranslation(course.request_id, course.target.model, wants_usage=wants_usage)


def _headers(course: Course) -> Headers:
    """What every answer to a call says of it."""
    return [
        (b"x-cajanegra-request-id", course.request_id.encode("latin-1", "replace")),
        (b"x-cajanegra-provider", course.target.provider.name.encode()),
        (b"x-cajanegra-attempts", str(course.attempts).encode()),
    ]


async def _tell(exchange: Exchange, course: Course, error: CallError) -> None:
    told = Unanswered(error, course.attempts, exchange.upstream.patterns)
    await send_json(exchange.send, told.status, told.body(), [*_headers(course), *told.headers])
