from __future__ import annotations

import math
from typing import Any

import pytest

from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.budget import REFILL_SECONDS, RetryBudget
from cajanegra.recovery.health import CLOCK_MARGIN, Health, Pass
from cajanegra.recovery.memory import MOST, Memory
from cajanegra.recovery.pace import ENOUGH, SHORTEST_LIMIT, UNKNOWN, Pace
from cajanegra.recovery.target import Target
from cajanegra.recovery.windows import ENOUGH as ENOUGH_COUNTS
from cajanegra.recovery.windows import Windows, agree
from scripted import Clock, ScriptedProvider

PROVIDER = ScriptedProvider("acme-ai")


def _target(model: str = "m", account: str = "key-1", **known: Any) -> Target:
    return Target(PROVIDER, model, 10.0, account=account, **known)


def _failure(kind: FailureKind, **known: Any) -> Failure:
    return Failure(kind, "it failed", "acme-ai", "m", **known)


def _entered(health: Health, target: Target) -> Pass:
    leave = health.enter(target, urgent=False)
    assert leave is not None
    return leave


@pytest.mark.parametrize(
    ("kind", "other_model"),
    [
        (FailureKind.AUTH, True),
        (FailureKind.QUOTA_EXHAUSTED, True),
        (FailureKind.MODEL_NOT_FOUND, False),
        (FailureKind.PERMISSION, False),
        (FailureKind.TIMEOUT, False),
    ],
)
def test_what_is_dead_for_one_call_is_dead_for_all_of_them_and_for_nobody_else(
    kind: FailureKind, other_model: bool
) -> None:
    health = Health(Clock())
    health.failed(_entered(health, _target()), _failure(kind))
    assert health.enter(_target(), urgent=False) is None
    assert health.why(_target()) == _failure(kind)
    assert (health.enter(_target("other"), urgent=False) is None) == other_model
    assert health.enter(_target(account="key-2"), urgent=False) is not None


def test_a_retry_after_holds_every_model_of_the_key_until_it_has_passed() -> None:
    clock = Clock()
    health = Health(clock)
    health.failed(_entered(health, _target()), _failure(FailureKind.RATE_LIMIT, retry_after=3.0))
    assert health.wait(_target("other"), urgent=True) == pytest.approx(3.0 + CLOCK_MARGIN)
    clock.now += 3.0 + CLOCK_MARGIN
    leave = _entered(health, _target("other"))
    assert leave.probing
    assert health.wait(_target(), urgent=True) == math.inf
    health.answered(leave)
    assert health.wait(_target(), urgent=False) == 0


@pytest.mark.parametrize(
    "kind", [FailureKind.CONTENT_FILTER, FailureKind.REFUSAL, FailureKind.CONTEXT_LENGTH]
)
def test_what_the_request_is_to_blame_for_closes_nothing(kind: FailureKind) -> None:
    health = Health(Clock())
    for _ in range(20):
        health.failed(_entered(health, _target()), _failure(kind, http_status=400))
    assert health.wait(_target(), urgent=False) == 0


def test_an_attempt_that_was_given_up_frees_its_place_and_says_nothing() -> None:
    clock = Clock()
    health = Health(clock)
    health.failed(_entered(health, _target()), _failure(FailureKind.TIMEOUT))
    clock.now += 1.0
    health.left(_entered(health, _target()))
    leave = _entered(health, _target())
    assert leave.probing


def test_no_more_attempts_are_under_way_than_the_account_may_have() -> None:
    health = Health(Clock())
    target = _target(max_in_flight=2)
    first, _second = _entered(health, target), _entered(health, target)
    assert health.wait(target, urgent=True) == math.inf
    assert health.enter(target, urgent=True) is None
    health.answered(first)
    assert health.enter(target, urgent=True) is not None


def test_what_another_process_learned_counts_here_too() -> None:
    clock = Clock()
    health = Health(clock)
    health.adopt(("key-1", ""), clock() + 4.0, _failure(FailureKind.QUOTA_EXHAUSTED), asked=False)
    assert health.wait(_target(), urgent=False) == 4.0
    health.adopt(("key-1", ""), clock(), None, asked=False)
    assert health.wait(_target(), urgent=False) == 0
    health.adopt(("key-1", ""), clock() + 4.0, _failure(FailureKind.RATE_LIMIT), asked=True)
    health.adopt(("key-1", ""), clock(), None, asked=False)
    assert health.wait(_target(), urgent=True) == 4.0


def test_a_tenant_that_fails_too_often_repeats_nothing_and_others_still_do() -> None:
    clock = Clock()
    budget = RetryBudget(10, clock)
    for _ in range(5):
        assert budget.allows("key-1", "acme")
        budget.failed("key-1", "acme")
    assert not budget.allows("key-1", "acme")
    assert budget.allows("key-1", "globex")
    assert budget.allows("key-2", "acme")
    budget.answered("key-1", "acme")
    assert budget.allows("key-1", "acme")
    for _ in range(100):
        budget.failed("key-1", "acme")
    assert not budget.allows("key-1", "acme")
    clock.now += REFILL_SECONDS
    assert budget.allows("key-1", "acme")


def test_without_a_size_the_budget_is_never_spent() -> None:
    budget = RetryBudget(0, Clock())
    for _ in range(1000):
        budget.failed("key-1", None)
    assert budget.allows("key-1", None)


def test_a_target_hangs_when_it_takes_several_times_as_long_as_it_usually_does() -> None:
    pace = Pace()
    assert (pace.usual, pace.limit) == (UNKNOWN, None)
    for _ in range(ENOUGH):
        pace.add(2.0)
    assert (pace.usual, pace.limit) == (2.0, 6.0)
    for _ in range(100):
        pace.add(0.01)
    assert (pace.usual, pace.limit) == (0.01, SHORTEST_LIMIT)


KEY = ("key-1", "m")


def test_a_count_far_below_that_of_similar_prompts_is_a_prompt_that_was_cut() -> None:
    windows = Windows()
    for _ in range(ENOUGH_COUNTS):
        windows.learn_count(KEY, 4_000, 2, 1_008)
    assert windows.density(KEY) == 0.25
    assert not windows.looks_cut(KEY, 20_000, 4_900)
    assert windows.looks_cut(KEY, 20_000, 4_096)
    assert not windows.looks_cut(KEY, 1_000, 1)


def test_the_same_count_for_a_longer_prompt_is_where_a_target_cuts() -> None:
    windows = Windows()
    windows.learn_count(KEY, 16_000, 1, 4_096)
    assert not windows.looks_cut(KEY, 16_000, 4_096)
    assert windows.looks_cut(KEY, 18_000, 4_096)


def test_a_window_is_what_is_known_and_what_was_said_whichever_is_smaller() -> None:
    windows = Windows()
    assert windows.window(KEY, None) is None
    assert windows.window(KEY, 8192) == 8192
    windows.learn_window(KEY, 4096)
    assert windows.window(KEY, 8192) == windows.window(KEY, None) == 4096
    windows.learn_count(KEY, 30_000, 1, 6_000)
    assert windows.window(KEY, None) == 6_000


def test_two_counts_agree_when_tokenizers_alone_explain_their_difference() -> None:
    assert agree(1_000, 1_080)
    assert not agree(1_000, 1_500)


def test_names_without_end_take_no_room_without_end() -> None:
    memory = Memory[int, int]()
    for number in range(MOST + 5):
        memory[number] = number
    memory[MOST] = 0
    assert (len(memory), next(iter(memory)), memory[MOST]) == (MOST, 5, 0)


def test_what_is_left_of_budgets_is_told() -> None:
    clock = Clock()
    budget = RetryBudget(10, clock)
    for _ in range(4):
        budget.failed("key-1", "acme")
    budget.failed("key-2", None)
    assert budget.left() == [("key-1", "acme", 0.6), ("key-2", None, 0.9)]
    clock.now += REFILL_SECONDS
    assert budget.left() == []
    unlimited = RetryBudget(0, clock)
    unlimited.failed("key-1", "acme")
    assert unlimited.left() == []
