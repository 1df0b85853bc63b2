"""The world is fixed by its seed, leaves somebody to ask, and tells right answers from wrong ones."""

from __future__ import annotations

import dataclasses
import json

import pytest
from benchmarks.recovery.calls import DEADLINE, Call, answer_to, make_call, tokens_of
from benchmarks.recovery.scenarios import SCENARIOS, make_world
from benchmarks.recovery.world import DEAD, LIMITED, ONLY_JSON, Kind, Shape
from hypothesis import given
from hypothesis import strategies as st

from fault_world import always, call, world_with

SCENARIO_NAMES = st.sampled_from(sorted(SCENARIOS))
SEEDS = st.integers(0, 2**31)


def conversation() -> Call:
    return make_call(7, 3, 0, as_json=False, streamed=False, size="conversation", tokens=4000)


@given(
    SCENARIO_NAMES, SEEDS, st.integers(0, 2), st.floats(-5, 120), st.integers(0, 5000), st.integers(1, 20_000)
)
def test_what_a_request_meets_depends_on_nothing_but_the_seed_and_the_time(
    name: str, seed: int, provider: int, at: float, number: int, tokens: int
) -> None:
    first = make_world(name, seed, rate=0.1).fault(provider, at, number, Shape(tokens, as_json=True))
    again = make_world(name, seed, rate=0.1).fault(provider, at, number, Shape(tokens, as_json=True))
    assert first == again
    if at < 0:
        assert first is None
    if first is not None and first.kind in LIMITED:
        assert 0 < first.amount <= 60


def test_another_seed_is_another_world() -> None:
    assert make_world("storm", 1).episodes != make_world("storm", 2).episodes
    assert make_world("storm", 1).episodes == make_world("storm", 1).episodes


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whoever_knows_everything_answers_nearly_every_call(name: str, seed: int) -> None:
    world = make_world(name, seed, rate=5)
    patient = [one for one in world.calls if one.deadline == DEADLINE]
    finishes = [(one, world.earliest(one)) for one in patient]
    served = [finish - one.arrival for one, finish in finishes if finish is not None]
    assert len(served) >= 0.98 * len(patient)
    assert all(0 < seconds <= DEADLINE for seconds in served)


@given(SEEDS)
def test_a_dead_provider_is_never_the_only_one(seed: int) -> None:
    episodes = make_world("dead", seed, rate=0.1).episodes
    for one in episodes:
        alive = {0, 1, 2} - {other.provider for other in episodes if other.start <= one.start < other.end}
        assert alive


def test_every_fault_is_met_somewhere() -> None:
    met = {
        kind
        for name in SCENARIOS
        for seed in range(8)
        for one in make_world(name, seed, rate=0.1).episodes
        for kind in one.kinds
    }
    assert met == set(Kind)


def test_faults_of_json_answers_leave_other_calls_alone() -> None:
    world = world_with(always(Kind.NOT_JSON))
    assert world.fault(0, 1, 1, Shape(10, as_json=False)) is None
    assert world.fault(0, 1, 1, Shape(10, as_json=True)) is not None


def test_a_window_turns_down_what_is_larger_only() -> None:
    world = world_with(always(Kind.WINDOW, amount=100))
    assert world.fault(0, 1, 1, Shape(100, as_json=False)) is None
    assert world.fault(0, 1, 1, Shape(101, as_json=False)) is not None


@pytest.mark.parametrize(
    ("kind", "offending", "innocent"),
    [
        (Kind.TEMPERATURE, Shape(1, as_json=False, temperature=True), Shape(1, as_json=True, max_tokens=50)),
        (
            Kind.MAX_TOKENS,
            Shape(1, as_json=False, max_tokens=20_000),
            Shape(1, as_json=True, temperature=True, max_tokens=16_384),
        ),
        (Kind.NO_SCHEMA, Shape(1, as_json=True), Shape(1, as_json=False, temperature=True, max_tokens=50)),
    ],
)
def test_a_parameter_is_rejected_only_where_it_is_given(
    kind: Kind, offending: Shape, innocent: Shape
) -> None:
    world = world_with(always(kind, amount=16_384))
    assert world.fault(0, 1, 1, offending) is not None
    assert world.fault(0, 1, 1, innocent) is None


def test_an_impatient_call_is_nobodys_to_answer() -> None:
    assert world_with().earliest(dataclasses.replace(call(), deadline=0.04)) is None


def test_nobody_answers_where_nobody_can() -> None:
    dead = [always(kind, index) for index, kind in enumerate(sorted(DEAD)[:3])]
    assert world_with(*dead).earliest(call()) is None
    assert world_with(*dead[:2]).earliest(call()) is not None


def test_an_answer_that_would_come_after_the_deadline_is_none() -> None:
    slow = [always(Kind.SLOW, provider, amount=DEADLINE) for provider in range(3)]
    assert world_with(*slow).earliest(call()) is None


@pytest.mark.parametrize("as_json", [False, True])
def test_the_right_answer_is_right_and_any_other_is_wrong(as_json: bool) -> None:
    one = call(as_json=as_json)
    right = answer_to(one.messages, as_json=as_json)
    assert one.is_right(right)
    assert not one.is_right(right[:-1])
    assert not one.is_right("")
    assert not one.is_right(answer_to(call(2).messages, as_json=as_json))


def test_json_is_right_however_it_is_spaced_and_not_in_a_fence() -> None:
    one = call(as_json=True)
    right = answer_to(one.messages, as_json=True)
    assert one.is_right(json.dumps(json.loads(right), indent=2))
    assert not one.is_right(f"```json\n{right}\n```")


@given(st.floats(0.02, 0.98))
def test_a_document_that_lost_its_middle_gets_another_answer(place: float) -> None:
    one = call(tokens=4000)
    text = one.messages[-1]["content"]
    head = int(len(text) * place)
    cut = [one.messages[0], {**one.messages[-1], "content": text[:head] + text[head + 2000 :]}]
    assert not one.is_right(answer_to(cut, as_json=False))


def test_earlier_turns_may_be_dropped() -> None:
    one = conversation()
    kept = [one.messages[0], one.messages[-1]]
    assert one.is_right(answer_to(kept, as_json=False))
    assert one.essential_tokens == tokens_of(kept) < tokens_of(one.messages)
    assert not one.is_right(answer_to(one.messages[1:], as_json=False))


def test_a_fault_that_sticks_meets_a_call_every_time() -> None:
    half = dataclasses.replace(always(Kind.CONTENT_FILTER), share=0.5, sticky=True)
    world = world_with(half)
    for number in range(20):
        met = {
            world.fault(0, at, number, Shape(1, as_json=False)) is None for at in (0.1, 0.9, 5.0, 50.0, 500.0)
        }
        assert len(met) == 1
    assert not ONLY_JSON.intersection(half.kinds)
