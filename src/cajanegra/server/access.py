"""Whose rows a request may see: what each handler is given, and by which dependency."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from cajanegra.domain.principal import ALL_TENANTS, AllTenants, Principal, Role, Scope
from cajanegra.recording.recorder import Recorder
from cajanegra.server.context import Context
from cajanegra.server.problems import ProblemError
from cajanegra.storage.database import Database
from cajanegra.storage.fitting import fit_identity
from cajanegra.storage.scoped import within

PrincipalDependency = Callable[..., Principal | Awaitable[Principal]]
"""A FastAPI dependency that says who makes the request, or raises."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a handler works with.

    Attributes:
        context: databases and recorder of the application.
        principal: who asks.
        scope: whose rows are meant: the principal's own, or those of the tenant that one who may see all
            names in ``X-Cajanegra-Tenant``. Every query takes it.
    """

    context: Context
    principal: Principal
    scope: Scope

    @property
    def reads(self) -> Database:
        """Where lists and numbers are read; row-level security is told whose."""
        if isinstance(self.scope, AllTenants):
            return self.context.reads
        return within(self.context.tenant_reads, self.scope)

    @property
    def database(self) -> Database:
        """Where changes go."""
        return self.context.database

    @property
    def recorder(self) -> Recorder:
        """Where calls and feedback are written down."""
        return self.context.recorder


def provide(context: Context, principal: PrincipalDependency) -> Callable[..., Awaitable[None]]:
    """The dependency of a whole router: finds out who asks, and gives the handlers what they work with."""

    async def access(
        request: Request,
        caller: Principal = Depends(principal),  # noqa: B008 - an annotation would not find it
        tenant: Annotated[
            str | None,
            Header(
                alias="X-Cajanegra-Tenant",
                description="The tenant that is meant; only who may see all tenants can name one.",
            ),
        ] = None,
    ) -> None:
        request.state.cajanegra = Access(context, caller, scope_of(caller, tenant))

    return access


def scope_of(caller: Principal, named: str | None) -> Scope:
    """Whose rows are meant.

    Raises:
        ProblemError: 403, the caller belongs to one tenant and names another.
    """
    if named is None or fit_identity(named) == caller.scope:
        return caller.scope
    if not named:
        raise ProblemError(422, "X-Cajanegra-Tenant is empty; name a tenant, or leave it out")
    if caller.scope is not ALL_TENANTS:
        raise ProblemError(403, "this key belongs to one tenant; leave X-Cajanegra-Tenant out")
    return named


def _allowed(role: Role) -> Any:
    async def allow(request: Request) -> Access | None:
        # Not there when the principal's own parameters are wrong; the handler is not called then.
        access: Access | None = getattr(request.state, "cajanegra", None)
        if access is not None and not access.principal.may(role):
            raise ProblemError(403, f"this needs the role {role}, and the key has {access.principal.role}")
        return access

    return Depends(allow)


Reader = Annotated[Access, _allowed(Role.READER)]
"""Parameter of a handler that shows what was recorded."""
Writer = Annotated[Access, _allowed(Role.WRITER)]
"""Parameter of a handler that records."""
Admin = Annotated[Access, _allowed(Role.ADMIN)]
"""Parameter of a handler that deletes or decides."""
