"""What a client sends: its body within limits, its headers, and the call that both ask for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.types import Receive

from cajanegra.domain.call import CallInfo, ChatCall, ChatRequest, Message, Operation
from cajanegra.patience import Patience
from cajanegra.providers.json_answers import NOT_JSON, decode
from cajanegra.server.gateway.refusals import RefusalError

BODY_IDLE = 30.0
"""Seconds that a body may pause."""
BODY_TIMEOUT = 300.0
"""Seconds that it may take."""
LONGEST_MODEL = 256
"""Characters."""
_LONGEST_TIMEOUT = 86_400.0
_LONGEST_HEADER = 1_024
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CLOSE = [(b"connection", b"close")]

RawHeaders = Mapping[bytes, bytes]


class ClientGoneError(Exception):
    """The client has left before its request was complete, or no longer reads its answer."""


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A request that can be answered.

    Attributes:
        call: what is asked.
        model: the name that is asked for.
        streamed: whether the answer is wanted piece by piece.
        is_recorded: whether the caller writes the call down itself.
    """

    call: ChatCall
    model: str
    streamed: bool
    is_recorded: bool


async def read_body(receive: Receive, most: int) -> bytes:
    """The whole body.

    Raises:
        RefusalError: it is longer than ``most`` bytes, or does not come in time.
        ClientGoneError: it will never come.
    """
    loop = asyncio.get_running_loop()
    latest = loop.time() + BODY_TIMEOUT
    pieces: list[bytes] = []
    size = 0
    patience = Patience()
    try:
        while True:
            with patience.until(min(loop.time() + BODY_IDLE, latest)):
                message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            piece = message.get("body", b"")
            size += len(piece)
            if size > most:
                text = f"the body may have {most} bytes ([server] max_body_bytes)"
                raise RefusalError(413, text, code="payload_too_large", headers=_CLOSE)
            if not message.get("more_body"):
                return b"".join([*pieces, piece]) if pieces else piece
            pieces.append(piece)
    except TimeoutError:
        text = f"the body paused for more than {BODY_IDLE:.0f} s"
        raise RefusalError(408, text, code="body_timeout", headers=_CLOSE) from None
    finally:
        patience.close()


def incoming(
    operation: Operation, body: bytes, headers: RawHeaders, *, tenant_id: str | None, key: str, new_id: str
) -> Incoming:
    """The request in a body.

    Args:
        operation: what the path asks for.
        body: JSON.
        headers: of the request, in lower case.
        tenant_id: on whose behalf.
        key: the beginning of the caller's key, for the record; empty where there is none.
        new_id: the call's id, unless the caller gives one.

    Raises:
        RefusalError: something in it cannot mean anything.
    """
    values = decode(body)
    if not isinstance(values, dict):
        what = "is not JSON" if values is NOT_JSON else "is not a JSON object"
        raise _wrong(f"the body {what}; send what the API reference of OpenAI shows", None)
    model = values.pop("model", None)
    if not isinstance(model, str) or not 0 < len(model) <= LONGEST_MODEL:
        raise _wrong(
            "'model' is missing: name an alias, provider/model or a model; GET /v1/models lists them",
            "model",
        )
    streamed = values.pop("stream", None) or False
    if not isinstance(streamed, bool):
        raise _wrong("'stream' is true or false", "stream")
    if streamed and operation is Operation.EMBEDDINGS:
        raise _wrong("embeddings are not streamed", "stream")
    request, prompt = _request(operation, values)
    user = _text(headers, b"x-cajanegra-user") or values.get("user")
    info = CallInfo(
        _text(headers, b"x-cajanegra-task") or operation.value,
        _request_id(headers) or new_id,
        tenant_id,
        _text(headers, b"x-cajanegra-module"),
        user if isinstance(user, str) else None,
        {"key": key} if key else None,
    )
    call = ChatCall(prompt, request, info, model, _timeout(headers))
    return Incoming(call, model, streamed, headers.get(b"x-cajanegra-recorded") == b"1")


def _request(
    operation: Operation, values: dict[str, Any]
) -> tuple[ChatRequest, str | Sequence[Message] | None]:
    """What is sent on, and the prompt in it."""
    if operation is not Operation.CHAT:
        field = "prompt" if operation is Operation.COMPLETIONS else "input"
        if field not in values and not (operation is Operation.RESPONSES and "prompt" in values):
            raise _wrong(f"{field!r} is missing", field)
        return ChatRequest((), None, None, values, operation=operation, raw=True), _prompt(values, field)
    messages = values.pop("messages", None)
    if not isinstance(messages, list) or not messages:
        raise _wrong("'messages' is a list with at least one message", "messages")
    if not all(isinstance(message, dict) for message in messages):
        raise _wrong("each of 'messages' is an object with role and content", "messages")
    temperature, max_tokens = values.pop("temperature", None), values.pop("max_tokens", None)
    if temperature is not None and (
        isinstance(temperature, bool) or not isinstance(temperature, int | float)
    ):
        raise _wrong("'temperature' is a number", "temperature")
    if max_tokens is not None and (isinstance(max_tokens, bool) or not isinstance(max_tokens, int)):
        raise _wrong("'max_tokens' is a whole number", "max_tokens")
    return ChatRequest(messages, temperature, max_tokens, values, raw=True), messages


def _prompt(values: Mapping[str, Any], field: str) -> str | Sequence[Message] | None:
    """The text of a prompt that is a text, a list of texts, or a list of items; tokens have none."""
    given = values.get(field)
    if isinstance(given, str):
        return given
    items = given if isinstance(given, list) else []
    messages = [{"content": item} if isinstance(item, str) else item for item in items]
    if not messages or not all(isinstance(message, dict) for message in messages):
        return None
    said = values.get("instructions")
    return [{"content": said}, *messages] if isinstance(said, str) else messages


def _request_id(headers: RawHeaders) -> str | None:
    given = _text(headers, b"x-cajanegra-request-id")
    if given is not None and not _REQUEST_ID.fullmatch(given):
        raise _wrong("X-Cajanegra-Request-Id is 1 to 128 of A-Z, a-z, 0-9, '.', '_', ':' and '-'", None)
    return given


def _timeout(headers: RawHeaders) -> float | None:
    given = _text(headers, b"x-cajanegra-timeout")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise _wrong(
            f"X-Cajanegra-Timeout is the call's deadline in seconds, up to {_LONGEST_TIMEOUT:.0f}", None
        )
    return seconds


def _text(headers: RawHeaders, name: bytes) -> str | None:
    """A header's value; an empty one is as if it were not there."""
    value = headers.get(name)
    if not value:
        return None
    if len(value) > _LONGEST_HEADER:
        raise _wrong(f"{name.decode()} may have {_LONGEST_HEADER} bytes", None)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _wrong(message: str, param: str | None) -> RefusalError:
    return RefusalError(400, message, code="invalid_request", param=param)
