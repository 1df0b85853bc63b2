"""The judge sees every way to behave badly, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.recovery.calls import DEADLINE
from benchmarks.recovery.drive import Driven, Outcome
from benchmarks.recovery.judge import NOT_RETRYABLE, PROBE_INTERVAL, Verdict, judge, know_all, percentile
from benchmarks.recovery.log import Entry
from benchmarks.recovery.report import KNOWS_ALL, OURS, goals, summary, table
from benchmarks.recovery.scenarios import make_world
from benchmarks.recovery.world import Episode, Kind

from fault_world import always, call, world_with

RIGHT = Outcome(1, 0.0, finished=0.2, answered=True, right=True)


def entry(
    at: float,
    fault: str = "",
    *,
    provider: int = 0,
    key: str = "k",
    body: str = "b",
    wait: float | None = None,
    content: bool = False,
) -> Entry:
    wait_until = None if wait is None else at + wait
    return Entry(provider, key, 1, at, body, False, fault, at + 0.02, wait_until, content)  # noqa: FBT003


def verdict(*entries: Entry, outcome: Outcome = RIGHT, episodes: tuple[Episode, ...] = ()) -> Verdict:
    world = world_with(*episodes, calls=[call(1)])
    return judge(world, Driven([outcome], 1.0, 0.0), entries)


def test_an_answered_call_is_served_and_breaks_no_rule() -> None:
    one = verdict(entry(0.0))
    assert (one.served, one.wrong, one.attempts) == (1.0, 0, 1.0)
    assert one.p50 == one.p95 == pytest.approx(0.2)
    assert (one.retry_after, one.repeated, one.dead, one.overruns) == (0, 0, 0, 0)


def test_a_wrong_answer_is_not_served_and_its_cause_is_named() -> None:
    one = verdict(entry(0.0, Kind.NO_FINISH), outcome=replace(RIGHT, right=False))
    assert (one.served, one.wrong) == (0.0, 1)
    assert one.mistaken == {Kind.NO_FINISH: 1}


def test_an_exception_is_a_failure_and_no_wrong_answer() -> None:
    one = verdict(entry(0.0, Kind.EMPTY), outcome=Outcome(1, 0.0, finished=0.2, error="CallError"))
    assert (one.served, one.wrong, one.errors) == (0.0, 0, {"CallError": 1})


def test_a_right_answer_after_the_deadline_is_not_served_and_an_overrun() -> None:
    late = verdict(entry(0.0), outcome=replace(RIGHT, finished=DEADLINE + 0.2))
    assert (late.served, late.overruns) == (0.0, 1)
    in_time = verdict(entry(0.0), outcome=replace(RIGHT, finished=DEADLINE + 0.05))
    assert (in_time.served, in_time.overruns) == (1.0, 0)


def test_a_failure_after_the_deadline_is_an_overrun() -> None:
    assert verdict(outcome=Outcome(1, 0.0, finished=DEADLINE + 1, error="X")).overruns == 1


@pytest.mark.parametrize("kind", [Kind.RATE_LIMIT, Kind.OVERLOADED])
def test_a_request_while_a_retry_after_runs_is_a_violation(kind: Kind) -> None:
    limited = entry(0.0, kind, wait=3.0)
    assert verdict(limited, entry(1.0)).retry_after == 1
    assert verdict(limited, entry(1.0), entry(2.0)).retry_after == 2
    assert verdict(limited, entry(2.9, body="of another call")).retry_after == 1


def test_a_request_after_it_or_under_way_or_elsewhere_is_none() -> None:
    limited = entry(0.0, Kind.RATE_LIMIT, wait=3.0)
    assert verdict(limited, entry(3.0)).retry_after == 0
    assert verdict(limited, entry(0.1)).retry_after == 0
    assert verdict(limited, entry(1.0, provider=1)).retry_after == 0
    assert verdict(limited, entry(1.0, key="another")).retry_after == 0


def test_the_longest_word_counts_where_there_are_several() -> None:
    words = (entry(0.0, Kind.RATE_LIMIT, wait=5.0), entry(0.01, Kind.RATE_LIMIT, wait=1.0))
    assert verdict(*words, entry(2.0)).retry_after == 1


@pytest.mark.parametrize("kind", sorted(NOT_RETRYABLE))
def test_the_same_request_after_a_final_no_is_a_violation(kind: Kind) -> None:
    assert verdict(entry(0.0, kind), entry(0.5)).repeated == 1
    assert verdict(entry(0.0, kind), entry(0.5, body="changed")).repeated == 0
    assert verdict(entry(0.0, kind), entry(0.5, provider=1)).repeated == 0


@pytest.mark.parametrize("kind", [Kind.SERVER_ERROR, Kind.RESET, Kind.EMPTY, Kind.SLOW])
def test_the_same_request_after_what_may_pass_is_none(kind: Kind) -> None:
    assert verdict(entry(0.0, kind), entry(0.5)).repeated == 0


def asked(*times: float, kind: Kind = Kind.DEAD_KEY) -> Verdict:
    entries = [entry(at, kind, body=f"of call {at}") for at in times]
    return verdict(*entries, episodes=(always(kind),))


@pytest.mark.parametrize("kind", [Kind.DEAD_KEY, Kind.QUOTA, Kind.UNKNOWN_MODEL, Kind.FORBIDDEN])
def test_a_request_to_a_provider_known_dead_is_a_violation(kind: Kind) -> None:
    assert asked(0.0, 1.0, 2.0, kind=kind).dead == 2


def test_probes_and_requests_under_way_are_none() -> None:
    assert asked(0.0, 0.01, 0.1).dead == 0
    assert asked(0.0, PROBE_INTERVAL + 0.1, 2 * PROBE_INTERVAL + 0.2).dead == 0
    assert asked(0.0, PROBE_INTERVAL + 0.1, PROBE_INTERVAL + 1.0).dead == 1


def test_a_second_death_must_be_learnt_anew() -> None:
    deaths = (Episode(0, 0, 2, (Kind.DEAD_KEY,)), Episode(0, 3, 9, (Kind.QUOTA,)))
    entries = (entry(0.0, Kind.DEAD_KEY), entry(3.0, Kind.QUOTA, body="c"), entry(4.0, Kind.QUOTA, body="d"))
    assert verdict(*entries, episodes=deaths).dead == 1


def test_a_stream_broken_off_by_the_world_and_said_so_is_not_held_against_anybody() -> None:
    cut = entry(0.0, Kind.CUT, content=True)
    honest = Outcome(1, 0.0, finished=0.2, content=True, error="CallError")
    one = verdict(cut, outcome=honest)
    assert (one.told, one.achievable, one.served) == (1, 0, 1.0)
    assert verdict(cut, outcome=replace(honest, content=False)).served == 0.0
    assert verdict(replace(cut, content=False), outcome=honest).served == 0.0
    assert verdict(replace(cut, fault=""), outcome=honest).served == 0.0
    accepted = Outcome(1, 0.0, finished=0.2, content=True, answered=True)
    assert (verdict(cut, outcome=accepted).told, verdict(cut, outcome=accepted).wrong) == (0, 1)


def test_what_nobody_could_serve_is_not_held_against_anybody() -> None:
    dead = tuple(always(Kind.DEAD_KEY, provider) for provider in range(3))
    failed = Outcome(1, 0.0, finished=1.0, error="CallError")
    assert verdict(outcome=failed, episodes=dead).served == 1.0
    assert verdict(outcome=failed, episodes=dead[:2]).served == 0.0


def test_percentiles() -> None:
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 95
    assert percentile([3.0], 0.5) == 3.0
    assert str(percentile([], 0.5)) == "nan"


def test_a_goal_is_missed_by_name_and_met_by_whoever_knows_everything() -> None:
    world = make_world("storm", 1, rate=1)
    best = know_all(world)
    results = {"storm": {KNOWS_ALL: best, OURS: best, "peer": best}}
    assert all(met for _what, _value, met in goals(results))
    worse = replace(
        best, right=0, wrong=1, retry_after=1, repeated=1, dead=1, overruns=1, attempts=2.0, p95=9.0
    )
    results["storm"][OURS] = worse
    assert not any(met for _what, _value, met in goals(results))
    assert len(goals(results)) == 9
    assert "0 of 9" in summary(results)
    assert "peer" in table("storm", results["storm"])


def test_a_peer_that_serves_little_is_nothing_to_compare_with() -> None:
    best = know_all(make_world("storm", 1, rate=1))
    quick = replace(best, right=0, attempts=0.1, p95=0.001)
    found = goals({"storm": {OURS: best, "quick": quick}})
    assert all(met for _what, _value, met in found)
    assert not any("quick" in what for what, _value, _met in found)
