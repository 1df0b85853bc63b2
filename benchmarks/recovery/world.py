"""The world: what each provider does to each call at each moment, a pure function of seed and scenario."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.recovery.calls import DEADLINE, Call, chance

PROVIDERS = ("alfa", "beta", "gamma")
"""In the order in which an application would ask them: the fastest first."""

ERROR_SECONDS = 0.02
"""How long a provider takes to say no."""

_FASTEST = (0.06, 0.09, 0.13)
_SLOWEST = (0.16, 0.22, 0.30)
_SLOT = 0.5
"""Seconds after which a fault that meets a share of the requests is drawn anew for the same call."""
_STEP = 0.25


class Kind(StrEnum):
    """Everything that can be wrong with a provider."""

    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    QUOTA = "quota"
    DEAD_KEY = "dead_key"
    FORBIDDEN = "forbidden"
    UNKNOWN_MODEL = "unknown_model"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    RESET = "reset"
    HANG = "hang"
    STALL = "stall"
    SLOW = "slow"
    WINDOW = "window"
    TRUNCATING = "truncating"
    TEMPERATURE = "temperature"
    MAX_TOKENS = "max_tokens"
    NO_SCHEMA = "no_schema"
    CONTENT_FILTER = "content_filter"
    FILTERED = "filtered"
    EMPTY = "empty"
    NO_FINISH = "no_finish"
    CUT = "cut"
    MALFORMED = "malformed"
    HTML = "html"
    ERROR_IN_SUCCESS = "error_in_success"
    REFUSAL = "refusal"
    NOT_JSON = "not_json"
    WRONG_SCHEMA = "wrong_schema"
    FENCED_JSON = "fenced_json"
    CUT_AT_LIMIT = "cut_at_limit"


LIMITED = frozenset({Kind.RATE_LIMIT, Kind.OVERLOADED})
"""They say when to come back."""
DEAD = frozenset({Kind.QUOTA, Kind.DEAD_KEY, Kind.FORBIDDEN, Kind.UNKNOWN_MODEL})
"""They will not serve anybody until somebody mends them."""
ONLY_JSON = frozenset({Kind.NOT_JSON, Kind.WRONG_SCHEMA, Kind.FENCED_JSON, Kind.CUT_AT_LIMIT, Kind.NO_SCHEMA})
SILENT = (
    Kind.EMPTY,
    Kind.NO_FINISH,
    Kind.MALFORMED,
    Kind.HTML,
    Kind.ERROR_IN_SUCCESS,
    Kind.REFUSAL,
    Kind.CUT,
    Kind.NOT_JSON,
    Kind.WRONG_SCHEMA,
    Kind.FENCED_JSON,
    Kind.CUT_AT_LIMIT,
)
"""Failures that come with status 200."""
RETRY_AFTER_FORMS = ("seconds", "date", "milliseconds", "body", "gemini")
"""How a limit says when to come back; without a form it does not say."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Something that is wrong with one provider for a while.

    Attributes:
        provider: its index in ``PROVIDERS``.
        start: seconds from the beginning of the world.
        end: the same.
        kinds: what is wrong; where there are several, each request meets one of them.
        share: of the requests that meet it.
        sticky: whether a call that met it meets it every time.
        amount: longest Retry-After that is announced, seconds to the first token, or a limit in tokens.
        form: how it is said, where there are several ways.
    """

    provider: int
    start: float
    end: float
    kinds: tuple[Kind, ...]
    share: float = 1.0
    sticky: bool = False
    amount: float = 0.0
    form: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a request a provider may take offence at.

    Attributes:
        tokens: size of the prompt.
        as_json: whether it asks for JSON by a schema.
        temperature: whether it sets one.
        max_tokens: longest answer that it asks for; 0 where it does not say.
    """

    tokens: int
    as_json: bool
    temperature: bool = False
    max_tokens: int = 0

    def offends(self, kind: Kind, limit: float) -> bool:
        """Whether a provider with such a flaw has anything against this request."""
        if kind in ONLY_JSON:
            return self.as_json
        if kind in (Kind.WINDOW, Kind.TRUNCATING):
            return self.tokens > limit
        if kind is Kind.MAX_TOKENS:
            return self.max_tokens > limit
        return self.temperature if kind is Kind.TEMPERATURE else True


@dataclass(frozen=True, slots=True)
class Fault:
    """What one request meets.

    Attributes:
        kind: what is wrong.
        amount: as in ``Episode``; of a limit, the seconds that are announced.
        form: as in ``Episode``.
        position: in [0, 1): how far an answer that is cut gets.
    """

    kind: Kind
    amount: float = 0.0
    form: str = ""
    position: float = 0.0


@dataclass(frozen=True, slots=True)
class World:
    """A scenario with its seed."""

    seed: int
    episodes: Sequence[Episode]
    calls: Sequence[Call]
    seconds: float
    """How long calls arrive; the world stays as it is at its end."""

    def fault(self, provider: int, at: float, number: int, shape: Shape) -> Fault | None:
        """What a request of that call meets at that time, or ``None`` where it is answered."""
        if at < 0:
            return None
        for index, episode in enumerate(self.episodes):
            if episode.provider != provider or not episode.start <= at < episode.end:
                continue
            draw = (self.seed, index, number, 0 if episode.sticky else int(at / _SLOT))
            if episode.share < 1 and chance(*draw) >= episode.share:
                continue
            kinds = [kind for kind in episode.kinds if shape.offends(kind, episode.amount)]
            if not kinds:
                continue
            kind = kinds[int(chance(*draw, "kind") * len(kinds))]
            amount = episode.amount
            if kind in LIMITED:
                amount = min(amount or DEADLINE, episode.end - at)
            return Fault(kind, amount, episode.form, chance(*draw, "position"))
        return None

    def latency(self, provider: int, number: int) -> float:
        """Seconds from a request to its whole answer, when nothing is wrong."""
        fastest, slowest = _FASTEST[provider], _SLOWEST[provider]
        return fastest + (slowest - fastest) * chance(self.seed, "latency", provider, number) ** 2

    def refusals(self, provider: int) -> list[tuple[float, float]]:
        """When a provider refuses connections."""
        return [(e.start, e.end) for e in self.episodes if e.provider == provider and Kind.REFUSED in e.kinds]

    def earliest(self, call: Call) -> float | None:
        """When a client that knows everything has the right answer; ``None``: never in time."""
        deadline, at = call.arrival + call.deadline, call.arrival
        best = deadline
        found = False
        while at < best:
            for provider in range(len(PROVIDERS)):
                finish = self._finish(provider, at, call)
                if finish is not None and finish < best:
                    best, found = finish, True
            at += _STEP
        return best if found else None

    def _finish(self, provider: int, at: float, call: Call) -> float | None:
        fault = self.fault(provider, at, call.number, Shape(call.essential_tokens, call.as_json))
        finish = at + self.latency(provider, call.number)
        if fault is not None:
            if fault.kind is not Kind.SLOW:
                return None
            finish += fault.amount
        if any(start < finish and at < end for start, end in self.refusals(provider)):
            return None
        return finish
