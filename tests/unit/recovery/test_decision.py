from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import Strategy
from cajanegra.domain.correction import Fallback, Retry, Simplify
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.domain.moves import MOVES, NEVER_AGAIN, is_repeatable
from cajanegra.recovery.backoff import GROWTH, LONGEST, SHORTEST, backoff
from cajanegra.recovery.decision import LEAST_ATTEMPT, Other, Policy, Situation, decide
from cajanegra.recovery.learning import Record

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
corrections = (
    st.builds(Retry, wait=st.none() | st.floats(0, 60), retries=st.none() | st.integers(1, 19))
    | st.builds(Fallback, provider=st.none() | st.just("openai"))
    | st.builds(Simplify, max_tokens=st.none() | st.integers(1, 1000))
)
records = st.dictionaries(
    st.tuples(st.sampled_from(Strategy), st.sampled_from(["", "a/m", "b/m"])),
    st.integers(0, 500).flatmap(
        lambda tried: st.builds(
            Record,
            tried=st.just(tried),
            worked=st.integers(0, tried),
            seconds=st.floats(0, 100),
            spread=st.floats(0, 50),
        )
    ),
    max_size=4,
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
    others=st.just(()),
    correction=st.none() | corrections,
    named=st.none() | others,
    can_correct=st.booleans(),
    records=st.none() | records,
    seed=st.integers(0, 2**32),
).flatmap(
    lambda now: st.lists(others, max_size=2).map(
        lambda more: replace(now, others=(now.other, *more) if now.other is not None else ())
    )
)


@given(situations)
def test_no_step_is_beyond_the_limits(now: Situation) -> None:
    policy = Policy()
    decision = decide(policy, now)
    if decision.strategy is None:
        return
    assert MOVES[now.failure.kind]
    assert now.attempts < policy.attempts
    assert decision.wait < now.remaining
    assert decision.corrected or decision.strategy in MOVES[now.failure.kind]
    if decision.strategy is Strategy.RETRY:
        assert is_repeatable(now.failure)
        assert now.retries < ((decision.corrected and now.correction.retries) or policy.last_retries)  # type: ignore[union-attr]
        assert now.within_budget
        assert decision.wait == now.wait
    if decision.strategy is Strategy.SIMPLIFY:
        assert now.can_correct if decision.corrected else now.can_simplify
        assert now.simplifications < policy.simplifications
        assert decision.wait == now.wait
    if decision.strategy is Strategy.FALLBACK:
        assert decision.other is not None
        assert decision.other is now.named if decision.corrected else decision.other in now.others
        assert decision.wait == decision.other.wait


@given(situations)
def test_a_decision_depends_on_the_situation_alone(now: Situation) -> None:
    assert decide(Policy(), now) == decide(Policy(), now)


@given(situations)
def test_whoever_has_a_way_out_takes_one_whatever_is_preferred(now: Situation) -> None:
    usual = decide(Policy(), replace(now, correction=None, records=None))
    if usual.strategy is not None:
        assert decide(Policy(), now).strategy is not None


@given(situations)
def test_a_correction_is_obeyed_or_the_record_says_why_not(now: Situation) -> None:
    decision = decide(Policy(), now)
    if now.correction is None or not MOVES[now.failure.kind]:
        assert not decision.corrected
    elif decision.corrected:
        assert decision.strategy is now.correction.strategy
        assert decision.because["correction"]["obeyed"]
    elif now.attempts < Policy().attempts and now.remaining > LEAST_ATTEMPT:
        assert decision.because["correction"]["obstacle"] in decision.reason
        usual = decide(Policy(), replace(now, correction=None, records=None))
        assert (decision.strategy, decision.other) == (usual.strategy, usual.other)


def test_nobody_waits_for_whom_a_correction_names_while_another_answers_sooner() -> None:
    now = _situation(
        FailureKind.TIMEOUT,
        correction=Fallback(provider="openai"),
        other=Other(wait=0.0, name="azure/m"),
        named=Other(wait=5.0, name="openai/m"),
    )
    decision = decide(Policy(), now)
    assert (decision.strategy, decision.other) == (Strategy.FALLBACK, now.other)
    assert decision.because["correction"]["obstacle"] == "it may be asked in 5.0 s, and another in 0.0 s"
    assert decide(Policy(), replace(now, other=None)).other is now.named


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
