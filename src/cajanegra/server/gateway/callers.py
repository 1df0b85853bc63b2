"""Who uses the gateway: the keys of the REST API, without a thread where they were seen just now."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from fastapi.security import HTTPAuthorizationCredentials
from starlette.requests import Request
from starlette.types import Scope

from cajanegra.domain.principal import AllTenants, Role
from cajanegra.errors import StorageError
from cajanegra.server.access import scope_of
from cajanegra.server.authentication import Authentication
from cajanegra.server.gateway.refusals import RefusalError, of_problem
from cajanegra.server.problems import ProblemError
from cajanegra.storage.keys import Key


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who makes a request.

    Attributes:
        tenant_id: on whose behalf; ``None`` where one who may see all names none.
        key: their key; ``None`` where the server has none.
    """

    tenant_id: str | None
    key: Key | None


class Callers:
    """Finds out who makes a request.

    Args:
        authentication: of the REST API.
    """

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication

    async def of(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Caller:
        """Who makes this request.

        Raises:
            RefusalError: nobody who may ask providers.
        """
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        text = token.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
        key = self._authentication.verification.recall("key", text) if text else None
        try:
            key = key or await self._slowly(scope, text)
            principal = self._authentication.principal(key)
            named = headers.get(b"x-cajanegra-tenant")
            found = scope_of(principal, None if named is None else named.decode("latin-1"))
        except ProblemError as error:
            raise of_problem(error) from None
        except StorageError:
            raise RefusalError(
                503,
                "the database with the keys does not answer; try again later",
                code="database_unavailable",
                headers=[(b"retry-after", b"5")],
            ) from None
        if not principal.may(Role.WRITER):
            raise RefusalError(
                403,
                f"this key has the role {principal.role}; asking providers needs {Role.WRITER}",
                code="permission_denied",
            )
        return Caller(None if isinstance(found, AllTenants) else found, key)

    async def _slowly(self, scope: Scope, text: str) -> Key | None:
        given = HTTPAuthorizationCredentials(scheme="Bearer", credentials=text) if text else None
        return await self._authentication.look_up(Request(scope), given, None)
