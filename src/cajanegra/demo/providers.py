"""Three simulated providers on loopback, and the weather that they go through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from cajanegra.errors import CajanegraError

try:
    from llmock.chaos import ChaosSettings
    from llmock.ratelimit import LimitSettings
    from llmock.scenarios import Behavior, Delay, Fail, Match, Reply, StreamFault
    from llmock.simulation import MockResponseSettings
    from llmock.testing import LLMockServer
    from llmock.verdict import judge
except ImportError:
    raise CajanegraError(
        "the demonstration needs its simulated providers: pip install 'cajanegra[demo]'"
    ) from None

TIMEOUT = 1.5
"""Seconds that an attempt may take; a provider that hangs does so for longer."""
_HANG = 4.0
"""Seconds that a provider hangs: too long for the client, short enough for the servers to stop soon after."""
_USUAL = 300
"""Calls for which the weather is written; how long an outage lasts goes with the number of calls."""
HOST_MODEL = "gpt-4o"
"""What the application's own client asks for, so that it can have failures of its own."""
_WINDOW = 8_192
_PLAIN = Match(stream=False)


@dataclass(frozen=True, slots=True)
class _Simulated:
    model: str
    latency_ms: int
    context_window: int


_PROVIDERS: Mapping[str, _Simulated] = {
    "ollama": _Simulated("llama3.2", 90, _WINDOW),
    "ovhcloud": _Simulated("Meta-Llama-3_3-70B-Instruct", 60, _WINDOW),
    "openai": _Simulated("gpt-4o-mini", 40, 128_000),
}
NAMES = tuple(_PROVIDERS)


def _weather(total: int) -> list[tuple[float, str, Behavior]]:
    """When (as a share of the calls), at whom, and what goes wrong: the failures of a bad day."""

    def some(times: int) -> int:
        return max(1, round(times * total / _USUAL))

    busy = Fail(429, retry_after=0.6, code="rate_limit_exceeded", times=some(4), message=_RATE_LIMIT)
    filtered = Fail(400, code="content_filter", message=_FILTERED)
    return [
        (0.04, "ollama", Fail(503, times=some(2), message=_LOADING)),
        (0.10, "ollama", Delay(_HANG, times=some(2), match=_PLAIN)),
        (0.14, "openai", Fail(503, times=some(2), match=Match(model=HOST_MODEL), message=_UNAVAILABLE)),
        (0.16, "ollama", StreamFault("disconnect", after_chunks=0, times=some(3))),
        (0.20, "ollama", Reply(text="", times=some(2), match=_PLAIN)),
        (0.24, "ollama", StreamFault("stall", after_chunks=0, stall_seconds=_HANG, times=some(2))),
        (0.26, "ollama", Fail(500, times=some(5), message=_CRASH)),
        (0.34, "ollama", Fail(503, times=some(30), message=_BUSY)),
        (0.36, "ovhcloud", busy),
        (0.46, "ovhcloud", Fail(401, times=some(6), message="Invalid token: it has expired")),
        (0.48, "ollama", Fail(502, times=some(12), message="Bad gateway")),
        (0.58, "ollama", Fail(500, times=some(4), message=_MEMORY)),
        (0.64, "ollama", StreamFault("disconnect", after_chunks=4, times=some(1))),
        *((0.70, name, filtered) for name in NAMES),
        (
            0.76,
            "ollama",
            Fail(404, times=some(3), message="model 'llama3.2' not found, try pulling it first"),
        ),
        (0.82, "ollama", Fail(503, times=some(16), message=_UNAVAILABLE)),
        (0.82, "ovhcloud", Fail(503, times=some(10), message=_UNAVAILABLE)),
        (0.84, "openai", Fail(429, code="insufficient_quota", times=some(3), message=_QUOTA)),
        (0.92, "ollama", Delay(_HANG, match=_PLAIN)),
    ]


_RATE_LIMIT = "Rate limit reached: requests per minute. Please try again in 0.6s."
_LOADING = "the model 'llama3.2' is currently loading, try again"
_BUSY = "server busy, please try again. maximum pending requests exceeded"
_UNAVAILABLE = "Service unavailable"
_FILTERED = "The content management policy of this service blocked the prompt."
_CRASH = "llama runner process has terminated: exit status 2"
_MEMORY = "model requires more system memory (8.4 GiB) than is available (6.1 GiB)"
_QUOTA = "You exceeded your current quota, please check your plan and billing details."


class Providers:
    """The running simulated providers."""

    def __init__(self, servers: Mapping[str, LLMockServer], total: int) -> None:
        self._servers = servers
        self._coming = [(share * total, name, behavior) for share, name, behavior in _weather(total)]

    @property
    def settings(self) -> list[dict[str, Any]]:
        """The ``[[providers]]`` that reach them."""
        return [
            {
                "name": name,
                "base_url": server.base_url("openai"),
                "models": [_PROVIDERS[name].model],
                "timeout": TIMEOUT,
            }
            for name, server in self._servers.items()
        ]

    def before_call(self, number: int) -> None:
        """Let happen what is due before the call of that number."""
        while self._coming and self._coming[0][0] <= number:
            _at, name, behavior = self._coming.pop(0)
            self._servers[name].state.scenarios.add(behavior)

    def verdict(self) -> list[str]:
        """What the simulator holds against the client that it served: errors alone, one line each."""
        findings = []
        for name, server in self._servers.items():
            records = server.state.journal.records(wait=2.0)
            findings += [f"{name}: {finding.code}" for finding in judge(records).errors]
        return findings


@contextmanager
def running(total: int) -> Iterator[Providers]:
    """Start the providers for a demonstration of so many calls; they stop at the end, whatever happens."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_server(name)) for name in NAMES}
        yield Providers(servers, total)


def _server(name: str) -> LLMockServer:
    simulated = _PROVIDERS[name]
    server = LLMockServer(
        chaos=ChaosSettings(latency_ms=simulated.latency_ms),
        responses=MockResponseSettings(response_style="varied"),
    )
    server.state.limiter.configure(LimitSettings(context_window=simulated.context_window))
    return server
