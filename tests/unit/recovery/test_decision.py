from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import Strategy
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.backoff import LONGEST, SHORTEST, backoff
from cajanegra.recovery.decision import MOVES, PATIENCE, Policy, Situation, decide, is_repeatable

NEVER_REPEATED = [
    FailureKind.AUTH,
    FailureKind.PERMISSION,
    FailureKind.MODEL_NOT_FOUND,
    FailureKind.INVALID_REQUEST,
    FailureKind.CONTENT_FILTER,
    FailureKind.QUOTA_EXHAUSTED,
    FailureKind.CONTEXT_LENGTH,
    FailureKind.MAX_TOKENS_INVALID,
    FailureKind.CANCELLED,
]


def _situation(kind: FailureKind, *, retry_after: float | None = None, **known: object) -> Situation:
    usual = Situation(
        failure=Failure(kind, "it failed", "acme-ai", retry_after=retry_after),
        attempts=1,
        retries=0,
        simplifications=0,
        remaining=30.0,
        can_simplify=False,
        other_wait=None,
        other_is_new=False,
        chance=0.5,
    )
    return replace(usual, **known)  # type: ignore[arg-type]


situations = st.builds(
    Situation,
    failure=st.builds(
        Failure,
        kind=st.sampled_from(FailureKind),
        message=st.just("it failed"),
        provider=st.just("acme-ai"),
        retry_after=st.none() | st.floats(0, 1000),
    ),
    attempts=st.integers(1, 8),
    retries=st.integers(0, 5),
    simplifications=st.integers(0, 4),
    remaining=st.floats(-5, 100),
    can_simplify=st.booleans(),
    other_wait=st.none() | st.floats(0, 50),
    other_is_new=st.booleans(),
    chance=st.floats(0, 1, exclude_max=True),
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
        assert is_repeatable(now.failure.kind)
        assert now.retries < policy.last_retries
        assert decision.wait >= max(now.failure.retry_after or 0, min(SHORTEST, decision.wait))
        assert decision.wait > 0
    if decision.strategy is Strategy.SIMPLIFY:
        assert now.can_simplify


@given(st.sampled_from(NEVER_REPEATED), situations)
def test_what_cannot_work_is_never_repeated(kind: FailureKind, now: Situation) -> None:
    now = replace(now, failure=replace(now.failure, kind=kind))
    assert decide(Policy(), now).strategy is not Strategy.RETRY
    assert not is_repeatable(kind)


@given(situations)
def test_whoever_gives_up_says_why(now: Situation) -> None:
    assert decide(Policy(), now).reason


def test_every_kind_has_its_moves() -> None:
    assert set(MOVES) == set(FailureKind)


def test_a_short_wait_is_sat_out_and_a_long_one_is_not_when_another_can_answer() -> None:
    short = _situation(FailureKind.RATE_LIMIT, retry_after=PATIENCE / 4, other_wait=0.0, other_is_new=True)
    long = _situation(FailureKind.RATE_LIMIT, retry_after=PATIENCE * 4, other_wait=0.0, other_is_new=True)
    assert decide(Policy(), short).strategy is Strategy.RETRY
    assert decide(Policy(), long) == replace(decide(Policy(), long), strategy=Strategy.FALLBACK, wait=0.0)


def test_a_wait_beyond_the_deadline_is_declined_in_words() -> None:
    decision = decide(Policy(), _situation(FailureKind.RATE_LIMIT, retry_after=60.0, remaining=20.0))
    assert decision.strategy is None
    assert decision.reason == "asked to wait 60 s with 20.0 s left, and nobody else to ask"


def test_too_long_a_prompt_is_shortened_before_somebody_else_is_asked() -> None:
    known = {"other_wait": 0.0, "other_is_new": True}
    assert (
        decide(Policy(), _situation(FailureKind.CONTEXT_LENGTH, can_simplify=True, **known)).strategy
        == "simplify"
    )
    assert decide(Policy(), _situation(FailureKind.CONTEXT_LENGTH, **known)).strategy == "fallback"
    assert decide(Policy(), _situation(FailureKind.CONTEXT_LENGTH)).strategy is None


def test_a_provider_that_hung_is_not_asked_again_while_another_is_left() -> None:
    assert (
        decide(Policy(), _situation(FailureKind.TIMEOUT, other_wait=0.0, other_is_new=True)).strategy
        == "fallback"
    )
    assert decide(Policy(), _situation(FailureKind.TIMEOUT)).strategy == "retry"


@given(st.integers(0, 30), st.none() | st.floats(0, 1000), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_bounded_and_honours_what_was_asked(
    retries: int, retry_after: float | None, chance: float
) -> None:
    wait = backoff(retries, retry_after, chance)
    assert wait >= (retry_after if retry_after is not None else SHORTEST)
    assert wait <= (retry_after or 0) + LONGEST
