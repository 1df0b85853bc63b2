"""The gateway as an ASGI application of its own, past everything that the REST API needs: the hot path."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from cajanegra import cohort
from cajanegra.domain.call import Operation
from cajanegra.domain.ids import uuid7
from cajanegra.server.departure import departure_of
from cajanegra.server.gateway.answering import Exchange, answer
from cajanegra.server.gateway.callers import Callers
from cajanegra.server.gateway.incoming import ClientGoneError, incoming, read_body
from cajanegra.server.gateway.limits import Limits
from cajanegra.server.gateway.permission import is_listed, permitted
from cajanegra.server.gateway.refusals import Headers, RefusalError, refuse, send_json
from cajanegra.server.gateway.upstream import Upstream

_OPERATIONS = {
    "/v1/chat/completions": Operation.CHAT,
    "/v1/completions": Operation.COMPLETIONS,
    "/v1/embeddings": Operation.EMBEDDINGS,
    "/v1/responses": Operation.RESPONSES,
}
_MODELS = "/v1/models"


@dataclass(frozen=True, slots=True)
class _Named:
    """What the metrics call a request."""

    __name__: str


_ENDPOINTS = {path: _Named(f"gateway_{operation}") for path, operation in _OPERATIONS.items()}
_LISTING = _Named("gateway_models")


class Gateway:
    """Answers everything below ``/v1/``.

    Args:
        upstream: the providers.
        callers: knows who asks.
        limits: of the keys.
        max_body_bytes: what a body may have.
    """

    def __init__(self, upstream: Upstream, callers: Callers, limits: Limits, *, max_body_bytes: int) -> None:
        self._upstream = upstream
        self._callers = callers
        self._limits = limits
        self._max_body_bytes = max_body_bytes
        self._retiring: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        member = cohort.join()
        try:
            await self._respond(scope, receive, send)
        except RefusalError as error:
            await refuse(scope, send, error)
        except ClientGoneError:
            return
        finally:
            cohort.leave(member)

    def retry_budgets(self) -> list[tuple[str, str | None, float]]:
        """See ``Upstream.retry_budgets``; for the thread on which the gateway answers."""
        return self._upstream.retry_budgets()

    def use(self, upstream: Upstream) -> None:
        """Ask these providers from now on; requests under way end with those that they began with."""
        before, self._upstream = self._upstream, upstream
        task = asyncio.create_task(before.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def aclose(self) -> None:
        """Close every connection."""
        for task in self._retiring:
            task.cancel()
        await self._limits.aclose()
        await self._upstream.aclose()

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        operation = _OPERATIONS.get(path)
        if operation is None:
            await self._respond_otherwise(scope, send)
            return
        scope["endpoint"] = _ENDPOINTS[path]
        _require_method(method, "POST")
        headers = dict(scope["headers"])
        caller = await self._callers.of(scope, headers)
        body = await read_body(receive, self._max_body_bytes)
        await cohort.next_stage()
        key = caller.key
        request = incoming(
            operation,
            body,
            headers,
            tenant_id=caller.tenant_id,
            key=key.prefix if key is not None else "",
            new_id=_call_id(scope, headers),
        )
        await cohort.next_stage()
        upstream = self._upstream
        targets = permitted(upstream, request.model, operation, key)
        if key is not None and key.limits is not None:
            await self._limits.admit(key)
        upstream.enter()
        try:
            departure = departure_of(scope, receive)
            await answer(Exchange(upstream, request, targets, key, self._limits, departure, send))
        finally:
            upstream.leave()

    async def _respond_otherwise(self, scope: Scope, send: Send) -> None:
        path = scope["path"].rstrip("/")
        if path != _MODELS and not path.startswith(f"{_MODELS}/"):
            known = ", ".join([*_OPERATIONS, _MODELS])
            raise RefusalError(404, f"there is no {path}; there is {known}", code="unknown_url")
        scope["endpoint"] = _LISTING
        _require_method(scope["method"], "GET")
        caller = await self._callers.of(scope, dict(scope["headers"]))
        found = [
            {"id": name, "object": "model", "created": 0, "owned_by": owner}
            for name, owner in self._upstream.models()
            if is_listed(self._upstream, name, caller.key)
        ]
        if path == _MODELS:
            await send_json(send, 200, msgspec.json.encode({"object": "list", "data": found}))
            return
        wanted = path[len(_MODELS) + 1 :]
        one = next((model for model in found if model["id"] == wanted), None)
        if one is None:
            raise RefusalError(404, "there is no such model", code="model_not_found", param="model")
        await send_json(send, 200, msgspec.json.encode(one))


def _require_method(method: str, wanted: str) -> None:
    if method != wanted:
        allow: Headers = [(b"allow", wanted.encode())]
        raise RefusalError(
            405, f"this takes {wanted}, not {method}", code="method_not_allowed", headers=allow
        )


def _call_id(scope: Scope, headers: dict[bytes, bytes]) -> str:
    """The id of the HTTP request where the server gave it: one from elsewhere may stand for several calls."""
    given: Any = None if b"x-request-id" in headers else scope.get("state", {}).get("request_id")
    return given or uuid7()
