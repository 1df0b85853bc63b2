"""Errors as problem details (RFC 9457), the same for every route."""

from __future__ import annotations

import http
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from cajanegra.errors import SchemaError, StorageError, UsageError

logger = logging.getLogger("cajanegra.server")

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER = 5
"""Seconds after which a database that is away is worth asking again."""


class FieldProblem(BaseModel):
    """What is wrong with one part of a request."""

    location: str = Field(description="Where: `query.limit`, `body.items.3.task`.", examples=["query.limit"])
    detail: str = Field(examples=["Input should be less than or equal to 500"])


class Problem(BaseModel):
    """Problem details as RFC 9457 has them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"type": "about:blank", "title": "Not Found", "status": 404}]}
    )

    type: str = Field("about:blank", description="Always `about:blank`: the status says what kind it is.")
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str | None = Field(None, description="What was wrong, and what to do about it.")
    request_id: str | None = Field(None, description="Of this HTTP request, to find it in the server's log.")
    errors: list[FieldProblem] | None = Field(None, description="With 422: each part that is wrong.")


class ProblemError(HTTPException):
    """A problem that a handler states itself.

    Args:
        status: HTTP status.
        detail: what was wrong and what to do about it, fit to be shown to the caller.
        headers: of the response, such as ``Retry-After``.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside its result, for its ``responses=`` in OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": http.HTTPStatus(status).phrase, "model": Problem, "content": content}
        for status in statuses
    }


class ProblemRoute(APIRoute):
    """A route whose errors are problem details in whatever application it is mounted."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with its errors answered."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:  # noqa: BLE001 - what is not known is answered with 500, and logged
                return problem_response(request, error)

        return answer


def answer_with_problems(app: FastAPI) -> None:
    """Make problem details of what fails outside the routes: unknown paths and methods, the unexpected."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_response(request, error)

    handler: Callable[[Request, Exception], Awaitable[Response]] = answer
    for kind in (HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, handler)


def problem_response(request: Request, error: Exception) -> Response:
    """The response that tells of an error."""
    request_id = request.scope.get("state", {}).get("request_id")
    status, detail, headers = told(error, request_id)
    body = Problem(
        type="about:blank",
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=request_id,
        errors=_fields(error.errors()) if isinstance(error, RequestValidationError) else None,
    )
    content = body.model_dump(exclude_none=True)
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def told(error: Exception, request_id: str | None) -> tuple[int, str | None, Mapping[str, str] | None]:
    """Status, detail and headers of the response to an error; the server's own fault is logged."""
    if isinstance(error, HTTPException):
        detail = error.detail if error.detail != http.HTTPStatus(error.status_code).phrase else None
        return error.status_code, detail, error.headers
    if isinstance(error, RequestValidationError):
        return 422, "the request is not as it must be; 'errors' says where", None
    if isinstance(error, UsageError):
        return 422, str(error), None
    if isinstance(error, StorageError):
        # Its words name the database, which is for the operator to read and not for the caller.
        logger.error("request %s: %s", request_id, error)
        state = "has not the tables of this version" if isinstance(error, SchemaError) else "does not answer"
        return 503, f"the database {state}; try again later", {"Retry-After": str(_RETRY_AFTER)}
    logger.error("request %s failed", request_id, exc_info=error)
    return 500, "the server failed; its log has the reason under this request_id", None


def _fields(errors: Sequence[Any]) -> list[FieldProblem]:
    """Where and what is wrong, without the values: they may be anything, secrets included."""
    return [
        FieldProblem(location=".".join(str(part) for part in error["loc"]), detail=error["msg"])
        for error in errors
    ]
