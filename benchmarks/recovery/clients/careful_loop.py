"""A careful hand-written loop: providers in order, back-off that all calls share, answers looked at.

What a good engineer writes in a day: it knows which statuses are worth another try, reads ``Retry-After`` in
seconds, as a date and in milliseconds, remembers dead keys for a while, and checks that an answer is
finished, not empty, and JSON where JSON was asked for.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any

from benchmarks.recovery.calls import RESPONSE_FORMAT, Call
from benchmarks.recovery.contestant import ATTEMPT_SECONDS, Client, Endpoint

REQUIRES = "openai"

_NOT_AN_ANSWER = (ValueError, LookupError, TypeError, AttributeError)
"""What the SDK, or looking at what it returned, raises where a server answers with something else."""
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
_DEAD_SECONDS = 30.0
_DEAD = frozenset({401, 403, 404})
_NOT_FOR_THIS_ONE = frozenset({400, 413, 422})


@dataclass(slots=True)
class _State:
    """What all calls know of a provider."""

    endpoint: Endpoint
    sdk: Any
    not_before: float = 0.0
    failures: int = 0


class _BadAnswerError(Exception):
    """An answer that is none."""


async def connect(endpoints: Sequence[Endpoint]) -> Client:
    openai = import_module("openai")
    states = [
        _State(
            one,
            openai.AsyncOpenAI(
                base_url=one.base_url, api_key=one.key, timeout=ATTEMPT_SECONDS, max_retries=0
            ),
        )
        for one in endpoints
    ]
    return _Loop(states, openai)


class _Loop:
    def __init__(self, states: Sequence[_State], openai: Any) -> None:
        self._states = states
        self._openai = openai

    async def ask(self, call: Call) -> str:
        return "".join([text async for text in self.stream(call)])

    async def stream(self, call: Call) -> AsyncIterator[str]:
        deadline = time.monotonic() + call.deadline
        barred: set[str] = set()
        while state := self._next(barred):
            wait = state.not_before - time.monotonic()
            if time.monotonic() + max(wait, 0) >= deadline:
                break
            if wait > 0:
                await asyncio.sleep(wait)
                continue  # another call may have learnt something meanwhile
            begun = False
            try:
                async with asyncio.timeout_at(
                    asyncio.get_running_loop().time() + deadline - time.monotonic()
                ):
                    async for text in self._attempt(state, call):
                        begun = begun or bool(text)
                        yield text
            except (self._openai.OpenAIError, _BadAnswerError, *_NOT_AN_ANSWER) as error:
                self._learn(state, error, barred)
                if begun:
                    raise
            else:
                state.failures = 0
                return
        raise _BadAnswerError("nobody answered in time")

    def _next(self, barred: set[str]) -> _State | None:
        """The first that may be asked now, else the one that may be asked soonest."""
        now = time.monotonic()
        left = [state for state in self._states if state.endpoint.name not in barred]
        return min(left, key=lambda state: max(state.not_before - now, 0), default=None)

    async def _attempt(self, state: _State, call: Call) -> AsyncIterator[str]:
        arguments: dict[str, Any] = {
            "model": state.endpoint.model,
            "messages": call.messages,
            **call.parameters,
        }
        if call.as_json:
            arguments["response_format"] = RESPONSE_FORMAT
        if call.streamed:
            finished = said = False
            async for chunk in await state.sdk.chat.completions.create(**arguments, stream=True):
                for choice in chunk.choices:
                    finished = finished or choice.finish_reason is not None
                    said = said or bool(choice.delta.content)
                    yield choice.delta.content or ""
            if not finished or not said:
                raise _BadAnswerError("the stream is empty or ended early")
            return
        answer = await state.sdk.chat.completions.create(**arguments)
        choice = answer.choices[0]
        text = choice.message.content
        if not text or choice.finish_reason is None:
            raise _BadAnswerError("the answer is empty or unfinished")
        if call.as_json:
            json.loads(text)
        yield text

    def _learn(self, state: _State, error: Exception, barred: set[str]) -> None:
        status = getattr(error, "status_code", None)
        now = time.monotonic()
        quota = getattr(error, "code", None) == "insufficient_quota"
        if status in _DEAD or quota:
            state.not_before = now + _DEAD_SECONDS
            barred.add(state.endpoint.name)
        elif status in _NOT_FOR_THIS_ONE:
            barred.add(state.endpoint.name)
        elif status is not None or isinstance(error, self._openai.APIConnectionError):
            asked = _retry_after(error)
            backoff = min(_FIRST_WAIT * 2**state.failures, _LONGEST_WAIT)
            state.failures = min(state.failures + 1, 10)
            wait = asked if asked is not None else backoff * (0.5 + random.random() / 2)  # noqa: S311 - jitter
            state.not_before = max(state.not_before, now + wait)
        else:  # a bad answer: this one may get a better one elsewhere
            barred.add(state.endpoint.name)

    async def aclose(self) -> None:
        for state in self._states:
            await state.sdk.close()


def _retry_after(error: Exception) -> float | None:
    response = getattr(error, "response", None)
    headers = response.headers if response is not None else {}
    if milliseconds := headers.get("retry-after-ms"):
        return float(milliseconds) / 1000
    if not (value := headers.get("retry-after")):
        return None
    try:
        return float(value)
    except ValueError:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0)
