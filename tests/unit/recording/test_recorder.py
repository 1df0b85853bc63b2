from __future__ import annotations

import asyncio
import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cajanegra.domain.call import Answer, Usage
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.domain.record import CallRecord
from cajanegra.recording.recorder import Recorder
from memory_store import BlockedStore, MemoryStore, Reader, new_writer, opening

RESPONSE = {
    "model": "gpt-4o-2024-08-06",
    "choices": [{"message": {"content": "Hola."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 30, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 20}},
}


class Desk:
    """A recorder over a store in memory, and the calls that arrived there."""

    def __init__(self, store: MemoryStore, **options: Any) -> None:
        self.store = store
        self.seconds = 0.0
        self.recorder = Recorder(
            lambda: new_writer(opening(store)),
            Reader(),
            clock=lambda: 1_000.0 + self.seconds,
            timer=lambda: self.seconds,
            **options,
        )

    @property
    def call(self) -> CallRecord:
        assert self.recorder.flush(5)
        (call,) = self.store.calls.values()
        return call


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(MemoryStore())
    yield desk
    desk.recorder.close()


@pytest.fixture
def capturing() -> Iterator[Desk]:
    desk = Desk(MemoryStore(), capture="full")
    yield desk
    desk.recorder.close()


def test_a_call_as_the_application_tells_it(desk: Desk) -> None:
    with desk.recorder.call(
        task="classification",
        provider="openai",
        model="gpt-4o",
        prompt="¿Qué es?",
        tenant_id="acme",
        module="imports",
        user_id="u1",
        request_id="req-1",
        temperature=0.2,
        max_tokens=100,
        metadata={"ticket": 7},
    ) as call:
        desk.seconds = 1.25
        call.finish(RESPONSE)
    assert call.request_id == "req-1"
    found = desk.call
    assert (found.request_id, found.task, found.tenant_id, found.module, found.user_id) == (
        "req-1",
        "classification",
        "acme",
        "imports",
        "u1",
    )
    assert (found.prompt_length, found.prompt_hash) == (8, hashlib.sha256("¿Qué es?".encode()).hexdigest())
    assert (found.temperature, found.max_tokens, found.model_requested) == (0.2, 100, "gpt-4o")
    assert (found.status, found.provider_used, found.provider_model) == (
        "success",
        "openai",
        "gpt-4o-2024-08-06",
    )
    assert (found.response_content_length, found.tokens_used, found.processing_time_ms) == (5, 34, 1250)
    assert found.created_at == 1_000
    assert found.updated_at == 1_001.25
    assert found.request_metadata == {"ticket": 7}
    assert found.response_metadata == {
        "attempts": 1,
        "finish_reason": "stop",
        "input_tokens": 30,
        "output_tokens": 4,
        "cached_tokens": 20,
    }
    assert (found.prompt, found.answer) == (None, None)


def test_a_request_id_of_its_own_is_a_uuid7(desk: Desk) -> None:
    with desk.recorder.call(task="chat", provider="openai") as call:
        pass
    assert uuid.UUID(call.request_id).version == 7
    assert desk.call.request_id == call.request_id


def test_a_block_that_ends_without_finish_was_answered_as_far_as_is_known(desk: Desk) -> None:
    with desk.recorder.call(task="chat", provider="openai", model="gpt-4o", prompt=None):
        pass
    found = desk.call
    assert (found.status, found.provider_model, found.request_metadata) == (
        "success",
        "gpt-4o",
        {"prompt_unknown": True},
    )
    assert (found.response_content_length, found.tokens_used, found.confidence_score, found.prompt_hash) == (
        None,
    ) * 4
    assert found.prompt_length == 0


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (TimeoutError("too slow"), "timeout", "timeout"),
        (ValueError("bad"), "error", "unknown"),
        (KeyboardInterrupt(), "error", "cancelled"),
        (asyncio.CancelledError(), "error", "cancelled"),
        (GeneratorExit(), "error", "cancelled"),
        (SystemExit(3), "error", "cancelled"),
    ],
)
def test_what_leaves_the_block_is_recorded_and_raised_on(
    desk: Desk, error: BaseException, status: str, kind: str
) -> None:
    with (
        pytest.raises(type(error)) as caught,
        desk.recorder.call(task="chat", provider="openai", model="gpt-4o"),
    ):
        raise error
    assert caught.value is error
    found = desk.call
    assert (found.status, found.error_code, found.error_message) == (status, kind, str(error))
    assert (found.provider_used, found.provider_model) == ("openai", "gpt-4o")


def test_the_first_end_counts(desk: Desk) -> None:
    call = desk.recorder.call(task="chat", provider="openai")
    call.finish(text="first")
    call.finish(text="another one")
    call.fail(ValueError("bad"))
    found = desk.call
    assert (found.status, found.response_content_length) == ("success", 5)


def test_an_error_after_the_answer_is_the_applications_own(desk: Desk) -> None:
    def parse(_response: object) -> None:
        raise ValueError("mine")

    def ask() -> None:
        with desk.recorder.call(task="chat", provider="openai") as call:
            call.finish(RESPONSE)
            parse(RESPONSE)

    with pytest.raises(ValueError, match="mine"):
        ask()
    assert desk.call.status == "success"


@pytest.mark.parametrize("provider", [None, "openai"])
def test_recovery_that_the_host_did_itself(desk: Desk, provider: str | None) -> None:
    with desk.recorder.call(
        task="chat", provider="openai", model="gpt-4o", prompt="hi", tenant_id="acme"
    ) as call:
        call.step(
            "fallback",
            action="ollama -> openai",
            error=TimeoutError("slow"),
            successful=True,
            time_ms=640,
            provider=provider,
        )
        call.finish(RESPONSE)
    found = desk.call
    assert (found.status, found.provider_used, found.fallback_used) == ("fallback", "openai", "openai")
    assert found.retry_count == 0
    (step,) = found.steps
    assert (step.strategy_name, step.action_taken, step.was_successful) == (
        "fallback",
        "ollama -> openai",
        True,
    )
    assert (step.step_number, step.recovery_time_ms) == (1, 640)
    assert step.recovery_result["trigger"]["pattern"] == "ollama_timeout"
    assert step.recovery_result["provider"] == "openai"
    assert [occurrence.pattern for occurrence in found.occurrences] == ["ollama_timeout"]


def test_the_provider_of_a_step_wins_over_its_words(desk: Desk) -> None:
    with desk.recorder.call(task="chat", provider="ollama", model="llama3.2") as call:
        call.step(
            "fallback",
            action="try another",
            error=ValueError(),
            successful=True,
            provider="ovhcloud",
            model="m",
        )
    found = desk.call
    assert (found.provider_used, found.provider_model, found.fallback_used) == ("ovhcloud", "m", "ovhcloud")
    assert found.steps[0].recovery_result["trigger"]["provider"] == "ollama"
    assert found.steps[0].recovery_result["trigger"]["model"] == "llama3.2"


def test_retries_and_simplifications_leave_the_first_provider_the_one_that_answered(desk: Desk) -> None:
    with desk.recorder.call(task="chat", provider="ollama", model="llama3.2") as call:
        call.step("retry", action="again", error=TimeoutError(), successful=False)
        call.step("fallback", action="ollama -> openai", error=TimeoutError(), successful=False)
        call.step("retry", action="back to ollama", error=ValueError(), successful=False, provider="ollama")
        call.step("simplify", action="shorter", error=ValueError(), successful=True)
    found = desk.call
    assert (found.status, found.provider_used, found.fallback_used) == ("success", "ollama", None)
    assert found.retry_count == 2
    assert [step.recovery_result["trigger"]["provider"] for step in found.steps] == [
        "ollama",
        "ollama",
        "openai",
        "ollama",
    ]


def test_a_retry_at_the_fallback_is_still_a_fallback(desk: Desk) -> None:
    with desk.recorder.call(task="chat", provider="ollama") as call:
        call.step(
            "fallback", action="ollama -> openai", error=TimeoutError(), successful=False, model="gpt-4o"
        )
        call.step("retry", action="openai again", error=TimeoutError(), successful=True)
    found = desk.call
    assert (found.status, found.provider_used, found.provider_model) == ("fallback", "openai", "gpt-4o")


def test_another_model_of_the_same_provider_is_a_fallback(desk: Desk) -> None:
    with desk.recorder.call(task="chat", provider="openai", model="gpt-4o") as call:
        call.step(
            "fallback",
            action="gpt-4o -> gpt-4o-mini",
            error=ValueError(),
            successful=True,
            model="gpt-4o-mini",
        )
    found = desk.call
    assert (found.status, found.fallback_used, found.provider_model) == ("fallback", "openai", "gpt-4o-mini")


def test_who_answers_instead_of_one_that_was_passed_over_is_a_fallback(desk: Desk) -> None:
    with desk.recorder.call(task="chat", provider="ollama", model="llama3.2") as call:
        call.ask_instead("openai", "gpt-4o")
        call.finish(RESPONSE)
    found = desk.call
    assert (found.status, found.provider_used, found.fallback_used) == ("fallback", "openai", "openai")
    assert found.provider_model == "gpt-4o-2024-08-06"
    assert found.response_metadata["attempts"] == 1


def test_a_step_without_its_error_still_counts_a_failure(desk: Desk) -> None:
    with desk.recorder.call(task="chat", provider="openai") as call:
        call.step("retry", action="again", successful=True)
    found = desk.call
    assert [occurrence.pattern for occurrence in found.occurrences] == ["openai_unknown"]


def test_a_call_given_up_after_its_steps_names_the_last_one_tried(desk: Desk) -> None:
    failure = Failure(FailureKind.OVERLOADED, "busy", "openai", "gpt-4o", http_status=503)
    call = desk.recorder.call(task="chat", provider="ollama", model="llama3.2")
    call.step(
        "fallback", action="ollama -> openai", error=TimeoutError("slow"), successful=False, model="gpt-4o"
    )
    call.fail(ProviderError(failure), metadata={"gave_up_because": "nobody is left"}, partial_text="Ho")
    found = desk.call
    assert (found.status, found.error_code, found.provider_used, found.provider_model) == (
        "error",
        "overloaded",
        "openai",
        "gpt-4o",
    )
    assert found.fallback_used == "openai"
    assert found.response_content_length == 2
    assert found.response_metadata["gave_up_because"] == "nobody is left"
    assert found.response_metadata["http_status"] == 503


@pytest.mark.parametrize(
    ("given_status", "recorded"),
    [("timeout", "timeout"), ("error", "error"), (None, "error"), ("sad", "error")],
)
def test_the_status_of_a_failed_call_is_one_of_two(
    desk: Desk, given_status: str | None, recorded: str
) -> None:
    desk.recorder.call(task="chat", provider="openai").fail(ValueError("bad"), status=given_status)
    assert desk.call.status == recorded


def test_an_answer_of_ours_and_the_applications_own_words(desk: Desk) -> None:
    answer = Answer("Hola.", "gpt-4o", Usage(1, 2, 3), "stop", confidence=0.5)
    desk.recorder.call(task="chat", provider="openai", request_id="a").finish(answer)
    desk.recorder.call(task="chat", provider="openai", request_id="b").finish(
        answer, text="Hola", tokens_used=9, confidence=0.8, model="gpt-4o-mini", metadata={"ttft_ms": 80}
    )
    assert desk.recorder.flush(5)
    first, second = desk.store.calls["a"], desk.store.calls["b"]
    assert (first.tokens_used, first.confidence_score, first.provider_model) == (3, 0.5, "gpt-4o")
    assert (second.tokens_used, second.confidence_score, second.provider_model) == (9, 0.8, "gpt-4o-mini")
    assert second.response_content_length == 4
    assert second.response_metadata["ttft_ms"] == 80


def test_a_response_that_says_nothing_leaves_its_length_unknown(desk: Desk) -> None:
    desk.recorder.call(task="chat", provider="openai").finish(object())
    assert desk.call.response_content_length is None


def test_content_is_kept_only_where_it_is_wanted_and_as_it_was(desk: Desk, capturing: Desk) -> None:
    for each in (desk, capturing):
        messages = [{"role": "user", "content": "hola"}]
        call = each.recorder.call(task="chat", provider="openai", prompt=messages)
        messages[0]["content"] = "changed later"
        call.finish(RESPONSE)
    assert (desk.call.prompt, desk.call.answer) == (None, None)
    assert (capturing.call.prompt, capturing.call.answer) == ([{"role": "user", "content": "hola"}], "Hola.")
    assert capturing.call.prompt_length == 4


def test_feedback_goes_with_its_call(desk: Desk) -> None:
    with desk.recorder.call(task="chat", provider="openai", tenant_id="acme") as call:
        pass
    desk.recorder.feedback(call.request_id, "thumbs_down", tenant_id="acme", correction="an invoice")
    assert desk.recorder.flush(5)
    (feedback,) = desk.store.feedback
    assert (feedback.request_id, feedback.user_feedback, feedback.tenant_id, feedback.correction_applied) == (
        call.request_id,
        "thumbs_down",
        "acme",
        "an invoice",
    )


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("not today")

    __float__ = __str__
    __getattr__: Callable[..., Any] = __str__


class Module(str, Enum):  # noqa: UP042 - hosts have such enums, and their str() is not their value
    COPILOT = "copilot"


def test_values_of_wrong_types_are_used_as_far_as_they_can_be(desk: Desk) -> None:
    with desk.recorder.call(
        task=Module.COPILOT,
        provider=None,  # type: ignore[arg-type]  # a host without types
        tenant_id=42,  # type: ignore[arg-type]  # a host without types
        user_id=uuid.UUID(int=1),  # type: ignore[arg-type]  # a host without types
        prompt=b"bytes",  # type: ignore[arg-type]  # a host without types
        temperature="hot",  # type: ignore[arg-type]  # a host without types
        max_tokens="100",  # type: ignore[arg-type]  # a host without types
        metadata={("a", 1): {1, 2}, "self": Hostile()},  # type: ignore[dict-item]  # a host without types
    ) as call:
        call.finish(tokens_used="many", confidence=85)  # type: ignore[arg-type]  # a host without types
    found = desk.call
    assert (found.task, found.provider_used, found.tenant_id) == ("copilot", "unknown", "42")
    assert found.user_id == "00000000-0000-0000-0000-000000000001"
    assert (found.prompt_length, found.temperature, found.max_tokens) == (0, None, 100)
    assert (found.tokens_used, found.confidence_score) == (None, None)
    assert found.request_metadata == {
        "('a', 1)": [1, 2],
        "self": "<Hostile>",
        "prompt_unknown": True,
        "changed": {"temperature": "hot"},
    }
    assert desk.recorder.dropped == 0


def test_a_prompt_that_can_be_read_only_once_is_left_to_its_reader(desk: Desk) -> None:
    prompt = iter([{"role": "user", "content": "hola"}])
    with desk.recorder.call(task="chat", provider="openai", prompt=prompt):  # type: ignore[arg-type]  # wrong
        assert len(list(prompt)) == 1


ODD = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(),
    st.floats(),
    st.binary(max_size=3),
    st.builds(Hostile),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2) | st.integers(), st.builds(Hostile), max_size=2),
    st.builds(ValueError),
)
ODD_CALL = st.fixed_dictionaries(
    dict.fromkeys(
        [
            *("task", "provider", "model", "prompt", "tenant_id", "module", "user_id", "request_id"),
            *("temperature", "max_tokens", "metadata"),
        ],
        ODD,
    )
)
ODD_STEP = st.fixed_dictionaries(
    dict.fromkeys(
        ["strategy", "action", "error", "successful", "time_ms", "provider", "model", "result"], ODD
    )
)
ODD_FINISH = st.fixed_dictionaries(
    dict.fromkeys(["response", "text", "tokens_used", "confidence", "model", "metadata"], ODD)
)


def test_no_value_whatever_raises_or_loses_the_call() -> None:
    desk = Desk(MemoryStore(), capture="full")
    count = 0

    @given(ODD_CALL, ODD_STEP, ODD_FINISH, ODD)
    def check(
        call_args: dict[str, Any], step_args: dict[str, Any], finish_args: dict[str, Any], error: Any
    ) -> None:
        nonlocal count
        with desk.recorder.call(**{**call_args, "request_id": f"req-{count}"}) as call:
            call.step(**step_args)
            if error is None:
                call.finish(**finish_args)
            else:
                call.fail(error, status=error, metadata=error, partial_text=error)
        desk.recorder.feedback(error, error, tenant_id=error, correction=error)
        count += 1

    check()
    desk.recorder.close(30)
    assert len(desk.store.calls) == count
    assert desk.recorder.dropped == 0


def test_a_failing_reader_or_sink_is_the_recorders_problem(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Reader):
        def from_exception(self, error: BaseException, *, provider: str, model: str | None) -> Failure:
            raise RuntimeError("the prompt was: 12345")

    store = MemoryStore()
    recorder = Recorder(lambda: new_writer(opening(store)), Faulty())
    with (
        pytest.raises(ValueError, match="bad"),
        recorder.call(task="chat", provider="openai", request_id="a"),
    ):
        raise ValueError("bad")
    recorder.close()
    assert (store.calls["a"].error_code, store.calls["a"].error_message) == ("unknown", "bad")
    assert "RuntimeError" in caplog.text
    assert "12345" not in caplog.text


def test_recording_does_not_wait_for_a_store_that_hangs() -> None:
    store = BlockedStore()
    desk = Desk(store)
    desk.recorder.call(task="chat", provider="openai").finish(text="a")
    assert store.entered.wait(5)
    done = threading.Event()

    def work() -> None:
        for _ in range(100):
            with desk.recorder.call(task="chat", provider="openai", prompt="hi") as call:
                call.finish(RESPONSE)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    assert done.wait(5)
    worker.join()
    assert len(store.calls) == 0
    store.released.set()
    desk.recorder.close()
    assert len(store.calls) == 101


def test_a_recorder_is_a_context_manager() -> None:
    store = MemoryStore()
    with Recorder(lambda: new_writer(opening(store)), Reader()) as recorder:
        recorder.call(task="chat", provider="openai").finish(text="a")
    assert len(store.calls) == 1
    assert store.closed
    assert recorder.stats.waiting == 0
