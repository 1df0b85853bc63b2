from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.recording import plain


class Task(str, Enum):  # noqa: UP042 - hosts have such enums, and their str() is not their value
    CHAT = "chat"


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("not today")

    def __float__(self) -> float:
        raise RuntimeError("not today")


class HostileMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("not today")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("not today")

    def __len__(self) -> int:
        return 1


def test_text_is_the_value_of_a_string_and_the_words_of_anything_else() -> None:
    assert plain.text(None) is None
    assert plain.text("acme") == "acme"
    assert plain.text(Task.CHAT) == "chat"
    assert plain.text(42) == "42"
    assert plain.text(Hostile()) == "<Hostile>"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (1, 1),
        (0.3, 0.3),
        (Decimal("0.5"), 0.5),
        ("0.7", 0.7),
        ("hot", None),
        (Hostile(), None),
        ([], None),
    ],
)
def test_a_number_is_one_or_none(value: Any, expected: float | None) -> None:
    assert plain.number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (7, 7), (6.6, 7), ("8", 8), (float("nan"), None), (float("inf"), None), ("many", None)],
)
def test_a_whole_number_is_one_or_none(value: Any, expected: int | None) -> None:
    assert plain.whole(value) == expected


def test_json_is_a_copy() -> None:
    original = {"tags": ["a"], "nested": {"n": 1}}
    copy = plain.json(original)
    original["tags"].append("b")  # type: ignore[attr-defined]
    original["nested"]["n"] = 2  # type: ignore[index]
    assert copy == {"tags": ["a"], "nested": {"n": 1}}


def test_json_keeps_what_can_be_said_of_other_types() -> None:
    value = {
        "at": datetime(2026, 2, 16, 9, tzinfo=UTC),
        "path": Path("/tmp/x"),  # noqa: S108 - not opened
        "task": Task.CHAT,
        "view": MappingProxyType({"a": 1}),
        "set": {1},
        ("a", 1): "tuple key",
        "error": ValueError("bad"),
        "hostile": Hostile(),
        "mapping": HostileMapping(),
    }
    copy = plain.json(value)
    assert copy["task"] == "chat"
    assert copy["path"] == "/tmp/x"  # noqa: S108 - not opened
    assert copy["view"] == {"a": 1}
    assert copy["set"] == [1]
    assert copy["error"] == "bad"
    assert "('a', 1)" in copy
    json.dumps(copy)


def test_json_ends_where_a_value_holds_itself() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    json.dumps(plain.json({"endless": endless}))


def test_a_mapping_is_always_one() -> None:
    assert plain.mapping(None) == {}
    assert plain.mapping({"a": 1}) == {"a": 1}
    assert plain.mapping(["a"]) == {"value": ["a"]}
    assert plain.mapping("words") == {"value": "words"}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes()
    | st.decimals() | st.builds(Hostile) | st.builds(object),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers() | st.booleans(), inner),
    max_leaves=15,
)  # fmt: skip


@given(ANYTHING)
def test_anything_becomes_json(value: Any) -> None:
    json.dumps(plain.json(value))
    json.dumps(plain.mapping(value))
    assert isinstance(plain.text(value), str | None)
    assert isinstance(plain.number(value), int | float | None)
