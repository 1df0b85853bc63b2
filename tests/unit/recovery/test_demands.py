from __future__ import annotations

import pytest

from cajanegra.domain.call import MEANINGFUL, ChatRequest
from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.demands import REMEMBERED, Demands
from cajanegra.recovery.simplify import simplify
from scripted import Clock

KEY = ("key-1", "m")
QUESTION = [{"role": "user", "content": "what now?"}]
JSON = {"type": "json_object"}


def _rejects(name: str) -> Failure:
    return Failure(
        FailureKind.INVALID_REQUEST, f"Unsupported parameter: '{name}' is not supported", "acme-ai"
    )


def test_what_was_rejected_once_is_left_out_from_then_on_and_tried_again_later() -> None:
    clock = Clock()
    demands = Demands(clock)
    request = ChatRequest(QUESTION, temperature=0.2, parameters={"top_k": 3, "seed": 1})
    assert demands.adapt(KEY, request) is None
    demands.learn(KEY, _rejects("top_k"), {})
    demands.learn(KEY, _rejects("temperature"), {})
    adapted = demands.adapt(KEY, request)
    assert adapted is not None
    assert (adapted.request.temperature, adapted.request.parameters) == (None, {"seed": 1})
    assert adapted.changed == {"parameters_removed": ["top_k", "temperature"]}
    assert demands.adapt(("key-1", "other"), request) is None
    clock.now += REMEMBERED
    assert demands.adapt(KEY, request) is None


def test_the_longest_answer_is_remembered_as_a_number() -> None:
    demands = Demands(Clock())
    failure = Failure(FailureKind.MAX_TOKENS_INVALID, "at most 16384 completion tokens", "acme-ai")
    request = ChatRequest(QUESTION, max_tokens=20_000)
    smaller = simplify(request, failure, None)
    assert smaller is not None
    demands.learn(KEY, failure, smaller.changed)
    adapted = demands.adapt(KEY, request)
    assert adapted is not None
    assert adapted.request.max_tokens == 16384
    assert demands.adapt(KEY, ChatRequest(QUESTION, max_tokens=100)) is None


def test_who_rejects_what_the_answer_depends_on_is_not_asked_for_it() -> None:
    demands = Demands(Clock())
    demands.learn(KEY, _rejects("response_format"), {})
    assert not demands.takes(KEY, ChatRequest(QUESTION, parameters={"response_format": JSON}))
    assert demands.takes(KEY, ChatRequest(QUESTION))
    assert demands.adapt(KEY, ChatRequest(QUESTION, parameters={"response_format": JSON})) is None


@pytest.mark.parametrize("name", sorted(MEANINGFUL - {"messages", "model", "stream"}))
def test_nothing_that_the_answer_depends_on_is_ever_left_out(name: str) -> None:
    request = ChatRequest(QUESTION, parameters={name: JSON})
    assert simplify(request, _rejects(name), None) is None
