"""``/retention``: what was deleted and when, what is held, and erasures with their receipts."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from cajanegra.domain.principal import AllTenants
from cajanegra.server.access import Access, Admin
from cajanegra.server.api.conditional import NOT_MODIFIED, ConditionalRoute
from cajanegra.server.api.queries import Text
from cajanegra.server.problems import ProblemError, responses
from cajanegra.storage import erasure, holds, runs

ERASING = 20.0
"""Seconds that one request may erase for."""

router = APIRouter(route_class=ConditionalRoute, tags=["retention"], prefix="/retention")

HoldId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class _Of(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Counts(BaseModel):
    """Rows that were deleted, and what that gave back to the disk."""

    calls: int
    steps: int
    contents: int
    links: int = Field(description="Samples of error patterns.")
    counts: int = Field(description="Details of error patterns.")
    rollups: int = Field(description="Counts of hours and days.")
    partitions: int = Field(description="Dropped with their calls, which are estimated there.")
    freed_bytes: int


class RetentionRun(_Of):
    """One run of retention."""

    id: int
    started_by: Literal["command", "server"]
    state: Literal["running", "done", "cut_short", "failed", "died"] = Field(
        description="`cut_short`: its time was up, and the next goes on."
    )
    counts: Counts
    error: str | None
    began_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class RuleShown(BaseModel):
    """Calls that are kept for another time."""

    days: int
    tenant: str | None
    module: str | None
    status: list[str]


class PolicyShown(BaseModel):
    """How long what is kept, in days; `null` as long as the call."""

    default_days: int
    error_days: int | None
    content_days: int | None
    sample_days: int | None
    rollup_days: int
    rules: list[RuleShown]
    run_by_server: bool


class Retention(BaseModel):
    """How long what is kept, and the latest runs, the last first."""

    policy: PolicyShown
    runs: list[RetentionRun]


class Hold(_Of):
    """What nothing deletes until it is lifted."""

    id: int
    tenant_id: str | None
    request_id: str | None = Field(description="`null`: all calls of the tenant.")
    reason: str
    placed_by: str | None
    placed_at: datetime


class Holds(BaseModel):
    """What is held."""

    items: list[Hold]


class NewHold(BaseModel):
    """What is to be held: a call, or all of a tenant's."""

    model_config = ConfigDict(extra="forbid")

    request_id: Text | None = None
    tenant_id: Annotated[
        Text | None, Field(description="All of this tenant's; beside a call, whose call is meant.")
    ] = None
    reason: Annotated[Text, Field(description="Why, such as the number of a case.")]

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.request_id is None and self.tenant_id is None:
            raise PydanticCustomError("empty", "nothing is held: give request_id, or tenant_id")
        return self


class NewErasure(BaseModel):
    """Whose calls are to be erased."""

    model_config = ConfigDict(extra="forbid")

    subject: Literal["user", "tenant"] = Field(
        description="A tenant's admin erases the tenant; one of all names it in `X-Cajanegra-Tenant`."
    )
    user_id: Annotated[Text | None, Field(description="The user, where the subject is one.")] = None

    @model_validator(mode="after")
    def _names_whom(self) -> Self:
        if (self.subject == "user") != (self.user_id is not None):
            raise PydanticCustomError("whom", "user_id belongs to the subject `user`, and to no other")
        return self


class Receipt(_Of):
    """What was erased, without saying whom it was about."""

    id: int
    subject: Literal["user", "tenant"]
    tenant_id: str | None
    subject_hash: str = Field(description="SHA-256 of the user's or tenant's id.")
    requested_by: str | None
    counts: dict[str, int] = Field(description="Rows by what they were; `held` are calls that stay.")
    began_at: datetime
    ended_at: datetime | None = Field(description="`null`: cut short; ask again, since it takes longer.")


class Receipts(BaseModel):
    """What was erased, the latest first."""

    items: list[Receipt]


@router.get("", responses=NOT_MODIFIED)
def show_retention(
    access: Admin, limit: Annotated[int, Query(ge=1, le=100, description="Runs at most.")] = 20
) -> Retention:
    """How long what is kept, and what was deleted. Needs an admin's key of all tenants."""
    _require_all(access)
    given = access.context.settings.retention
    return Retention(
        policy=PolicyShown(
            default_days=given.default_days,
            error_days=given.error_days,
            content_days=given.content_days,
            sample_days=given.sample_days,
            rollup_days=given.rollup_days,
            rules=[
                RuleShown(days=one.days, tenant=one.tenant, module=one.module, status=[*map(str, one.status)])
                for one in given.rules
            ],
            run_by_server=given.serve,
        ),
        runs=[RetentionRun.model_validate(run) for run in runs.history(access.database, limit)],
    )


@router.get("/holds", responses=NOT_MODIFIED)
def list_holds(access: Admin) -> Holds:
    """What is held, the latest first. Needs an admin's key of all tenants."""
    _require_all(access)
    return Holds(items=[Hold.model_validate(hold) for hold in holds.listed(access.database)])


@router.post("/holds", status_code=201)
def place_hold(access: Admin, given: NewHold) -> Hold:
    """Keep a call, or all of a tenant's, from being deleted or erased.

    Needs an admin's key of all tenants.
    """
    _require_all(access)
    placed = holds.place(
        access.database,
        reason=given.reason,
        tenant_id=given.tenant_id,
        request_id=given.request_id,
        by=access.principal.name,
        now=datetime.now(UTC),
    )
    return Hold.model_validate(placed)


@router.delete("/holds/{hold_id}", status_code=204, response_class=Response, responses=responses(404))
def lift_hold(access: Admin, hold_id: HoldId) -> None:
    """Lift a hold. Needs an admin's key of all tenants."""
    _require_all(access)
    if not holds.lift(access.database, hold_id):
        raise ProblemError(404, "there is no such hold")


@router.post("/erasures", status_code=201)
def erase(access: Admin, given: NewErasure) -> Receipt:
    """Erase a user's or a tenant's calls for good; calls that are held stay.

    A tenant's admin erases within the tenant. What programs have not handed in yet comes later: erase again.
    """
    until = time.monotonic() + ERASING
    done = erasure.erase(
        access.database,
        access.scope,
        user_id=given.user_id,
        by=access.principal.name,
        now=datetime.now(UTC),
        goes_on=lambda: time.monotonic() < until,
    )
    return Receipt.model_validate(done)


@router.get("/erasures", responses=NOT_MODIFIED)
def list_erasures(access: Admin) -> Receipts:
    """The receipts of erasures, the latest first; a tenant's admin sees the tenant's own."""
    found = erasure.receipts(access.database, access.scope)
    return Receipts(items=[Receipt.model_validate(one) for one in found])


def _require_all(access: Access) -> None:
    """Holds and runs concern everybody's calls.

    Raises:
        ProblemError: 403, the caller sees one tenant alone.
    """
    if not isinstance(access.scope, AllTenants):
        raise ProblemError(403, "this concerns the calls of all tenants; give an admin's key of all")
