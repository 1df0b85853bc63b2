"""Hands requests below a path to an application of their own, past everything that the REST API needs."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class Dispatch:
    """ASGI middleware that looks at the path alone.

    Args:
        app: gets what nobody else is for.
        by_prefix: applications by the beginning of their paths, such as ``/v1/``; they see the whole path.
    """

    def __init__(self, app: ASGIApp, by_prefix: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._by_prefix = tuple(by_prefix.items())

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request on."""
        app = self._app
        if scope["type"] == "http":
            path: str = scope["path"]
            for prefix, other in self._by_prefix:
                if path.startswith(prefix):
                    app = other
                    break
        return app(scope, receive, send)
