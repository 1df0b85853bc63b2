from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.record import CallRecord
from cajanegra.storage.fitting_columns import fit_seconds
from cajanegra.storage.rows import call_columns
from records import NOW, call_record

STRANGE = st.sampled_from(
    ["", "\0", "a\u2028b", "\ud800", "\x85", "tab\t", "line\nfeed", "\\N", "é" * 3_000, "x" * 60]
)
TEXTS = st.one_of(st.none(), st.just("plain"), STRANGE)
NUMBERS = st.one_of(st.none(), st.integers(0, 99), st.sampled_from([2**40, -(2**70), 1.5]))
METADATA = st.recursive(
    st.one_of(TEXTS, NUMBERS, st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner)),
    max_leaves=8,
)
DEEP: Any = {"a": "z"}
for _level in range(30):
    DEEP = {"a": [DEEP]}
OBJECTS = st.one_of(st.just({}), st.dictionaries(st.sampled_from("abc"), METADATA, max_size=3), st.just(DEEP))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@st.composite
def records(draw: st.DrawFn) -> CallRecord:
    known = {
        "module": draw(TEXTS),
        "user_id": draw(TEXTS),
        "error_message": draw(TEXTS),
        "tokens_used": draw(NUMBERS),
        "request_metadata": draw(OBJECTS),
        "response_metadata": draw(st.one_of(OBJECTS, st.just([1, 2]))),
        "created_at": draw(st.one_of(st.just(NOW.timestamp()), st.floats(0, NOW.timestamp()), st.just(1e99))),
    }
    return call_record(draw(st.text("ab-/", min_size=1, max_size=5)), **known)


@given(st.lists(records(), min_size=1, max_size=6))
def test_a_call_fits_among_others_as_it_fits_alone(calls: list[CallRecord]) -> None:
    together = call_columns(calls, NOW)
    for place, call in enumerate(calls):
        alone = call_columns([call], NOW)
        assert {name: column[place] for name, column in together.items()} == {
            name: column[0] for name, column in alone.items()
        }


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=4))
def test_times_are_told_to_the_microsecond(seconds: list[float]) -> None:
    texts, strange = fit_seconds(seconds, 0, 4e9, 0)
    assert strange == []
    for text, given_seconds in zip(texts, seconds, strict=True):
        assert len(text) == len("2026-11-24 12:00:00.000000")
        exact = EPOCH + timedelta(seconds=given_seconds)
        assert abs(datetime.fromisoformat(text).replace(tzinfo=UTC) - exact) <= timedelta(microseconds=1)
