"""The official client of OpenAI against a running gateway, before an upstream that does what a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.storage import reads
from cajanegra.storage.database import Database
from gateway_server import Gateway, Upstream, gateway, provider, recorded, upstream
from provider_servers import DONE, answers, chat_completion, delta, event, streams

HELLO: Any = [{"role": "user", "content": "Hola"}]
ERRORS: dict[int, tuple[str, type[openai.APIStatusError], str]] = {
    400: ("Invalid value for 'seed'", openai.BadRequestError, "invalid_request"),
    401: ("Incorrect API key provided", openai.AuthenticationError, "auth"),
    403: ("You are not allowed to sample from this model", openai.PermissionDeniedError, "permission"),
    404: ("The model `m` does not exist", openai.NotFoundError, "model_not_found"),
    429: ("Rate limit reached for requests", openai.RateLimitError, "rate_limit"),
    500: ("The server had an error", openai.InternalServerError, "server_error"),
}


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    return module_database


@pytest.fixture(scope="module")
def first() -> Iterator[Upstream]:
    with upstream() as first:
        yield first


@pytest.fixture(scope="module")
def local() -> Iterator[Upstream]:
    """An Ollama server."""
    with upstream() as local:
        yield local


@pytest.fixture(scope="module")
def running(
    database: Database, first: Upstream, local: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    providers = [
        provider("openai", first.url, ["gpt-4o-mini", "text-embedding-3-small"], prices_of="openai"),
        provider("local", local.url, ["llama3.2"], kind="ollama"),
        *(provider(f"error-{status}", f"{first.url}/{status}", ["m"]) for status in ERRORS),
    ]
    directory = tmp_path_factory.mktemp("server")
    with gateway(
        directory,
        database,
        providers=providers,
        models={
            **{f"error-{status}": {f"error-{status}": "m"} for status in ERRORS},
            "fast": {"openai": "gpt-4o-mini"},
            "own": {"local": "llama3.2"},
        },
        recovery={"attempts": 2, "timeout": 20},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def key(running: Gateway) -> str:
    return running.key("acme")


@pytest.fixture
def client(running: Gateway, key: str, first: Upstream) -> Iterator[OpenAI]:
    first.script = answers(chat_completion())
    with OpenAI(base_url=running.v1, api_key=key, max_retries=0) as client:
        yield client


def test_an_answer_is_passed_on_as_the_provider_gave_it(client: OpenAI, first: Upstream) -> None:
    body = {**chat_completion(), "x_unknown": {"kept": [1, 2.50]}, "system_fingerprint": "fp"}
    first.script = answers(json.dumps(body, indent=1).encode())
    raw = client.chat.completions.with_raw_response.create(model="fast", messages=HELLO)
    assert raw.http_response.content == json.dumps(body, indent=1).encode()
    assert raw.headers["x-cajanegra-provider"] == "openai"
    assert raw.headers["x-cajanegra-attempts"] == "1"


def test_what_is_not_known_travels_through(client: OpenAI, first: Upstream) -> None:
    image: Any = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            ],
        }
    ]
    client.chat.completions.create(
        model="gpt-4o-mini",
        messages=image,
        n=1,
        logprobs=True,
        reasoning_effort="low",
        seed=7,
        extra_body={"x_own": {"a": 1}},
    )
    sent = first.last
    assert sent["messages"] == image
    assert sent["model"] == "gpt-4o-mini"
    assert (sent["logprobs"], sent["reasoning_effort"], sent["seed"]) == (True, "low", 7)
    assert sent["x_own"] == {"a": 1}
    assert "stream" not in sent


def test_a_call_is_recorded_with_who_asked_and_what_it_cost(
    running: Gateway, key: str, first: Upstream, database: Database
) -> None:
    first.script = answers(chat_completion())
    headers = {
        "X-Cajanegra-Module": "imports",
        "X-Cajanegra-Task": "classification",
        "X-Cajanegra-Request-Id": "my-own:1",
    }
    with OpenAI(base_url=running.v1, api_key=key, default_headers=headers) as client:
        client.chat.completions.create(model="fast", messages=HELLO, user="u1", temperature=0.3, max_tokens=9)
    call = recorded(database, "my-own:1").call
    assert (call["tenant_id"], call["module"], call["task"]) == ("acme", "imports", "classification")
    assert (call["user_id"], call["temperature"], call["max_tokens"]) == ("u1", 0.3, 9)
    assert (call["model_requested"], call["provider_used"], call["status"]) == ("fast", "openai", "success")
    assert call["prompt_length"] == 4
    assert call["request_metadata"]["key"] == key[:13]
    details = call["response_metadata"]
    # 4 fresh and 16 cached tokens in, 5 out; gpt-4o costs 2.50, 1.25 and 10 dollars a million.
    assert details["cost"] == pytest.approx((4 * 2.5 + 16 * 1.25 + 5 * 10) / 1e6)
    assert details["cost_currency"] == "USD"
    assert details["cost_prices"].startswith("genai-prices ")


def test_a_call_that_its_caller_records_is_not_recorded_twice(
    running: Gateway, client: OpenAI, database: Database
) -> None:
    given = {"X-Cajanegra-Recorded": "1", "X-Cajanegra-Request-Id": "theirs"}
    client.chat.completions.create(model="fast", messages=HELLO, extra_headers=given)
    raw = client.chat.completions.with_raw_response.create(model="fast", messages=HELLO)
    recorded(database, raw.headers["x-cajanegra-request-id"])
    assert reads.call(database, ALL_TENANTS, "theirs") is None


def test_a_stream_is_passed_on_as_it_comes(client: OpenAI, first: Upstream) -> None:
    first.script = streams(
        delta("", role="assistant"), delta("Ho"), delta("la", x_unknown=1), delta(finish_reason="stop"), DONE
    )
    with client.chat.completions.create(model="fast", messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "Ho", "la", None]
    assert chunks[2].choices[0].delta.model_extra == {"x_unknown": 1}
    assert chunks[-1].choices[0].finish_reason == "stop"


USAGE = event(
    {
        "object": "chat.completion.chunk",
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }
)


@pytest.mark.parametrize("asked", [False, True])
def test_usage_of_a_stream_is_recorded_and_told_to_who_asks(
    client: OpenAI, first: Upstream, database: Database, asked: bool
) -> None:
    first.script = streams(delta("Hola"), delta(finish_reason="stop"), USAGE, DONE)
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    raw = client.chat.completions.with_raw_response.create(
        model="fast", messages=HELLO, stream=True, **options
    )
    usages = [chunk.usage for chunk in raw.parse()]
    assert (usages[-1] is not None) == asked
    assert len(usages) == 2 + asked
    call = recorded(database, raw.headers["x-cajanegra-request-id"]).call
    assert call["tokens_used"] == 11
    assert call["response_content_length"] == 4


def choice(index: int, content: str | None = None, finish_reason: str | None = None) -> bytes:
    changes = {"content": content} if content else {}
    one = {"index": index, "delta": changes, "finish_reason": finish_reason}
    return event({"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [one]})


def test_every_choice_of_a_stream_arrives(client: OpenAI, first: Upstream) -> None:
    first.script = streams(
        choice(0, "a"),
        choice(1, "b"),
        choice(0, finish_reason="stop"),
        choice(1, "c"),
        choice(1, finish_reason="length"),
        DONE,
    )
    said = {0: "", 1: ""}
    ends: dict[int, Any] = {}
    for chunk in client.chat.completions.create(model="fast", messages=HELLO, n=2, stream=True):
        for one in chunk.choices:
            said[one.index] += one.delta.content or ""
            ends[one.index] = one.finish_reason or ends.get(one.index)
    assert said == {0: "a", 1: "bc"}
    assert ends == {0: "stop", 1: "length"}


TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def test_tool_calls_of_a_stream_arrive_piece_by_piece(client: OpenAI, first: Upstream) -> None:
    def call(arguments: str, **more: Any) -> bytes:
        return delta(
            tool_calls=[{"index": 0, **more, "function": {"arguments": arguments, **more.get("f", {})}}]
        )

    first.script = streams(
        call("", id="call_1", type="function", f={"name": "weather"}),
        call('{"city":'),
        call('"Lima"}'),
        delta(finish_reason="tool_calls"),
        DONE,
    )
    with client.chat.completions.stream(model="fast", messages=HELLO, tools=TOOLS) as stream:
        final = stream.get_final_completion()
    (made,) = final.choices[0].message.tool_calls or []
    assert (made.function.name, json.loads(made.function.arguments)) == ("weather", {"city": "Lima"})


class Invoice(BaseModel):
    number: str
    days: int


def test_structured_outputs_are_parsed(client: OpenAI, first: Upstream) -> None:
    first.script = answers(chat_completion('{"number": "2024-117", "days": 30}'))
    parsed = client.chat.completions.parse(model="fast", messages=HELLO, response_format=Invoice)
    assert parsed.choices[0].message.parsed == Invoice(number="2024-117", days=30)
    assert first.last["response_format"]["json_schema"]["name"] == "Invoice"


def test_json_with_slips_is_mended_plain_and_streamed(client: OpenAI, first: Upstream) -> None:
    wrong = "```json\n{'number': '2024-117', 'days': 30,}\n```"
    right = {"number": "2024-117", "days": 30}
    wanted: Any = {"type": "json_object"}
    first.script = answers({**chat_completion(wrong), "x_unknown": 1})
    plain = client.chat.completions.create(model="fast", messages=HELLO, response_format=wanted)
    assert json.loads(plain.choices[0].message.content or "") == right
    assert plain.model_extra == {"x_unknown": 1}
    first.script = streams(delta(wrong[:20]), delta(wrong[20:]), delta(finish_reason="stop"), DONE)
    chunks = client.chat.completions.create(model="fast", messages=HELLO, response_format=wanted, stream=True)
    assert json.loads("".join(chunk.choices[0].delta.content or "" for chunk in chunks)) == right


def test_the_asynchronous_client_asks_many_at_once(running: Gateway, key: str, first: Upstream) -> None:
    first.script = answers(chat_completion())

    async def ask() -> list[str | None]:
        async with AsyncOpenAI(base_url=running.v1, api_key=key) as client:
            asked = (client.chat.completions.create(model="fast", messages=HELLO) for _ in range(40))
            return [one.choices[0].message.content for one in await asyncio.gather(*asked)]

    assert set(asyncio.run(ask())) == {"Hola."}


def test_ollama_answers_in_openais_form(client: OpenAI, local: Upstream) -> None:
    local.script = answers(
        {
            "model": "llama3.2",
            "message": {"role": "assistant", "content": "Hola."},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 7,
            "eval_count": 3,
        }
    )
    told = client.chat.completions.create(model="own", messages=HELLO)
    assert (told.choices[0].message.content, told.choices[0].finish_reason) == ("Hola.", "stop")
    assert (told.object, told.model) == ("chat.completion", "llama3.2")
    assert told.usage is not None
    assert told.usage.total_tokens == 10


def test_ollama_streams_in_openais_form(client: OpenAI, local: Upstream) -> None:
    lines = [
        {"model": "llama3.2", "message": {"content": "Ho"}, "done": False},
        {"model": "llama3.2", "message": {"content": "la"}, "done": False},
        {
            "model": "llama3.2",
            "message": {"content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 7,
            "eval_count": 2,
        },
    ]
    local.script = streams(
        *(json.dumps(line).encode() + b"\n" for line in lines), content_type="application/x-ndjson"
    )
    with client.chat.completions.stream(
        model="local/llama3.2", messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "Hola"
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None
    assert final.usage.total_tokens == 9


def test_embeddings_are_passed_on_and_recorded(client: OpenAI, first: Upstream, database: Database) -> None:
    first.script = answers(
        {
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
            "usage": {"prompt_tokens": 4, "total_tokens": 4},
        }
    )
    raw = client.embeddings.with_raw_response.create(
        model="text-embedding-3-small", input=["Hola", "mundo"], encoding_format="float"
    )
    assert raw.parse().data[0].embedding == [0.25, -0.5]
    call = recorded(database, raw.headers["x-cajanegra-request-id"]).call
    assert (call["task"], call["tokens_used"], call["prompt_length"]) == ("embeddings", 4, len("Hola\nmundo"))
    assert call["response_metadata"]["cost"] == pytest.approx(4 * 0.02 / 1e6)


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-4o-mini",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hola.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 3,
        "output_tokens": 2,
        "total_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}


def test_responses_are_passed_on_and_recorded(client: OpenAI, first: Upstream, database: Database) -> None:
    first.script = answers(RESPONSE)
    raw = client.responses.with_raw_response.create(model="fast", input="Hola", instructions="Be brief.")
    assert raw.parse().output_text == "Hola."
    call = recorded(database, raw.headers["x-cajanegra-request-id"]).call
    assert (call["task"], call["tokens_used"], call["response_content_length"]) == ("responses", 5, 5)


def test_responses_are_streamed(client: OpenAI, first: Upstream, database: Database) -> None:
    def named(data: dict[str, Any]) -> bytes:
        return f"event: {data['type']}\n".encode() + event(data)

    part = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    first.script = streams(
        named(
            {
                "type": "response.created",
                "sequence_number": 0,
                "response": {**RESPONSE, "status": "in_progress"},
            }
        ),
        named({"type": "response.output_text.delta", "sequence_number": 1, "delta": "Hola.", **part}),
        named({"type": "response.completed", "sequence_number": 2, "response": RESPONSE}),
    )
    raw = client.responses.with_raw_response.create(model="fast", input="Hola", stream=True)
    kinds = [one.type for one in raw.parse()]
    assert kinds == ["response.created", "response.output_text.delta", "response.completed"]
    call = recorded(database, raw.headers["x-cajanegra-request-id"]).call
    assert (call["tokens_used"], call["response_content_length"], call["status"]) == (5, 5, "success")


def test_text_completions_are_passed_on_plain_and_streamed(client: OpenAI, first: Upstream) -> None:
    def completion(text: str, finish_reason: str | None) -> dict[str, Any]:
        one = {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [one]}

    first.script = answers(completion("Hola.", "stop"))
    assert client.completions.create(model="fast", prompt="Say").choices[0].text == "Hola."
    first.script = streams(event(completion("Ho", None)), event(completion("la", "stop")), DONE)
    streamed = client.completions.create(model="fast", prompt="Say", stream=True)
    assert [chunk.choices[0].text for chunk in streamed] == ["Ho", "la"]


def test_models_are_listed_by_every_name(client: OpenAI) -> None:
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert listed["fast"] == "cajanegra"
    assert listed["openai/gpt-4o-mini"] == listed["gpt-4o-mini"] == "openai"
    assert listed["local/llama3.2"] == "local"
    assert client.models.retrieve("openai/gpt-4o-mini").id == "openai/gpt-4o-mini"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


def error_body(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x", "code": None, "param": None}}


@pytest.mark.parametrize("status", ERRORS)
def test_an_error_raises_what_the_client_knows_and_says_what_was_tried(
    client: OpenAI, first: Upstream, database: Database, status: int
) -> None:
    message, expected, kind = ERRORS[status]
    first.script = answers(error_body(message), status=status)
    with pytest.raises(expected) as caught:
        client.chat.completions.create(model=f"error-{status}", messages=HELLO)
    told = caught.value.body["cajanegra"]  # type: ignore[index]
    assert told["kind"] == kind
    assert told["pattern"].startswith(f"error-{status}_")
    assert told["suggested_action"]
    assert told["attempts"] == int(caught.value.response.headers["x-cajanegra-attempts"])
    assert len(told["steps"]) == told["attempts"] - 1
    call = recorded(database, told["request_id"]).call
    assert (call["status"], call["error_code"]) == ("error", kind)


def test_a_stream_that_is_cut_ends_with_an_error_and_never_with_done(
    running: Gateway, key: str, client: OpenAI, first: Upstream, database: Database
) -> None:
    first.script = streams(delta("Ho"), cut=True)
    raw = client.chat.completions.with_raw_response.create(model="fast", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="no provider answered") as caught:
        list(raw.parse())
    assert caught.value.body["cajanegra"]["kind"] == "stream_interrupted"  # type: ignore[index]
    call = recorded(database, raw.headers["x-cajanegra-request-id"]).call
    assert (call["error_code"], call["response_content_length"]) == ("stream_interrupted", 2)
    with client.chat.completions.with_streaming_response.create(
        model="fast", messages=HELLO, stream=True
    ) as response:
        assert b"[DONE]" not in response.read()


def test_a_stream_that_fails_before_its_first_content_is_recovered_unseen(
    client: OpenAI, first: Upstream, local: Upstream
) -> None:
    filtered = {"code": "content_filter", "message": "The prompt triggered the content management policy"}
    first.script = streams(delta("", role="assistant"), event({"error": filtered}))
    line = {"model": "llama3.2", "message": {"content": "Hola"}, "done": True, "done_reason": "stop"}
    local.script = streams(json.dumps(line).encode() + b"\n", content_type="application/x-ndjson")
    raw = client.chat.completions.with_raw_response.create(
        model="openai/gpt-4o-mini", messages=HELLO, stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse()) == "Hola"
    assert raw.headers["x-cajanegra-provider"] == "local"
    assert raw.headers["x-cajanegra-attempts"] == "2"
