"""Answers that need not be sent again: entity tags (RFC 9110, section 8.8.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response

from cajanegra.server.problems import ProblemRoute

_SUCCESS = 200
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing has changed since the answer that `If-None-Match` names."}
}
"""For the ``responses=`` of a route."""


class ConditionalRoute(ProblemRoute):
    """A route whose answer carries an ``ETag`` and is left out where the caller has it already."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with its answer compared to what the caller has."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            response = await handle(request)
            if request.method != "GET" or response.status_code != _SUCCESS or not hasattr(response, "body"):
                return response
            tag = f'W/"{hashlib.sha256(response.body).hexdigest()[:32]}"'
            headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
            response.headers.update(headers)
            if tag in _tags(request.headers.get("if-none-match", "")):
                return Response(status_code=304, headers=headers)
            return response

        return answer


def _tags(header: str) -> set[str]:
    """The tags in a header, all as weak ones: with these it is asked whether a page means the same."""
    tags = (tag.strip() for tag in header.split(","))
    return {tag if tag.startswith("W/") else f"W/{tag}" for tag in tags}
