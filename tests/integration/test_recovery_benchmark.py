"""The fault world over real connections: each fault as a client sees it, and bad clients as the judge sees them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from benchmarks.recovery.calls import RESPONSE_FORMAT, Call
from benchmarks.recovery.contestant import Client, Endpoint, contestant
from benchmarks.recovery.drive import drive
from benchmarks.recovery.judge import Verdict, judge
from benchmarks.recovery.world import RETRY_AFTER_FORMS, Episode, Kind, World

from fault_world import Served, always, call, serving, world_with

STATUSES = {
    Kind.QUOTA: (429, "insufficient_quota"),
    Kind.DEAD_KEY: (401, "invalid_api_key"),
    Kind.FORBIDDEN: (403, "permission_denied"),
    Kind.UNKNOWN_MODEL: (404, "model_not_found"),
    Kind.SERVER_ERROR: (500, "internal_error"),
    Kind.BAD_GATEWAY: (502, "<html>"),
    Kind.UNAVAILABLE: (503, "temporarily unavailable"),
    Kind.CONTENT_FILTER: (400, "content_filter"),
}


class Asking:
    """The least client: one request, and what came back."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: Endpoint) -> None:
        self._session = session
        self._endpoint = endpoint

    async def post(self, one: Call) -> tuple[int, dict[str, str], str]:
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": one.messages,
            **one.parameters,
        }
        if one.as_json:
            body["response_format"] = RESPONSE_FORMAT
        if one.streamed:
            body["stream"] = True
        async with self._session.post(
            f"{self._endpoint.base_url}/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {self._endpoint.key}"},
            timeout=aiohttp.ClientTimeout(total=3),
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status, headers, await response.text()


async def ask(served: Served, one: Call, provider: int = 0) -> tuple[int, dict[str, str], str]:
    async with aiohttp.ClientSession() as session:
        return await Asking(session, served.endpoints[provider]).post(one)


def choice(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)["choices"][0]
    return found


def chunks(text: str) -> list[str]:
    return [line.removeprefix("data: ") for line in text.split("\n\n") if line]


def streamed_text(text: str) -> str:
    pieces = [json.loads(data)["choices"] for data in chunks(text) if data.startswith("{")]
    return "".join(each[0]["delta"].get("content") or "" for each in pieces if each)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_right_answer_where_nothing_is_wrong(as_json: bool) -> None:
    async def scenario() -> None:
        one = call(as_json=as_json)
        async with serving(world_with()) as served:
            _status, _headers, body = await ask(served, one)
            assert one.is_right(choice(body)["message"]["content"])
            _status, _headers, body = await ask(served, call(streamed=True))
            assert chunks(body)[-1] == "[DONE]"
            assert call().is_right(streamed_text(body))
        first = served.log[0]
        assert (first.number, first.provider, first.key, first.fault) == (1, 0, "sk-alfa", "")
        assert served.log[1].streamed
        assert served.log[1].content

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", STATUSES)
def test_errors_have_their_status_and_code(kind: Kind) -> None:
    async def scenario() -> None:
        async with serving(world_with(always(kind))) as served:
            status, headers, body = await ask(served, call())
            assert (status, "retry-after" in headers) == (STATUSES[kind][0], False)
            assert STATUSES[kind][1] in body
            assert (await ask(served, call(), provider=1))[0] == 200
        assert served.log[0].fault == kind

    asyncio.run(scenario())


def test_a_limit_may_say_nothing() -> None:
    async def scenario() -> None:
        async with serving(world_with(always(Kind.RATE_LIMIT))) as served:
            status, headers, body = await ask(served, call())
            assert (status, "retry-after" in headers, "again in" in body) == (429, False, False)
        assert served.log[0].wait_until is None

    asyncio.run(scenario())


def test_a_provider_names_the_parameter_that_it_rejects() -> None:
    one = dataclasses.replace(call(as_json=True), parameters={"temperature": 0.2, "max_tokens": 20_000})
    kinds = {
        Kind.TEMPERATURE: "temperature",
        Kind.MAX_TOKENS: "max_tokens",
        Kind.NO_SCHEMA: "response_format",
    }

    async def scenario() -> None:
        for kind, parameter in kinds.items():
            async with serving(world_with(always(kind, amount=16_384))) as served:
                status, _headers, body = await ask(served, one)
                assert (status, json.loads(body)["error"]["param"]) == (400, parameter)
                assert (await ask(served, call()))[0] == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("form", RETRY_AFTER_FORMS)
def test_a_limit_says_when_to_come_back_and_holds_until_then(form: str) -> None:
    limit = Episode(0, 0, 0.7, (Kind.RATE_LIMIT,), form=form)

    async def scenario() -> None:
        async with serving(world_with(limit)) as served:
            status, headers, body = await ask(served, call())
            assert status == 429
            said = served.log[0].wait_until
            assert said is not None
            assert _told(form, headers, body) == pytest.approx(said - served.log[0].at, abs=0.1)
            assert said >= 0.7
            while (left := said - (time.monotonic() - served.begin)) > 0.1:
                assert (await ask(served, call()))[0] == 429
            await asyncio.sleep(left)
            assert (await ask(served, call()))[0] == 200

    asyncio.run(scenario())


def _told(form: str, headers: dict[str, str], body: str) -> float:
    if form == "seconds":
        return float(headers["retry-after"])
    if form == "date":
        return parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
    if form == "milliseconds":
        return float(headers["retry-after-ms"]) / 1000
    error = json.loads(body)["error"]
    if form == "gemini":
        return float(error["details"][0]["retryDelay"].removesuffix("s"))
    return float(error["message"].rpartition(" in ")[2].removesuffix("s."))


@pytest.mark.parametrize("kind", [Kind.NOT_JSON, Kind.WRONG_SCHEMA, Kind.FENCED_JSON, Kind.CUT_AT_LIMIT])
def test_json_answers_are_spoilt_under_status_200(kind: Kind) -> None:
    async def scenario() -> None:
        one = call(as_json=True)
        async with serving(world_with(always(kind))) as served:
            status, _headers, body = await ask(served, one)
            assert status == 200
            assert choice(body)["finish_reason"] == ("length" if kind is Kind.CUT_AT_LIMIT else "stop")
            assert not one.is_right(choice(body)["message"]["content"])

    asyncio.run(scenario())


def test_silent_failures_in_one_piece() -> None:
    async def answer(kind: Kind) -> str:
        async with serving(world_with(always(kind))) as served:
            status, _headers, body = await ask(served, call())
            assert status == 200
            return body

    async def scenario() -> None:
        assert choice(await answer(Kind.EMPTY))["message"]["content"] == ""
        assert choice(await answer(Kind.NO_FINISH))["finish_reason"] is None
        assert choice(await answer(Kind.FILTERED))["finish_reason"] == "content_filter"
        assert choice(await answer(Kind.REFUSAL))["message"]["refusal"]
        assert "error" in json.loads(await answer(Kind.ERROR_IN_SUCCESS))
        assert (await answer(Kind.HTML)).startswith("<!doctype html>")
        with pytest.raises(ValueError, match=r"Unterminated|Expecting|Invalid"):
            json.loads(await answer(Kind.MALFORMED))
        with pytest.raises(aiohttp.ClientError):
            await answer(Kind.CUT)

    asyncio.run(scenario())


def test_silent_failures_in_streams() -> None:
    one = call(streamed=True)

    async def answer(kind: Kind) -> str:
        async with serving(world_with(always(kind))) as served:
            return (await ask(served, one))[2]

    async def scenario() -> None:
        unfinished = await answer(Kind.NO_FINISH)
        assert "[DONE]" not in unfinished
        assert '"finish_reason": "stop"' not in unfinished
        assert streamed_text(unfinished)
        assert streamed_text(await answer(Kind.EMPTY)) == ""
        assert '"error"' in await answer(Kind.ERROR_IN_SUCCESS)
        assert '"refusal"' in await answer(Kind.REFUSAL)
        assert (await answer(Kind.HTML)).startswith("<!doctype html>")
        with pytest.raises(ValueError, match=r"Unterminated|Expecting|Invalid"):
            streamed_text(await answer(Kind.MALFORMED))
        with pytest.raises(aiohttp.ClientError):
            await answer(Kind.CUT)

    asyncio.run(scenario())


def test_a_window_turns_down_with_numbers_and_a_truncating_one_answers_wrongly() -> None:
    one = call(tokens=3000)
    world = world_with(always(Kind.WINDOW, amount=1500), always(Kind.TRUNCATING, 1, amount=1500))

    async def scenario() -> None:
        async with serving(world) as served:
            status, _headers, body = await ask(served, one)
            assert (status, "1500 tokens" in body) == (400, True)
            _status, _headers, body = await ask(served, one, provider=1)
            assert not one.is_right(choice(body)["message"]["content"])
            assert json.loads(body)["usage"]["prompt_tokens"] <= 1500
            _status, _headers, body = await ask(served, one, provider=2)
            assert one.is_right(choice(body)["message"]["content"])

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [Kind.HANG, Kind.STALL])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_hang_lasts_until_the_client_leaves(kind: Kind, streamed: bool) -> None:
    async def scenario() -> None:
        async with serving(world_with(always(kind))) as served:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await ask(served, call(streamed=streamed))
            async with asyncio.timeout(2):
                while not served.log[0].gone:  # noqa: ASYNC110 - the log is plain data
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_a_slow_first_token_is_slow_and_right() -> None:
    async def scenario() -> None:
        async with serving(world_with(always(Kind.SLOW, amount=0.5))) as served:
            for one in (call(), call(streamed=True)):
                begin = time.monotonic()
                _status, _headers, body = await ask(served, one)
                assert time.monotonic() - begin >= 0.5
                text = streamed_text(body) if one.streamed else choice(body)["message"]["content"]
                assert one.is_right(text)

    asyncio.run(scenario())


def test_an_outage_refuses_connections_cuts_open_ones_and_ends() -> None:
    world = world_with(Episode(0, 0.4, 0.8, (Kind.REFUSED,)))

    async def scenario() -> None:
        async with serving(world) as served, aiohttp.ClientSession() as session:
            asking = Asking(session, served.endpoints[0])
            assert (await asking.post(call()))[0] == 200
            refused = 0
            while time.monotonic() - served.begin < 1.2:
                try:
                    await asking.post(call())
                except aiohttp.ClientConnectionError as error:
                    refused += isinstance(error, aiohttp.ClientConnectorError)
                    await asyncio.sleep(0.01)
            assert refused
            assert (await asking.post(call()))[0] == 200

    asyncio.run(scenario())


def test_a_reset_closes_the_connection_without_a_word() -> None:
    async def scenario() -> None:
        async with serving(world_with(always(Kind.RESET))) as served:
            with pytest.raises(aiohttp.ClientConnectionError):
                await ask(served, call())
        assert served.log[0].fault == Kind.RESET

    asyncio.run(scenario())


class Stubborn:
    """Asks the first provider again and again, and takes whatever it gets for an answer."""

    def __init__(self, asking: Asking, attempts: int) -> None:
        self._asking = asking
        self._attempts = attempts

    async def ask(self, one: Call) -> str:
        body = ""
        for _ in range(self._attempts):
            status, _headers, body = await self._asking.post(one)
            if status == 200:
                return str(choice(body)["message"]["content"])
        raise RuntimeError(body)

    async def stream(self, one: Call) -> AsyncIterator[str]:
        _status, _headers, body = await self._asking.post(one)
        yield streamed_text(body)

    async def aclose(self) -> None:
        return


async def judged(world: World, client: Client, served: Served) -> Verdict:
    driven = await drive(client, world.calls, served.begin)
    return judge(world, driven, served.log)


def stubborn(world: World, attempts: int = 12) -> Verdict:
    async def scenario() -> Verdict:
        async with serving(world) as served, aiohttp.ClientSession() as session:
            return await judged(world, Stubborn(Asking(session, served.endpoints[0]), attempts), served)

    return asyncio.run(scenario())


def test_a_client_that_ignores_retry_after_is_caught() -> None:
    verdict = stubborn(world_with(always(Kind.RATE_LIMIT, amount=5, form="milliseconds"), calls=[call()]))
    assert verdict.retry_after > 0
    assert verdict.served == 0
    assert verdict.attempts == 12


@pytest.mark.parametrize("kind", [Kind.DEAD_KEY, Kind.QUOTA])
def test_a_client_that_hammers_a_dead_provider_is_caught(kind: Kind) -> None:
    verdict = stubborn(world_with(always(kind), calls=[call()]))
    assert verdict.dead > 0
    assert verdict.repeated == 11


def test_a_client_that_repeats_what_a_filter_stopped_is_caught() -> None:
    assert stubborn(world_with(always(Kind.CONTENT_FILTER), calls=[call()])).repeated == 11


@pytest.mark.parametrize("kind", [Kind.EMPTY, Kind.NO_FINISH, Kind.REFUSAL])
def test_a_client_that_takes_anything_for_an_answer_is_caught(kind: Kind) -> None:
    verdict = stubborn(world_with(always(kind), calls=[call(), call(2, streamed=True)]))
    assert (verdict.wrong, verdict.served) == (2, 0)
    assert verdict.mistaken == {kind: 2}


def test_a_client_that_takes_a_truncated_prompt_is_caught() -> None:
    world = world_with(always(Kind.TRUNCATING, amount=1000), calls=[call(tokens=3000)])
    assert stubborn(world).mistaken == {Kind.TRUNCATING: 1}


def test_a_client_that_behaves_is_not_caught() -> None:
    calls: Sequence[Call] = [call(n, arrival=n / 100, streamed=n % 2 == 0) for n in range(10)]
    verdict = stubborn(world_with(calls=calls))
    assert (verdict.served, verdict.wrong, verdict.attempts) == (1.0, 0, 1.0)
    assert (verdict.retry_after, verdict.repeated, verdict.dead, verdict.overruns) == (0, 0, 0, 0)


@pytest.mark.parametrize("name", ["cajanegra", "careful-loop", "openai", "bare"])
def test_a_contestant_has_right_answers_while_nothing_is_wrong(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path_factory.mktemp("home")))
    world = world_with(
        calls=[call(n, arrival=n / 100, as_json=n % 3 == 0, streamed=n % 3 == 1) for n in range(9)]
    )

    async def scenario() -> Verdict:
        async with serving(world) as served:
            client = await contestant(name).connect(served.endpoints)
            verdict = await judged(world, client, served)
            await client.aclose()
            return verdict

    verdict = asyncio.run(scenario())
    assert (verdict.served, verdict.wrong, verdict.attempts) == (1.0, 0, 1.0)


@pytest.mark.parametrize("name", ["cajanegra", "careful-loop"])
def test_a_contestant_asks_the_next_provider(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path_factory.mktemp("home")))
    world = world_with(always(Kind.DEAD_KEY), calls=[call(1)])

    async def scenario() -> Verdict:
        async with serving(world) as served:
            client = await contestant(name).connect(served.endpoints)
            verdict = await judged(world, client, served)
            await client.aclose()
            return verdict

    assert asyncio.run(scenario()).served == 1.0
