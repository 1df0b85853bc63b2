"""``/live``: calls as they are written, as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cajanegra.server.access import Access, Reader
from cajanegra.server.api.models import Call
from cajanegra.server.api.queries import CallQuery, Text
from cajanegra.server.problems import ProblemRoute, responses
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.tail import newest_in, place_of, written

HEARTBEAT = 15.0
"""Seconds after which an idle stream shows that it is alive; proxies cut what is silent for a minute."""
LONGEST = 3600.0
"""Seconds of one stream; the client goes on where it ended."""
RECHECK = 5.0
"""Seconds after which it is asked again whether the caller may still see this."""
LOOK = 0.5
BEGIN = "-"
"""The place before all calls: the ``id`` where there is no call yet."""

router = APIRouter(route_class=ProblemRoute, tags=["calls"])


@router.get(
    "/live",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events `call` (data: one call), `begin` once it is complete from here on, "
            "and `gap` where it cannot go on where it ended; comments in between.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **responses(429),
    },
)
async def follow_calls(
    request: Request,
    access: Reader,
    query: Annotated[CallQuery, Query()],
    last_event_id: Annotated[
        Text | None, Header(description="The last event that was received: goes on behind it.")
    ] = None,
) -> StreamingResponse:
    """Follow the calls as they are written, by whatever process; each once, and none is left out.

    A call appears once no earlier one can be written any more. With `Last-Event-ID`, which browsers send by
    themselves, a stream goes on where it ended; an event `gap` says that the call it ended with is gone.
    """
    where = query.filter(access.scope)
    await run_in_threadpool(lambda: where.conditions(access.database.dialect))  # what makes no sense is a 422
    following = ExitStack()
    following.enter_context(access.context.live.follower(access.scope))
    try:
        place = await run_in_threadpool(_place, access, last_event_id) if last_event_id else None
    except BaseException:
        following.close()
        raise
    recheck = getattr(request.state, "cajanegra_recheck", None)
    return StreamingResponse(
        _events(access, where, following, last_event_id, place, recheck),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    access: Access,
    where: CallFilter,
    following: ExitStack,
    last_event_id: str | None,
    place: int | None,
    recheck: Callable[[], Awaitable[object]] | None,
) -> AsyncGenerator[str]:
    with following:
        yield "retry: 2000\n\n"
        if last_event_id and place is None:
            yield "event: gap\ndata: {}\n\n"
        began = said = checked = time.monotonic()
        while not access.context.stopping.is_set() and time.monotonic() < began + LONGEST:
            if recheck is not None and time.monotonic() >= checked + RECHECK:
                checked = time.monotonic()
                try:
                    await recheck()
                except HTTPException:
                    return
            reached = await run_in_threadpool(access.context.live.reached)
            if place is None and reached is not None:
                place = reached
                newest = await run_in_threadpool(newest_in, access.database, access.scope, reached)
                yield f"id: {newest or BEGIN}\nevent: begin\ndata: {{}}\n\n"
            while place is not None and reached is not None and place < reached:
                rows, place = await run_in_threadpool(written, access.database, where, place, reached)
                for row in rows:
                    said = time.monotonic()
                    yield f"id: {row['request_id']}\nevent: call\ndata: {Call.of(row).model_dump_json()}\n\n"
            if time.monotonic() >= said + HEARTBEAT:
                said = time.monotonic()
                yield ": alive\n\n"
            await asyncio.sleep(LOOK)


def _place(access: Access, last_event_id: str) -> int | None:
    if last_event_id == BEGIN:
        return 0
    return place_of(access.database, access.scope, last_event_id)
