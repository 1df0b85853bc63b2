"""``/``, ``/recent``, ``/slow``, ``/{request_id}`` and its feedback: calls, many and one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from cajanegra.domain.principal import AllTenants
from cajanegra.server.access import Access, Admin, Reader, Writer
from cajanegra.server.api.conditional import NOT_MODIFIED, ConditionalRoute
from cajanegra.server.api.figure_models import Facets
from cajanegra.server.api.models import Call, CallDetail, CallPage, Calls, Deleted, Kept, Neighbours
from cajanegra.server.api.queries import CallQuery, Limit, PageQuery, Text, WindowQuery
from cajanegra.server.problems import ProblemError, responses
from cajanegra.storage import overview, reads
from cajanegra.storage.facets import facets
from cajanegra.storage.keeping import Policy
from cajanegra.storage.reads import SCAN, SCAN_STEP, SCANNING
from cajanegra.storage.retention import cleanup

DELETING = 20.0
"""Seconds that one request may delete for."""

router = APIRouter(route_class=ConditionalRoute, tags=["calls"])
one = APIRouter(route_class=ConditionalRoute, tags=["calls"])
"""Behind every other route: its path would take their words for a request id."""

RequestId = Annotated[str, Path(min_length=1, max_length=500, description="As the application gave it.")]


class WindowPageQuery(WindowQuery):
    """Some calls of a time."""

    limit: Limit = 50


class AgeQuery(BaseModel):
    """How old calls have to be."""

    model_config = ConfigDict(extra="forbid")

    older_than_days: Annotated[float, Field(ge=0, le=36_500, description="Age from which calls go, in days.")]


class Feedback(BaseModel):
    """What a person thinks of an answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"feedback": "thumbs_down", "correction": "invoice, not receipt"}]},
    )

    feedback: Annotated[
        Text, Field(max_length=20, description="`thumbs_up`, `thumbs_down`, or another word.")
    ]
    correction: Annotated[Text | None, Field(max_length=255, description="The right answer.")] = None


@router.get("", responses=NOT_MODIFIED)
def list_calls(access: Reader, query: Annotated[PageQuery, Query()]) -> CallPage:
    """Calls, newest first, page by page; calls that arrive meanwhile do not shift a page.

    With filters that no index serves, matching calls are looked for during 200 ms at most: then a page may be
    short, with `scanned_until`, and the list still goes on as long as there is a `next_cursor`.
    """
    where = query.filter(access.scope)
    page = reads.calls(
        access.reads, where, limit=query.limit, cursor=query.cursor, scan=SCAN_STEP, seconds=SCANNING
    )
    return CallPage.of(page)


@router.delete("")
def delete_old_calls(access: Admin, query: Annotated[AgeQuery, Query()]) -> Deleted:
    """Delete old calls with their steps and contents; a tenant's admin deletes the tenant's own alone.

    Calls that are held stay.
    """
    until = time.monotonic() + DELETING
    cut_short = False

    def goes_on() -> bool:
        nonlocal cut_short
        cut_short = time.monotonic() >= until
        return not cut_short

    report = cleanup(
        access.database,
        access.scope,
        policy=Policy(timedelta(days=query.older_than_days)),
        now=datetime.now(UTC),
        goes_on=goes_on,
    )
    return Deleted(calls=report.calls, steps=report.steps, contents=report.contents, complete=not cut_short)


@router.get("/recent", responses=NOT_MODIFIED)
def list_recent_calls(access: Reader, query: Annotated[WindowPageQuery, Query()]) -> Calls:
    """The latest calls, newest first."""
    where = query.in_window(access.scope)
    page = reads.calls(access.reads, where, limit=query.limit, scan=SCAN_STEP, seconds=SCANNING)
    return Calls(items=[Call.of(row) for row in page.items])


@router.get("/slow", responses=NOT_MODIFIED)
def list_slow_calls(access: Reader, query: Annotated[WindowPageQuery, Query()]) -> Calls:
    """The calls that took longest, among the newest 100,000 of the tenant, status and time asked for."""
    rows = overview.slowest(access.reads, query.in_window(access.scope), limit=query.limit)
    return Calls(items=[Call.of(row) for row in rows])


@router.get("/facets", responses=NOT_MODIFIED)
def count_facets(access: Reader, query: Annotated[WindowQuery, Query()]) -> Facets:
    """How many calls have which status, provider, model and so on: what a list can be narrowed to.

    A filter that is set narrows the others' values, and not its own.
    """
    found = facets(access.reads, query.in_window(access.scope))
    return Facets.of(found)


@one.get("/{request_id}", responses={**responses(404), **NOT_MODIFIED})
def show_call(access: Reader, request_id: RequestId) -> CallDetail:
    """One call: its row, its recovery steps, the patterns it met, its content where that is captured.

    Where tenants have calls with the same id, one who sees all says whose is meant in `X-Cajanegra-Tenant`.
    """
    return CallDetail.of_detail(_found(access, request_id))


@one.get("/{request_id}/neighbours", responses={**responses(404), **NOT_MODIFIED})
def show_neighbours(
    access: Reader, request_id: RequestId, query: Annotated[CallQuery, Query()]
) -> Neighbours:
    """The calls before and after one in the list that the filters mean.

    At most 20,000 calls to each side are looked at.
    """
    where = query.filter(access.scope)
    found = reads.neighbours(access.reads, where, request_id, scan=SCAN)
    if found is None:
        raise _missing()
    return Neighbours(newer=found.newer, older=found.older)


@one.post("/{request_id}/feedback", status_code=202, responses=responses(404))
def give_feedback(access: Writer, request_id: RequestId, given: Feedback) -> Kept:
    """Say what a person thinks of an answer; what is said later counts.

    A call that has just ended may be in the record a second later only, and is not found until then.
    """
    call = _found(access, request_id).call
    # One who sees all means the very call that was found, whoever's it is.
    tenant = None if isinstance(access.scope, AllTenants) else access.scope
    kept = access.recorder.feedback(
        call["request_id"], given.feedback, tenant_id=tenant, correction=given.correction
    )
    if not kept:
        raise ProblemError(503, "there is no room to keep it; try again later", {"Retry-After": "5"})
    return Kept(request_id=request_id)


def _found(access: Access, request_id: str) -> reads.CallDetail:
    found = reads.call(access.reads, access.scope, request_id)
    if found is None:
        raise _missing()
    return found


def _missing() -> ProblemError:
    return ProblemError(404, "there is no call with this id")
