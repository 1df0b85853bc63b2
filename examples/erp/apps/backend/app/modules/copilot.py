"""Copilot: answers what people ask about the ERP."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.dependencies import AI, CurrentUser
from cajanegra.errors import CallError

router = APIRouter(prefix="/copilot", tags=["copilot"])
_SYSTEM = {
    "role": "system",
    "content": "You help the users of an ERP. Answer in the language of the question.",
}


class Question(BaseModel):
    """What somebody asks."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]


class Answer(BaseModel):
    """What the AI says."""

    text: str
    ai_request_id: str


class Opinion(BaseModel):
    """Whether an answer helped."""

    feedback: Literal["thumbs_up", "thumbs_down"]


@router.post("/questions")
async def ask(question: Question, user: CurrentUser, ai: AI) -> Answer:
    """Answer a question."""
    try:
        reply = await ai.chat(
            messages=[_SYSTEM, {"role": "user", "content": question.text}],
            task="chat",
            module="copilot",
            tenant_id=user.tenant_id,
            user_id=user.name,
        )
    except CallError as error:
        raise HTTPException(503, f"no answer now; tell support: {error.request_id}") from None
    return Answer(text=reply.text, ai_request_id=reply.request_id)


@router.post("/questions/stream")
async def ask_and_watch(question: Question, user: CurrentUser, ai: AI) -> StreamingResponse:
    """Answer a question as the words come."""
    stream = ai.stream(
        messages=[_SYSTEM, {"role": "user", "content": question.text}],
        task="chat",
        module="copilot",
        tenant_id=user.tenant_id,
        user_id=user.name,
    )

    async def words() -> AsyncIterator[str]:
        async with stream:
            try:
                async for chunk in stream:
                    yield chunk.text
            except CallError as error:
                yield f"\n[no answer now; tell support: {error.request_id}]"

    return StreamingResponse(words(), media_type="text/plain", headers={"X-AI-Request-Id": stream.request_id})


@router.post("/answers/{ai_request_id}/feedback", status_code=204)
async def rate(ai_request_id: str, opinion: Opinion, user: CurrentUser, ai: AI) -> None:
    """Note whether an answer helped."""
    await ai.feedback(ai_request_id, opinion.feedback, tenant_id=user.tenant_id)
