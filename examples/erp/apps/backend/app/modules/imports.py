"""Imports: files documents under what they are, as the AI says and people correct."""

import asyncio
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import AI, CurrentSession, CurrentUser
from app.models.erp import Document
from cajanegra import AIClient
from cajanegra.errors import CallError

router = APIRouter(prefix="/imports", tags=["imports"])
Kind = Literal["invoice", "receipt", "delivery_note", "unknown"]
_PROMPT = "Say in one word what this is ({kinds}):\n\n{text}"


class NewDocument(BaseModel):
    """What comes in."""

    text: Annotated[str, Field(min_length=1, max_length=200_000)]


class Filed(BaseModel):
    """A document with its kind."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    kind: Kind
    ai_request_id: str | None


class Correction(BaseModel):
    """What it really is."""

    kind: Kind


@router.post("", status_code=201)
def file(document: NewDocument, user: CurrentUser, session: CurrentSession, ai: AI) -> Filed:
    """File a document; what nobody can classify now is filed as unknown."""
    kind, request_id = _classify(ai, document.text, user.tenant_id, user.name)
    row = Document(tenant_id=user.tenant_id, text=document.text, kind=kind, ai_request_id=request_id)
    session.add(row)
    session.commit()
    return Filed.model_validate(row)


@router.patch("/{document_id}")
def correct(
    document_id: int, correction: Correction, user: CurrentUser, session: CurrentSession, ai: AI
) -> Filed:
    """Give a document its right kind, and tell the record that the AI was wrong."""
    row = session.get(Document, document_id)
    if row is None or row.tenant_id != user.tenant_id:
        raise HTTPException(404, "there is no such document")
    if row.ai_request_id is not None and row.kind != correction.kind:
        said = f"{correction.kind}, not {row.kind}"
        asyncio.run(ai.feedback(row.ai_request_id, "thumbs_down", correction=said, tenant_id=user.tenant_id))
    row.kind = correction.kind
    session.commit()
    return Filed.model_validate(row)


def _classify(ai: AIClient, text: str, tenant_id: str, user_name: str) -> tuple[str, str]:
    """The document's kind, and the id of the call that found it."""
    kinds = get_args(Kind)
    try:
        reply = ai.chat_sync(
            _PROMPT.format(kinds=", ".join(kinds), text=text),
            model="classifier",
            temperature=0.0,
            max_tokens=10,
            task="classification",
            module="imports",
            tenant_id=tenant_id,
            user_id=user_name,
        )
    except CallError as error:
        return "unknown", error.request_id
    word = reply.text.strip().strip(".").lower()
    return word if word in kinds else "unknown", reply.request_id
