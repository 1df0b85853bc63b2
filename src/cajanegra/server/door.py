"""What every request passes on its way in and out: its id, the access log, limits, security headers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cajanegra.domain.ids import uuid7
from cajanegra.server import origins
from cajanegra.server.gateway.refusals import GATEWAY, of_problem, refuse
from cajanegra.server.problems import ProblemError, problem_response, told
from cajanegra.server.visits import Visit, Visits
from cajanegra.settings import Server

_Header = tuple[bytes, bytes]

_ID = b"x-request-id"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Set where a response does not say otherwise itself."""
_OF_PAGES = (
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""The same, for what a browser could show. The gateway answers programs, with JSON and events alone, and each
header costs its requests half a percent."""
_OF_OTHERS = (*_SECURITY, *_OF_PAGES)


class Door:
    """ASGI middleware around everything that the server answers.

    Args:
        app: what is behind it.
        settings: of the server.
        visits: where requests are noted that have ended.
        clock: seconds since the Unix epoch.
        timer: seconds of a monotonic clock.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Server,
        visits: Visits,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._settings = settings
        self._visits = visits
        self._clock = clock
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in and its response out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(_ID, b"")
        request_id = given.decode() if given and _REQUEST_ID.fullmatch(given) else uuid7()
        scope.setdefault("state", {})["request_id"] = request_id
        security = _SECURITY if scope["path"].startswith(GATEWAY) else _OF_OTHERS
        began, status, size = self._timer(), 0, 0

        async def send_on(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _completed(message.get("headers", ()), request_id, security)
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            if refusal := self._refusal(scope, headers):
                await _tell(scope, receive, send_on, refusal)
            else:
                await self._app(scope, receive, send_on)
        except (
            Exception
        ) as error:  # the REST API's are answered by its own layers, and come here all the same
            if status:
                raise
            await _tell(scope, receive, send_on, error)
        finally:
            self._visits.note(
                Visit(
                    self._clock(),
                    _address(scope),
                    scope["method"],
                    scope.get("raw_path", b"").decode("ascii", "backslashreplace"),
                    _operation(scope),
                    status,
                    size,
                    self._timer() - began,
                    request_id,
                )
            )

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> ProblemError | None:
        """Why a request is turned away before anybody looks at it."""
        allowed = self._settings.allowed_hosts
        if allowed and not origins.is_allowed_host(origins.host_of(Headers(scope=scope)), allowed):
            return ProblemError(421, "the server is not called by this name ([server] allowed_hosts)")
        length = headers.get(b"content-length", b"0")
        most = self._settings.max_body_bytes
        if length.isdigit() and int(length[:20]) > most:
            return ProblemError(413, f"the body may have {most} bytes ([server] max_body_bytes)")
        return None


async def _tell(scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    """Answer with an error, in the form of those who are asked there."""
    if scope["path"].startswith(GATEWAY):
        status, detail, headers = told(error, scope["state"]["request_id"])
        await refuse(scope, send, of_problem(ProblemError(status, detail or "", headers)))
    else:
        await problem_response(Request(scope), error)(scope, receive, send)


def _completed(given: Iterable[_Header], request_id: str, security: Iterable[_Header]) -> list[_Header]:
    """The headers of a response, with what every response has."""
    headers = [*given]
    names = {name for name, _value in headers}
    if _ID in names:
        headers = [one for one in headers if one[0] != _ID]
    headers.append((_ID, request_id.encode()))
    headers += [one for one in security if one[0] not in names]
    return headers


def _operation(scope: Scope) -> str:
    """What was asked for, in a word of ours: a path would have any number of values."""
    return getattr(scope.get("endpoint"), "__name__", "other")


def _address(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "-"
