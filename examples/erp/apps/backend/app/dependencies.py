"""What the routes need: who asks, a session of the database, the AI client."""

import hashlib
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config.database import SessionLocal
from app.models.erp import User
from cajanegra import AIClient
from cajanegra.server import ALL_TENANTS, Principal, Role

_bearer = HTTPBearer(auto_error=False)
_ROLES = {"staff": Role.READER, "manager": Role.ADMIN, "operator": Role.ADMIN}
"""What a user of the ERP may do with the AI record; an operator runs the ERP, for all tenants."""


def hash_token(token: str) -> str:
    """What is kept of a token; it is random and long, so that a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def get_session() -> Iterator[Session]:
    """A session for one request."""
    with SessionLocal() as session:
        yield session


def get_user(
    session: Annotated[Session, Depends(get_session)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> User:
    """Whose token it is; 401 without a valid one."""
    if credentials is not None:
        known = select(User).where(User.token_hash == hash_token(credentials.credentials))
        if user := session.scalars(known).first():
            return user
    raise HTTPException(401, "a valid token is needed", headers={"WWW-Authenticate": "Bearer"})


def get_principal(user: Annotated[User, Depends(get_user)]) -> Principal:
    """The same user as the AI record knows them."""
    scope = ALL_TENANTS if user.role == "operator" else user.tenant_id
    return Principal(scope, _ROLES[user.role], user.name)


def get_ai(request: Request) -> AIClient:
    """The process's AI client."""
    ai: AIClient = request.app.state.ai
    return ai


CurrentSession = Annotated[Session, Depends(get_session)]
CurrentUser = Annotated[User, Depends(get_user)]
AI = Annotated[AIClient, Depends(get_ai)]
