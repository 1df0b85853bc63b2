"""Answers that were asked for in JSON: whether they are, whether they match the schema, and mending them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cajanegra.domain.call import ChatRequest

NOT_JSON = object()
"""Stands for what is no JSON at all."""

_FORMATS = frozenset({"json_object", "json_schema"})
_MAX_REPAIRED = 200_000
"""Characters; longer texts are asked for again instead."""
_CLOSERS = {"{": "}", "[": "]"}


def wants_json(request: ChatRequest) -> bool:
    """Whether the application asked for an answer in JSON."""
    wanted = request.parameters.get("response_format")
    return isinstance(wanted, Mapping) and wanted.get("type") in _FORMATS


def schema_of(request: ChatRequest) -> Mapping[str, Any] | None:
    """The JSON schema that the answer is to match, if there is one."""
    wanted = request.parameters.get("response_format")
    described = wanted.get("json_schema") if isinstance(wanted, Mapping) else None
    schema = described.get("schema") if isinstance(described, Mapping) else None
    return schema if isinstance(schema, Mapping) and schema else None


def decode(data: bytes) -> Any:
    """The JSON value in ``data``, or ``NOT_JSON``."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(data)  # takes what strict parsers do not: lone surrogates, NaN
    except (ValueError, RecursionError):
        return NOT_JSON


def mismatch(value: Any, schema: Mapping[str, Any] | None) -> str | None:
    """Why a value does not match the schema, in words; ``None`` where it does, or the schema is none."""
    if schema is None:
        return None
    from jsonschema import validators
    from jsonschema.exceptions import SchemaError, UnknownType, best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = validators.validator_for(schema, validators.Draft202012Validator)
    try:
        # An empty registry: a schema that refers to an address on the network is not followed there.
        problem = best_match(validator(schema, registry=Registry()).iter_errors(value))
    except (
        SchemaError,
        UnknownType,
        Unresolvable,
        re.error,
        RecursionError,
        TypeError,
        ValueError,
        AttributeError,
    ):
        return None  # no schema that could be checked: the provider is taken at its word
    return f"{problem.json_path}: {problem.validator}" if problem is not None else None


def repaired(text: str, schema: Mapping[str, Any] | None) -> str | None:
    """The JSON that a slightly wrong text means, or ``None`` where that cannot be told for sure.

    Fences and words around it, wrong quotes, commas and the like are mended. What is cut off is not: nobody
    knows what was missing.
    """
    body = _whole_value(text) if len(text) <= _MAX_REPAIRED else None
    if body is None:
        return None
    value = decode(body.encode(errors="surrogatepass"))
    if value is NOT_JSON:
        from json_repair import repair_json

        try:
            value = repair_json(body, return_objects=True, skip_json_loads=True)
        except (ValueError, RecursionError, IndexError):
            return None
    if not isinstance(value, dict | list) or not value or mismatch(value, schema) is not None:
        return None
    if schema is None and not isinstance(value, dict):
        return None
    return json.dumps(value, ensure_ascii=False)


def _whole_value(text: str) -> str | None:
    """The one object or list in a text, from its first to its last bracket; ``None`` where it has no end."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    end = text.rfind(_CLOSERS[text[start]])
    if end < start or not _is_closed(text[start : end + 1]):
        return None
    rest = text[end + 1 :].strip()
    return text[start : end + 1] if not any(bracket in rest for bracket in "{}[]") else None


def _is_closed(body: str) -> bool:
    """Whether every bracket outside of strings has its partner, and the first one's is the very last."""
    opened: list[str] = []
    quoted = escaped = False
    for place, character in enumerate(body):
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in _CLOSERS:
            opened.append(_CLOSERS[character])
        elif character in "}]":
            if not opened or opened.pop() != character:
                return False
            if not opened and place < len(body) - 1:
                return False
    return not opened and not quoted
