from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.gate import FIRST_REST, LONGEST_REST, TRUSTED, WIDENING, Gate

FAILURE = Failure(FailureKind.SERVER_ERROR, "it failed", "acme-ai")


def _rest(gate: Gate, now: float, *, tried: bool = False) -> None:
    gate.rest(FAILURE, now, first=FIRST_REST, longest=LONGEST_REST, tried=tried)


def test_it_closes_after_three_failures_in_a_row_and_not_after_one_in_three() -> None:
    gate = Gate()
    for closes in (False, False, True):
        gate.trouble(FAILURE, 0.0, tried=False)
        assert (gate.wait(0.0, urgent=False) > 0) == closes
    mixed = Gate()
    for _ in range(20):
        mixed.trouble(FAILURE, 0.0, tried=False)
        mixed.answered(0.0, tried=False)
        mixed.answered(0.0, tried=False)
    assert mixed.wait(0.0, urgent=False) == 0


def test_a_later_time_to_come_back_never_becomes_an_earlier_one() -> None:
    gate = Gate()
    gate.hold(10.0, FAILURE)
    gate.hold(5.0, FAILURE)
    assert gate.wait(0.0, urgent=False) == gate.wait(0.0, urgent=True) == 10.0
    gate.hold(20.0, FAILURE)
    assert gate.wait(0.0, urgent=True) == 20.0


def test_one_probe_goes_and_all_others_wait_for_it() -> None:
    gate = Gate()
    gate.hold(10.0, FAILURE)
    assert gate.wait(10.0, urgent=False) == 0
    assert gate.enter()
    assert gate.wait(10.0, urgent=False) == math.inf
    gate.leave(tried=True)
    assert gate.answered(10.2, tried=True)
    assert [gate.enter() for _ in range(WIDENING)] == [True] * WIDENING
    assert gate.wait(10.2, urgent=False) == math.inf


def test_it_rests_longer_each_time_its_probe_fails_and_is_well_again_after_some_answers() -> None:
    gate, now = Gate(), 0.0
    waits = []
    for tried in (False, True, True, True):
        _rest(gate, now, tried=tried)
        waits.append(gate.wait(now, urgent=False))
        now += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 8.0]
    while gate.trial is not None:
        assert gate.trial <= TRUSTED
        gate.answered(now, tried=True)
    assert gate.strikes == 0
    _rest(gate, now)
    assert gate.wait(now, urgent=False) == FIRST_REST


def test_those_who_have_gathered_do_not_go_all_at_the_same_moment() -> None:
    gate = Gate()
    gate.hold(10.0, FAILURE)
    most = []
    for _ in range(200):
        while gate.room(11.0) > 0:
            gate.enter()
        most.append(gate.trial)
        gate.leave(tried=True)
        gate.answered(11.0, tried=True, awaited=True)
    assert most[:5] == [1, WIDENING, TRUSTED, TRUSTED + 1, TRUSTED + 2]
    gate.trouble(FAILURE, 11.0, tried=True)
    assert gate.wait(11.0, urgent=False) == 0  # one failure among so many
    gate.leave(tried=True)
    gate.answered(11.0, tried=True)
    assert gate.room(11.0) == math.inf


def test_who_has_nobody_else_to_ask_may_probe_sooner_but_never_against_the_providers_word() -> None:
    gate = Gate()
    for tried in (False, True, True):
        _rest(gate, 0.0, tried=tried)
    assert gate.wait(0.0, urgent=False) == 4.0
    assert gate.wait(0.0, urgent=True) == FIRST_REST
    gate.hold(3.0, FAILURE)
    assert gate.wait(0.0, urgent=True) == 3.0


def test_what_was_sent_before_it_closed_changes_nothing() -> None:
    gate = Gate()
    _rest(gate, 0.0)
    for _ in range(5):
        _rest(gate, 0.1)
        gate.answered(0.2, tried=False)
    assert gate.strikes == 1
    assert gate.closed_until == FIRST_REST


events = st.lists(
    st.tuples(st.sampled_from(["hold", "rest", "trouble", "answered", "enter"]), st.floats(0, 5)), max_size=40
)


@given(events)
def test_nobody_is_let_in_before_the_time_that_the_provider_named(steps: list[tuple[str, float]]) -> None:
    gate, now, named = Gate(), 0.0, 0.0
    for what, seconds in steps:
        now += seconds
        if what == "hold":
            gate.hold(now + seconds, FAILURE)
            named = max(named, now + seconds)
        elif what == "rest":
            _rest(gate, now)
        elif what == "trouble":
            gate.trouble(FAILURE, now, tried=False)
        elif what == "answered":
            gate.answered(now, tried=False)
        elif gate.wait(now, urgent=True) <= 0:
            assert now >= named
            if gate.enter():
                gate.leave(tried=True)
