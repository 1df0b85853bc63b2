"""``/export``: all the calls that are meant, streamed in constant memory."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from cajanegra.server.access import Reader
from cajanegra.server.api import files
from cajanegra.server.api.queries import CallQuery
from cajanegra.server.problems import ProblemError, ProblemRoute, responses
from cajanegra.storage import reads

MAX_ROWS = 1_000_000
MAX_EXPORTS = 4
"""Exports at a time, in one process: each of them keeps a connection and a thread busy."""

router = APIRouter(route_class=ProblemRoute, tags=["calls"])
_slots = threading.BoundedSemaphore(MAX_EXPORTS)

Format = Literal["ndjson", "csv", "parquet"]
_WRITERS: dict[Format, Callable[[Iterable[dict[str, Any]]], Iterator[bytes]]] = {
    "ndjson": files.ndjson,
    "csv": files.csv,
    "parquet": files.parquet,
}
_TYPES: dict[Format, str] = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}


class ExportQuery(CallQuery):
    """Which calls, and how they are written."""

    format: Annotated[Format, Field(description="`parquet` needs the extra `parquet`.")] = "ndjson"
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS, description="At most so many calls.")] = MAX_ROWS


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The calls with their recovery steps, newest first; captured content is left out.",
            "content": {media: {"schema": {"type": "string"}} for media in _TYPES.values()},
        },
        **responses(429),
    },
)
async def export_calls(access: Reader, query: Annotated[ExportQuery, Query()]) -> StreamingResponse:
    """Write the calls that are meant, newest first: as many as `limit` says, 1,000,000 at most.

    What is cut off by an error ends without the last chunk, which clients report. Cells of CSV that a
    spreadsheet would run as formulas begin with an apostrophe.
    """
    if not _slots.acquire(blocking=False):
        raise ProblemError(429, f"{MAX_EXPORTS} exports are running; try again later", {"Retry-After": "10"})
    rows = reads.iterate(access.reads, query.filter(access.scope), limit=query.limit)
    pieces = _WRITERS[query.format](rows)
    try:
        first = await run_in_threadpool(next, pieces, b"")  # what fails at once is answered with a problem
    except BaseException:
        _slots.release()
        raise
    name = f"calls-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{query.format}"
    return StreamingResponse(
        _streamed(first, pieces),
        media_type=_TYPES[query.format],
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


async def _streamed(first: bytes, pieces: Iterator[bytes]) -> AsyncGenerator[bytes]:
    try:
        yield first
        while piece := await run_in_threadpool(next, pieces, b""):
            yield piece
    finally:
        _slots.release()
        close = getattr(pieces, "close", None)
        if close is not None:
            await run_in_threadpool(close)
