"""``POST /``: calls that programs in other languages have recorded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from cajanegra.domain.principal import AllTenants
from cajanegra.domain.record import CallRecord
from cajanegra.errors import StorageError, UsageError
from cajanegra.recording.items import Item, content_id, read_item
from cajanegra.server.access import Access, Writer
from cajanegra.server.api.models import CALL, Ingested, Rejected
from cajanegra.server.problems import ProblemError, ProblemRoute, responses
from cajanegra.storage.fitting import fit_identity
from cajanegra.storage.writes import Store

logger = logging.getLogger("cajanegra.server")

MAX_BODY = 16 * 2**20
MAX_ITEMS = 10_000
MAX_ITEM = 4 * 2**20
"""Bytes of one call; more is one event than the recorder's spool takes."""
_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_NO_ROOM = "the calls cannot be kept now; hand them all in again, those that were kept change nothing"

router = APIRouter(route_class=ProblemRoute, tags=["calls"])


def _inlined(schema: Any, components: Mapping[str, Any]) -> Any:
    """A schema without references: a host's document has no place for components that are not pydantic's."""
    if isinstance(schema, list):
        return [_inlined(part, components) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(components[schema["$ref"]], components)
    return {key: _inlined(part, components) for key, part in schema.items()}


_references, _components = msgspec.json.schema_components([Item], ref_template="{name}")
_schema = _inlined(_references[0], _components)
_EXAMPLE = {name: CALL[name] for name in ("request_id", "task", "provider_used", "status", "tokens_used")}
_REQUEST_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    _schema,
                    {
                        "type": "object",
                        "required": ["items"],
                        "additionalProperties": False,
                        "properties": {
                            "items": {"type": "array", "items": _schema, "maxItems": MAX_ITEMS},
                        },
                    },
                ]
            },
            "examples": {
                "one": {"summary": "One call", "value": _EXAMPLE},
                "many": {"summary": "Several calls", "value": {"items": [_EXAMPLE]}},
            },
        },
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "One call a line."},
            "example": '{"request_id": "r-1", "provider_used": "openai", "status": "success"}\n',
        },
    },
}


@router.post(
    "",
    status_code=202,
    responses=responses(413, 415),
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def take_calls(request: Request, access: Writer) -> Ingested:
    """Hand in calls that another program has recorded: one object, `{"items": [...]}`, or NDJSON.

    An item has the columns of `ai_request_logs`, `steps` and `content`, all of them optional but for who was
    asked or what failed. What is accepted is kept, whatever happens to this server. Calls are known by their
    `request_id`: handing one in again changes nothing. One without an id is known by its content where that
    says when the call began (`created_at`), and is a new call otherwise.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", *_LINES) or request.headers.get("content-encoding"):
        raise ProblemError(415, f"send application/json or {_LINES[0]}, not compressed")
    return await run_in_threadpool(_take, access, await _body(request), are_lines=kind in _LINES)


def _take(access: Access, body: bytes, *, are_lines: bool) -> Ingested:
    given = [line for line in body.splitlines() if line.strip()] if are_lines else _items(body)
    if len(given) > MAX_ITEMS:
        raise ProblemError(413, f"at most {MAX_ITEMS:,} calls can be handed in at a time, not {len(given):,}")
    records: list[CallRecord] = []
    rejected: list[Rejected] = []
    for index, text in enumerate(given):
        try:
            item = _item(access, bytes(text))
            with access.context.ingesting() as ingest:
                records.append(ingest.record(item))
        except UsageError as error:
            rejected.append(Rejected(index=index, detail=str(error)))
    known = _known(access, records)
    recorder = access.recorder
    kept = [recorder.take(record) for record in records]
    if not all(kept) or (records and not recorder.is_durable and not recorder.flush()):
        raise ProblemError(503, _NO_ROOM, {"Retry-After": "5"})
    return Ingested(accepted=len(records) - known, duplicates=known, rejected=rejected)


async def _body(request: Request) -> bytes:
    """The body, which a host's own server may not have limited."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise ProblemError(413, f"the body may have {MAX_BODY:,} bytes")
    return bytes(body)


def _items(body: bytes) -> list[bytes]:
    """The items of a JSON body, each as it stands there."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "items" not in fields:
            return [body]
        if len(fields) > 1:
            raise UsageError("beside 'items' nothing else is expected")
        return [bytes(raw) for raw in msgspec.json.decode(fields["items"], type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UsageError('the body is no JSON object; send one call, {"items": [...]}, or NDJSON') from None


def _item(access: Access, text: bytes) -> Item:
    if len(text) > MAX_ITEM:
        raise UsageError(f"it has {len(text):,} bytes; a call may have {MAX_ITEM:,}")
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UsageError("it is no JSON") from None
    if not isinstance(fields, dict):
        raise UsageError("it is no JSON object")
    if fields.get("request_id") in (None, "") and fields.get("created_at") is not None:
        fields["request_id"] = content_id(fields)
    if isinstance(access.scope, AllTenants):
        return read_item(fields)
    if isinstance(fields.get("tenant_id"), str):
        fields["tenant_id"] = fit_identity(fields["tenant_id"])
    return read_item(fields, access.scope)


def _known(access: Access, records: list[CallRecord]) -> int:
    try:
        return Store(access.database).count_known(records)
    except StorageError as error:  # what is kept is safe all the same
        logger.warning("calls that were handed in are not compared with those in the database: %s", error)
        return 0
