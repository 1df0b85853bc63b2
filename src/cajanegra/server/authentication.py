"""Who makes a request: by a key, a browser's session, or, where there are no keys, from the same machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from cajanegra.domain.principal import ALL_TENANTS, Principal, Role
from cajanegra.server import origins
from cajanegra.server.failed_attempts import FailedAttempts
from cajanegra.server.metrics import Metrics
from cajanegra.server.problems import ProblemError
from cajanegra.server.verification import Kind, Verification
from cajanegra.settings import Server
from cajanegra.storage.keys import Key

Answer = TypeVar("Answer")
Given = TypeVarTuple("Given")

COOKIE = "cajanegra_session"
_THREADS = 4
"""Threads of its own, so that nobody waits for slow queries of others to be let in."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL = Principal(ALL_TENANTS, Role.ADMIN, "loopback")

_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="`cajanegra keys create` makes one.")
_cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="session", description="`POST /api/v1/session` gives it."
)


class Authentication:
    """The dependency that says who makes a request.

    Args:
        settings: of the server.
        verification: knows which keys hold.
        attempts: who has failed too often.
        metrics: where keys that do not hold are counted.
    """

    def __init__(
        self, settings: Server, verification: Verification, attempts: FailedAttempts, metrics: Metrics
    ) -> None:
        self.verification = verification
        self._settings = settings
        self._attempts = attempts
        self._metrics = metrics
        self._may_be_keyless = origins.is_loopback(settings.host)
        self._threads = CapacityLimiter(_THREADS)

    async def __call__(
        self,
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        session: Annotated[str | None, Depends(_cookie)],
    ) -> Principal:
        """Who makes this request.

        Raises:
            ProblemError: 401 without a valid key, 403 from another site's page, 429 after too many failures.
        """
        # For answers that go on for long: raises once the caller may not see them any more.
        request.state.cajanegra_recheck = partial(self, request, bearer, session)
        if bearer is not None and (key := self.verification.recall("key", bearer.credentials)):
            return key.principal
        return self.principal(await self.look_up(request, bearer, session))

    async def look_up(
        self, request: Request, bearer: HTTPAuthorizationCredentials | None, session: str | None
    ) -> Key | None:
        """The key of a caller whose key is not recalled; ``None`` for one from this machine who needs none.

        Raises:
            ProblemError: as above.
        """
        if await self.is_keyless():
            self._require_local(request)
            return None
        if bearer is not None:
            return await self.key(request, bearer.credentials)
        if session is not None:
            return await self._session(request, session)
        raise _unauthorized("give a key: 'Authorization: Bearer <key>'")

    def principal(self, key: Key | None) -> Principal:
        """Who has a key, or needs none."""
        return _LOCAL if key is None else key.principal

    async def is_keyless(self) -> bool:
        """Whether nobody needs a key: there is none, and the server listens to this machine alone."""
        if not self._may_be_keyless:
            return False
        known = self.verification.recall_keyless()
        return await self._ask(self.verification.is_keyless) if known is None else known

    async def key(self, request: Request, text: str) -> Key:
        """The key that a caller has given.

        Raises:
            ProblemError: it does not hold, or the caller has failed too often.
        """
        return await self._verified(request, "key", text, "the key is unknown, expired or revoked")

    def require_own_page(self, headers: Headers, *, required: bool) -> None:
        """Refuse what the page of another site asks for.

        Raises:
            ProblemError: 403.
        """
        if not origins.is_own_page(headers, self._settings.cors_origins, required=required):
            raise ProblemError(403, "a page of another origin must not ask this ([server] cors_origins)")

    async def _session(self, request: Request, token: str) -> Key:
        if request.method not in _SAFE:
            self.require_own_page(request.headers, required=True)
        if key := self.verification.recall("session", token):
            return key
        return await self._verified(request, "session", token, "the session has ended; give the key again")

    async def _verified(self, request: Request, kind: Kind, secret: str, otherwise: str) -> Key:
        """The key behind a secret; only who sends one that did not hold lately has to be patient."""
        address = _address(request)
        wait = self._attempts.wait(address)
        if wait and not self.verification.was_seen(kind, secret):
            detail = f"too many keys that do not hold; try again in {wait} s"
            raise ProblemError(429, detail, {"Retry-After": str(wait)})
        key = await self._ask(self.verification.verify, kind, secret)
        if key is None:
            self._attempts.note(address)
            self._metrics.refused_keys.inc()
            raise _unauthorized(otherwise)
        return key

    async def _ask(self, question: Callable[[*Given], Answer], *given: *Given) -> Answer:
        return await to_thread.run_sync(question, *given, limiter=self._threads)

    def _require_local(self, request: Request) -> None:
        headers = request.headers
        called_so = origins.is_loopback(origins.host_of(headers))
        if not called_so or not origins.is_loopback(_address(request)) or origins.is_forwarded(headers):
            raise ProblemError(
                403,
                "without any key the server answers on this machine alone; 'cajanegra keys create' makes one",
            )
        self.require_own_page(headers, required=False)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(401, detail, {"WWW-Authenticate": 'Bearer realm="cajanegra"'})
