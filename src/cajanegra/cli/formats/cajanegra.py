"""What ``cajanegra logs export`` writes: the columns of ``ai_request_logs``, and the steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cajanegra.cli.formats import cells
from cajanegra.cli.lines import Cells
from cajanegra.domain.spreadsheet import unescaped

_OWN = frozenset(
    {"provider_used", "provider_model", "error_code", "prompt_length", "prompt_hash", "request_metadata"}
)
_JSON = ("request_metadata", "response_metadata", "steps", "content")


def recognises(names: Collection[str]) -> bool:
    """Whether there is a column that nobody else has."""
    return not _OWN.isdisjoint(names)


def item(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The object as it is; of CSV, without what protects spreadsheets."""
    if not isinstance(fields, Cells):
        return dict(fields)
    found: dict[str, Any] = {name: unescaped(text) for name, text in fields.items()}
    return found | {name: cells.decoded(found[name]) for name in _JSON if name in found}
