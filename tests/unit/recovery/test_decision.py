from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import Strategy
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.backoff import GROWTH, LONGEST, SHORTEST, backoff
from cajanegra.recovery.decision import (
    MOVES,
    NEVER_AGAIN,
    Other,
    Policy,
    Situation,
    decide,
    is_repeatable,
)

NEVER_REPEATED = [
    FailureKind.AUTH,
    FailureKind.PERMISSION,
    FailureKind.MODEL_NOT_FOUND,
    FailureKind.INVALID_REQUEST,
    FailureKind.CONTENT_FILTER,
    FailureKind.QUOTA_EXHAUSTED,
    FailureKind.CONTEXT_LENGTH,
    FailureKind.MAX_TOKENS_INVALID,
    FailureKind.REFUSAL,
    FailureKind.CANCELLED,
]


def _situation(kind: FailureKind, *, status: int | None = None, **known: object) -> Situation:
    failure = Failure(kind, "it failed", "acme-ai", http_status=status)
    return replace(Situation(failure), **known)  # type: ignore[arg-type]


failures = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    message=st.just("it failed"),
    provider=st.just("acme-ai"),
    http_status=st.none() | st.sampled_from([200, 400, 401, 404, 408, 422, 429, 500, 503]),
    retry_after=st.none() | st.floats(0, 1000),
)
others = st.builds(
    Other, wait=st.floats(0, 50), usual=st.floats(0, 30), is_new=st.booleans(), holds_all=st.booleans()
)
situations = st.builds(
    Situation,
    failure=failures,
    attempts=st.integers(1, 8),
    retries=st.integers(0, 5),
    simplifications=st.integers(0, 4),
    remaining=st.floats(-5, 100),
    wait=st.floats(0, 50),
    can_simplify=st.booleans(),
    within_budget=st.booleans(),
    other=st.none() | others,
)


@given(situations)
def test_no_step_is_beyond_the_limits(now: Situation) -> None:
    policy = Policy()
    decision = decide(policy, now)
    if decision.strategy is None:
        return
    assert now.attempts < policy.attempts
    assert decision.wait < now.remaining
    assert decision.strategy in MOVES[now.failure.kind]
    if decision.strategy is Strategy.RETRY:
        assert is_repeatable(now.failure)
        assert now.retries < policy.last_retries
        assert now.within_budget
        assert decision.wait == now.wait
    if decision.strategy is Strategy.SIMPLIFY:
        assert now.can_simplify
        assert decision.wait == now.wait
    if decision.strategy is Strategy.FALLBACK:
        assert now.other is not None
        assert decision.wait == now.other.wait


@given(st.sampled_from(NEVER_REPEATED), situations)
def test_what_cannot_work_is_never_repeated(kind: FailureKind, now: Situation) -> None:
    now = replace(now, failure=replace(now.failure, kind=kind))
    assert decide(Policy(), now).strategy is not Strategy.RETRY
    assert not is_repeatable(now.failure)


@given(st.sampled_from(sorted(NEVER_AGAIN)), situations)
def test_a_status_that_is_final_is_final_whatever_the_message_says(status: int, now: Situation) -> None:
    now = replace(now, failure=replace(now.failure, http_status=status))
    assert decide(Policy(), now).strategy is not Strategy.RETRY


@given(situations)
def test_whoever_gives_up_says_why(now: Situation) -> None:
    assert decide(Policy(), now).reason


def test_every_kind_has_its_moves() -> None:
    assert set(MOVES) == set(FailureKind)


def test_a_wait_is_sat_out_only_if_nobody_else_can_answer_sooner() -> None:
    short = _situation(FailureKind.RATE_LIMIT, wait=0.2, other=Other(usual=0.5))
    long = _situation(FailureKind.RATE_LIMIT, wait=0.6, other=Other(usual=0.5))
    assert decide(Policy(), short).strategy is Strategy.RETRY
    assert (decide(Policy(), long).strategy, decide(Policy(), long).wait) == (Strategy.FALLBACK, 0.0)
    both_wait = _situation(FailureKind.RATE_LIMIT, wait=2.0, other=Other(wait=8.0))
    assert (decide(Policy(), both_wait).strategy, decide(Policy(), both_wait).wait) == (Strategy.RETRY, 2.0)


def test_a_wait_beyond_the_deadline_is_declined_in_words() -> None:
    failure = Failure(FailureKind.RATE_LIMIT, "slow down", "acme-ai", retry_after=60.0)
    decision = decide(Policy(), Situation(failure, remaining=20.0, wait=60.0))
    assert decision.strategy is None
    assert decision.reason == "asked to wait 60 s with 20.0 s left, and nobody else to ask"


def test_a_spent_budget_ends_repetitions_and_nothing_else() -> None:
    alone = _situation(FailureKind.SERVER_ERROR, within_budget=False)
    assert decide(Policy(), alone).strategy is None
    assert "retry budget" in decide(Policy(), alone).reason
    accompanied = replace(alone, other=Other())
    assert decide(Policy(), accompanied).strategy is Strategy.FALLBACK


def test_too_long_a_prompt_is_shortened_unless_another_target_surely_holds_all_of_it() -> None:
    now = _situation(FailureKind.CONTEXT_LENGTH, can_simplify=True, other=Other())
    assert decide(Policy(), now).strategy is Strategy.SIMPLIFY
    assert decide(Policy(), replace(now, other=Other(holds_all=True))).strategy is Strategy.FALLBACK
    assert decide(Policy(), replace(now, can_simplify=False)).strategy is Strategy.FALLBACK
    assert decide(Policy(), _situation(FailureKind.CONTEXT_LENGTH)).strategy is None


@pytest.mark.parametrize(
    "kind", [FailureKind.TIMEOUT, FailureKind.SERVER_ERROR, FailureKind.INVALID_RESPONSE]
)
def test_a_provider_that_is_ill_is_not_asked_again_while_another_is_left(kind: FailureKind) -> None:
    assert decide(Policy(), _situation(kind, wait=0.2, other=Other())).strategy is Strategy.FALLBACK
    assert decide(Policy(), _situation(kind, wait=0.2)).strategy is Strategy.RETRY


def test_an_answer_that_was_cut_on_its_way_is_asked_for_again() -> None:
    now = _situation(FailureKind.STREAM_INTERRUPTED, wait=0.2, other=Other(usual=1.0))
    assert decide(Policy(), now).strategy is Strategy.RETRY
    assert decide(Policy(), replace(now, retries=1)).strategy is Strategy.FALLBACK


@given(
    st.integers(0, 30),
    st.none() | st.floats(0, 1000),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, LONGEST),
)
def test_the_wait_is_bounded_grows_and_honours_what_was_asked(
    retries: int, retry_after: float | None, chance: float, previous: float
) -> None:
    wait = backoff(retries, retry_after, chance, previous)
    assert wait >= (retry_after if retry_after is not None else SHORTEST)
    assert wait <= (retry_after or 0) + LONGEST
    if retry_after is None:
        assert wait >= min(previous * GROWTH, LONGEST)
