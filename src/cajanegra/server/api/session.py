"""``/api/v1/session``: a browser exchanges its key for a cookie, asks who it is, and leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, SecretStr
from starlette.concurrency import run_in_threadpool

from cajanegra.domain.principal import AllTenants, Principal, Role
from cajanegra.server.authentication import COOKIE, Authentication
from cajanegra.server.context import Context
from cajanegra.server.problems import ProblemRoute, responses
from cajanegra.storage import keys


class KeyGiven(BaseModel):
    """The key that a browser gives."""

    key: SecretStr = Field(max_length=200, examples=["cn_k3v9x2m4p7_..."])


class Caller(BaseModel):
    """Who makes the request, and what they may see."""

    role: Role
    tenant_id: str | None = Field(description="The tenant whose rows are seen; `null` is all tenants.")
    name: str = Field(description="The key's name, or its beginning.")
    expires_at: datetime | None = Field(None, description="When a new session ends.")


def session_router(context: Context, authentication: Authentication) -> APIRouter:
    """The routes of the browser's session."""
    router = APIRouter(route_class=ProblemRoute, tags=["session"])
    hours = context.settings.server.session_hours

    @router.post("/session", responses=responses(401, 403, 422, 429, 503))
    async def begin(given: KeyGiven, request: Request, response: Response) -> Caller:
        """Give a key, and get a cookie that stands for it."""
        authentication.require_own_page(request.headers, required=False)
        key = await authentication.key(request, given.key.get_secret_value())
        now = datetime.now(UTC)
        until = now + timedelta(hours=hours)
        if key.expires_at is not None:
            until = min(until, key.expires_at.replace(tzinfo=UTC))
        token = await run_in_threadpool(keys.start_session, context.database, key, now=now, expires_at=until)
        response.set_cookie(
            COOKIE,
            token.text,
            max_age=int((until - now).total_seconds()),
            httponly=True,
            samesite="strict",
            secure=_is_https(request),
        )
        return _caller(key.principal, until)

    @router.get("/session", responses=responses(401, 403, 429, 503))
    async def show(
        principal: Principal = Depends(authentication),  # noqa: B008, FAST002 - an annotation finds none
    ) -> Caller:
        """Who makes this request."""
        return _caller(principal, None)

    @router.delete("/session", status_code=204, responses=responses(403, 503))
    async def end(request: Request, response: Response) -> None:
        """Leave: the cookie stands for nothing any more."""
        authentication.require_own_page(request.headers, required=True)
        if token := request.cookies.get(COOKIE):
            await run_in_threadpool(keys.end_session, context.database, token)
            authentication.verification.forget_session(token)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    return router


def _caller(principal: Principal, expires_at: datetime | None) -> Caller:
    tenant = None if isinstance(principal.scope, AllTenants) else principal.scope
    return Caller(role=principal.role, tenant_id=tenant, name=principal.name, expires_at=expires_at)


def _is_https(request: Request) -> bool:
    """Whether the browser came by TLS; its page's origin says so where a proxy ends it before the server."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")
