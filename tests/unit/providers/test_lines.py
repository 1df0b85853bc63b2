from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cajanegra.providers.lines import Lines, ServerEvent, ServerEvents

bodies = st.text(alphabet="ab:\r\n {é", max_size=60).map(str.encode)
cuts = st.lists(st.integers(min_value=0, max_value=80), max_size=8)


def pieces(body: bytes, where: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(place, len(body)) for place in where), len(body)]
    return [body[begin:end] for begin, end in pairwise(bounds)]


@given(bodies, cuts)
def test_lines_are_the_same_however_the_body_is_cut(body: bytes, where: list[int]) -> None:
    lines = Lines()
    found = [line for piece in pieces(body, where) for line in lines.feed(piece)] + lines.close()
    assert found == body.splitlines()


@given(st.lists(st.text(alphabet="xyz {}", min_size=1, max_size=8), max_size=5), cuts)
def test_events_are_the_same_however_the_body_is_cut(data: list[str], where: list[int]) -> None:
    body = "".join(f"data: {item}\n\n" for item in data).encode()
    events = ServerEvents()
    found = [event for piece in pieces(body, where) for event in events.feed(piece)] + events.close()
    assert found == [ServerEvent("message", item.encode()) for item in data]


@given(
    st.lists(st.sampled_from(["data: ", "data:", "x", "\n", "\n\n", "\r\n", "\r", "event: e", ": c"])), cuts
)
def test_any_body_has_the_same_events_in_large_pieces_as_byte_by_byte(
    parts: list[str], where: list[int]
) -> None:
    body = "".join(parts).encode()
    large, small = ServerEvents(), ServerEvents()
    found = [event for piece in pieces(body, where) for event in large.feed(piece)] + large.close()
    each = [event for byte in body for event in small.feed(bytes([byte]))] + small.close()
    assert found == each


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_arbitrary_bytes_are_taken(garbage: list[bytes]) -> None:
    events = ServerEvents()
    for piece in garbage:
        events.feed(piece)
    assert all(isinstance(event, ServerEvent) for event in events.close())


def test_events_may_have_names_comments_several_lines_and_no_space() -> None:
    events = ServerEvents()
    assert events.feed(b": keep-alive\n\nevent: error\ndata:one\ndata: two\nid: 7\n\ndata: x\n\n") == [
        ServerEvent("error", b"one\ntwo"),
        ServerEvent("message", b"x"),
    ]


def test_an_event_without_its_last_blank_line_counts() -> None:
    events = ServerEvents()
    assert events.feed(b"data: [DONE]") == []
    assert events.close() == [ServerEvent("message", b"[DONE]")]
