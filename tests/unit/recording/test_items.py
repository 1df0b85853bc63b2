"""Items that are handed in: what is taken, and what is told of what is not."""

from __future__ import annotations

from typing import Any

import pytest

from cajanegra.errors import UsageError
from cajanegra.recording.items import content_id, read_item, seconds


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "says neither who was asked"),
        ({"provider_used": "openai", "status": "failed"}, "status: 'failed' is none; choose one of success"),
        ({"provider_used": "openai", "tennant_id": "acme"}, "did you mean 'tenant_id'?"),
        ({"provider_used": "openai", "steps": [{"strategy": "retry"}]}, r"did you mean 'strategy_name'\?"),
        ({"provider_used": "openai", "steps": [{}]}, "steps.*required field `strategy_name`"),
        ({"provider_used": "openai", "prompt_length": "many"}, "prompt_length: expected `int"),
        ({"provider_used": "openai", "created_at": "yesterday"}, "created_at: 'yesterday' is not a time"),
        ({"provider_used": "openai", "content": {"prompt": 7}}, "content.prompt"),
        (
            {"provider_used": "openai", "steps": [{"strategy_name": "retry", "created_at": "noon"}]},
            r"steps\[0\].created_at: 'noon' is not a time",
        ),
        ({"provider_used": "openai", "tenant_id": "globex"}, "belongs to 'globex', not to 'acme'"),
        ({"provider_used": "openai", "steps": [{"strategy_name": "retry"}] * 1001}, "at most 1000"),
    ],
)
def test_what_is_wrong_with_an_item_is_told(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_item(fields, "acme")


def test_an_item_without_a_tenant_becomes_the_tenants() -> None:
    assert read_item({"error_message": "timed out"}, "acme").tenant_id == "acme"
    assert read_item({"error_message": "timed out"}).tenant_id is None


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-24T10:00:00Z",
        "2026-11-24T10:00:00",
        "2026-11-24 10:00:00.000000",
        "2026-11-24 10:00:00+00",
        "2026-11-24T12:00:00+02:00",
        1795514400,
        1795514400.0,
        1795514400000,
        " 1795514400 ",
        "1795514400000.0",
    ],
)
def test_times_are_read_in_any_of_their_forms(value: str | float) -> None:
    assert seconds(value, "created_at") == 1795514400


def test_equal_contents_have_equal_ids_whatever_their_order() -> None:
    assert content_id({"a": 1, "b": {"c": 2}}) == content_id({"b": {"c": 2}, "a": 1})
    assert content_id({"a": 1}) != content_id({"a": 2})
