"""Incidents: what went wrong at a tenant, with the AI's analysis."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import AI, CurrentSession, CurrentUser
from app.models.erp import Incident
from cajanegra.errors import CallError

router = APIRouter(prefix="/incidents", tags=["incidents"])
_PROMPT = "Analyse this incident: probable cause, severity, next step.\n\n{title}\n\n{description}"


class NewIncident(BaseModel):
    """What is reported."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(min_length=1, max_length=50_000)]


class Reported(BaseModel):
    """An incident; without an analysis where no provider answered."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    analysis: str | None
    ai_request_id: str | None


@router.post("", status_code=201)
def report(new: NewIncident, user: CurrentUser, session: CurrentSession, ai: AI) -> Reported:
    """Note an incident and have it analysed; it is noted whether the AI answers or not."""
    row = Incident(tenant_id=user.tenant_id, title=new.title, description=new.description)
    session.add(row)
    session.commit()
    try:
        reply = ai.chat_sync(
            _PROMPT.format(title=new.title, description=new.description),
            temperature=0.2,
            task="analysis",
            module="incidents",
            tenant_id=row.tenant_id,
            user_id=user.name,
            metadata={"incident": row.id},
        )
        row.analysis, row.ai_request_id = reply.text, reply.request_id
    except CallError as error:
        row.ai_request_id = error.request_id
    session.commit()
    return Reported.model_validate(row)


@router.get("")
def show(user: CurrentUser, session: CurrentSession) -> list[Reported]:
    """The tenant's last incidents."""
    mine = select(Incident).where(Incident.tenant_id == user.tenant_id)
    return [
        Reported.model_validate(row) for row in session.scalars(mine.order_by(Incident.id.desc()).limit(50))
    ]
