"""The calls of the demonstration: the same for the same seed, and shaped like those of a real day."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter

import pytest

from cajanegra.demo.workload import IMPATIENCE, LONGEST_PROMPT, TENANTS, PlannedCall, plan

COUNT = 300
SEEDS = [1, 7, 42]


def size(call: PlannedCall) -> int:
    if "prompt" in call.arguments:
        return len(call.arguments["prompt"])
    return sum(len(message["content"]) for message in call.arguments["messages"])


def test_the_same_seed_gives_the_same_calls() -> None:
    assert plan(COUNT, 7) == plan(COUNT, 7)


def test_another_seed_gives_other_calls() -> None:
    assert plan(COUNT, 7) != plan(COUNT, 8)


@pytest.mark.parametrize("count", [0, 1, 60])
def test_as_many_calls_as_asked_for(count: int) -> None:
    assert len(plan(count, 7)) == count


@pytest.mark.parametrize("seed", SEEDS)
def test_every_tenant_and_module_has_its_part(seed: int) -> None:
    calls = plan(COUNT, seed)

    tenants = Counter(call.arguments["tenant_id"] for call in calls)
    assert [name for name, _ in tenants.most_common()] == list(TENANTS)
    assert min(tenants.values()) > COUNT / 10
    modules = Counter(call.arguments["module"] for call in calls)
    assert set(modules) == {"copilot", "imports", "incidents"}
    assert min(modules.values()) > COUNT / 10
    assert {call.arguments["task"] for call in calls} >= {"classification", "analysis", "extraction", "chat"}
    assert all(call.arguments["user_id"].startswith(call.arguments["tenant_id"]) for call in calls)


@pytest.mark.parametrize("seed", SEEDS)
def test_prompt_sizes_have_a_long_tail(seed: int) -> None:
    sizes = sorted(size(call) for call in plan(COUNT, seed) if "prompt" in call.arguments)

    median = statistics.median(sizes)
    assert 500 < median < 2000
    assert statistics.mean(sizes) > 1.4 * median
    assert 8 * median < sizes[-1] <= LONGEST_PROMPT + 200  # the question comes on top


@pytest.mark.parametrize("seed", SEEDS)
def test_some_conversations_may_overflow_a_context_window(seed: int) -> None:
    conversations = [call.arguments["messages"] for call in plan(COUNT, seed) if "messages" in call.arguments]

    assert COUNT * 0.02 < len(conversations) < COUNT * 0.12
    for messages in conversations:
        assert messages[0]["role"] == "system"
        assert messages[-1]["role"] == "user"
    assert max(sum(len(message["content"]) for message in messages) for messages in conversations) > 32_768


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_arrive_in_bursts_within_half_a_minute(seed: int) -> None:
    times = [call.at for call in plan(COUNT, seed)]

    assert times[0] == 0
    assert times == sorted(times)
    assert 12 < times[-1] < 32
    gaps = [after - before for before, after in itertools.pairwise(times)]
    # Evenly spaced requests have no spread, a Poisson process has one equal to its mean.
    assert statistics.pstdev(gaps) > 1.5 * statistics.mean(gaps)


@pytest.mark.parametrize("seed", SEEDS)
def test_streams_short_deadlines_and_opinions_are_rare_but_there(seed: int) -> None:
    calls = plan(COUNT, seed)

    assert COUNT * 0.08 < sum(call.streamed for call in calls) < COUNT * 0.25
    impatient = [call for call in calls if "timeout" in call.arguments]
    assert 1 <= len(impatient) < COUNT * 0.04
    assert all(call.arguments["timeout"] == IMPATIENCE for call in impatient)
    opinions = Counter(call.feedback[0] for call in calls if call.feedback)
    assert opinions["thumbs_up"] > opinions["thumbs_down"] > 0
    assert all(call.feedback[1] for call in calls if call.feedback and call.feedback[0] == "thumbs_down")
