"""The scenarios: which episodes the seed makes, and what is asked meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from benchmarks.recovery.calls import Call, Size, chance, make_call
from benchmarks.recovery.world import LIMITED, RETRY_AFTER_FORMS, SILENT, Episode, Kind, World

RATE = 25.0
"""Calls that arrive each second, answered or not."""

_IMPATIENT = 0.04
"""Seconds: less than the fastest provider takes."""
_FORMS = (*RETRY_AFTER_FORMS, "")

Range = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mix:
    """What is asked: shares of the calls."""

    json: float = 0.25
    streamed: float = 0.25
    sizes: tuple[tuple[float, Size, Range], ...] = ()
    """Share, size and range of tokens; the other calls are small."""
    particular: float = 0.0
    """Share of the calls with a temperature and a large ``max_tokens``."""
    impatient: float = 0.0
    """Share of the calls with a deadline in which nobody can answer."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of day.

    Attributes:
        title: in words.
        seconds: how long calls arrive.
        episodes: what goes wrong, by seed and seconds.
        mix: what is asked.
    """

    title: str
    seconds: float
    episodes: Callable[[int, float], list[Episode]]
    mix: Mix = Mix()


def make_world(name: str, seed: int, rate: float = RATE) -> World:
    """The world of a scenario and a seed."""
    scenario = SCENARIOS[name]
    calls = [
        _call(seed, number, number / rate, scenario.mix) for number in range(int(scenario.seconds * rate))
    ]
    return World(seed, scenario.episodes(seed, scenario.seconds), calls, scenario.seconds)


def _call(seed: int, number: int, arrival: float, mix: Mix) -> Call:
    draw = chance(seed, "form", number)
    size: Size = "small"
    tokens = 0.0
    drawn = chance(seed, "size", number)
    for share, one, between in mix.sizes:
        if 0 <= drawn < share:
            size, tokens = one, _between(between, seed, "tokens", number)
        drawn -= share
    call = make_call(
        seed,
        number,
        arrival,
        as_json=draw < mix.json,
        streamed=mix.json <= draw < mix.json + mix.streamed,
        size=size,
        tokens=int(tokens),
    )
    if chance(seed, "particular", number) < mix.particular:
        call = replace(call, parameters={"temperature": 0.2, "max_tokens": 20_000})
    if chance(seed, "impatient", number) < mix.impatient:
        call = replace(call, deadline=_IMPATIENT)
    return call


def _between(limits: Range, *parts: object) -> float:
    low, high = limits
    return low + (high - low) * chance(*parts)


def _pick(choices: tuple[T, ...], *parts: object) -> T:
    return choices[int(chance(*parts) * len(choices))]


def _windows(length: Range, gap: Range, until: float, *parts: object) -> Iterator[Range]:
    """Times at which something is wrong, one after the other."""
    at = _between((0.5, gap[1]), *parts, "begin")
    number = 0
    while at < until:
        end = at + _between(length, *parts, number, "length")
        yield at, end
        at = end + _between(gap, *parts, number, "gap")
        number += 1


def _healthy(_seed: int, _seconds: float) -> list[Episode]:
    return []


def _storm(seed: int, seconds: float) -> list[Episode]:
    """Every provider limits, the first most of the time; now and then all of them at once.

    Towards the end the first one asks for a minute, which is longer than any call has.
    """
    shapes: tuple[tuple[Range, Range], ...] = (((3, 8), (2, 4)), ((3, 6), (3, 6)), ((2, 4), (8, 12)))
    begin = _between((0.65, 0.75), seed, "minute") * seconds
    form = _pick(RETRY_AFTER_FORMS, seed, "minute form")
    minute = Episode(0, begin, begin + 60, (Kind.RATE_LIMIT,), amount=60, form=form)
    return [minute] + [
        _limit(provider, start, end, seed)
        for provider, (length, gap) in enumerate(shapes)
        for start, end in _windows(length, gap, seconds, seed, "storm", provider)
    ]


def _limit(provider: int, start: float, end: float, seed: int) -> Episode:
    draw = (seed, "limit", provider, start)
    kind = Kind.OVERLOADED if chance(*draw, "kind") < 0.2 else Kind.RATE_LIMIT
    short = chance(*draw, "short") < 0.3  # comes back to another limit
    amount = max((end - start) / 2, 1.0) if short else 0.0
    return Episode(provider, start, end, (kind,), amount=amount, form=_pick(_FORMS, *draw, "form"))


def _dead(seed: int, seconds: float) -> list[Episode]:
    """Keys, models and quotas die one after the other; two at once, never all three."""
    kinds = (Kind.DEAD_KEY, Kind.QUOTA, Kind.UNKNOWN_MODEL, Kind.FORBIDDEN)
    forms = {Kind.QUOTA: ("", "balance"), Kind.UNKNOWN_MODEL: ("", "ollama")}
    turn = int(chance(seed, "dead") * len(kinds))
    spans: tuple[Range, ...] = ((0.08, 0.55), (0.25, 0.75), (0.62, 0.92))
    episodes = []
    for provider, (start, end) in enumerate(spans):
        shift = _between((-0.02, 0.02), seed, "dead", provider)
        kind = kinds[(turn + provider) % len(kinds)]
        form = _pick(forms.get(kind, ("",)), seed, "dead form", provider)
        begin, until = (start + shift) * seconds, (end + shift) * seconds
        episodes.append(Episode(provider, begin, until, (kind,), form=form))
    return episodes


def _errors(seed: int, seconds: float) -> list[Episode]:
    """Bursts of 5xx and outages, and once all providers together for two seconds."""
    total = _between((0.4, 0.6), seed, "total") * seconds
    episodes = [Episode(p, total, total + 2, (Kind.REFUSED if p else Kind.UNAVAILABLE,)) for p in range(3)]
    errors = (Kind.SERVER_ERROR, Kind.BAD_GATEWAY, Kind.UNAVAILABLE)
    shapes: tuple[tuple[Range, Range], ...] = (((2, 6), (1, 4)), ((2, 5), (3, 7)), ((1, 3), (8, 14)))
    for provider, (length, gap) in enumerate(shapes):
        for start, end in _windows(length, gap, seconds, seed, "errors", provider):
            draw = (seed, "error", provider, start)
            if chance(*draw) < 0.35:
                kind = _pick((Kind.REFUSED, Kind.RESET), *draw, "outage")
                episodes.append(Episode(provider, start, end, (kind,)))
            else:
                episodes.append(
                    Episode(provider, start, end, errors, share=_between((0.3, 1.0), *draw, "share"))
                )
    return episodes


def _blackout(seed: int, seconds: float) -> list[Episode]:
    """All providers at once: down for eight seconds, and later limited for nine."""
    down = _between((0.08, 0.18), seed, "down") * seconds
    kinds = ((Kind.UNAVAILABLE,), (Kind.REFUSED,), (Kind.SERVER_ERROR, Kind.RESET))
    turn = int(chance(seed, "blackout") * 3)
    episodes = [Episode(p, down, down + 8, kinds[(p + turn) % 3]) for p in range(3)]
    limited = _between((0.62, 0.7), seed, "limited") * seconds
    for provider in range(3):
        form = _pick(RETRY_AFTER_FORMS, seed, "blackout form", provider)
        episodes.append(Episode(provider, limited, limited + 9, (Kind.RATE_LIMIT,), form=form))
    return episodes


def _parameters(seed: int, seconds: float) -> list[Episode]:
    """Each provider rejects something else of what is asked for; without it, it answers."""
    kinds = (Kind.TEMPERATURE, Kind.MAX_TOKENS, Kind.NO_SCHEMA)
    turn = int(chance(seed, "parameters") * 3)
    return [Episode(p, 0, seconds * 10, (kinds[(p + turn) % 3],), amount=16_384) for p in range(3)]


def _hangs(seed: int, seconds: float) -> list[Episode]:
    """A provider accepts and never answers, or stops answering after its head; never the last one."""
    episodes = []
    for provider, (first, last) in enumerate(((0.05, 0.4), (0.55, 0.8))):
        start = _between((first, first + 0.1), seed, "hang", provider) * seconds
        length = _between((6, 9), seed, "hang length", provider)
        kinds = _pick(((Kind.HANG,), (Kind.HANG, Kind.STALL)), seed, "hang kind", provider)
        episodes.append(Episode(provider, start, min(start + length, last * seconds), kinds))
    return episodes


def _slow(seed: int, seconds: float) -> list[Episode]:
    """First tokens after seconds: bearable ones, and ones beyond any patience; once everybody is slow."""
    everybody = _between((0.4, 0.5), seed, "everybody") * seconds
    together = [
        Episode(p, everybody, everybody + 6, (Kind.SLOW,), amount=_between((2, 4), seed, "everybody", p))
        for p in range(3)
    ]
    shapes: tuple[tuple[Range, Range, Range], ...] = (((5, 9), (4, 8), (1, 9)), ((3, 6), (8, 14), (1, 9)))
    return together + [
        Episode(provider, start, end, (Kind.SLOW,), amount=_between(amount, seed, "slow", provider, start))
        for provider, (length, gap, amount) in enumerate(shapes)
        for start, end in _windows(length, gap, seconds, seed, "slow", provider)
    ]


def _context(seed: int, seconds: float) -> list[Episode]:
    """A small window that says its numbers, a middling one that cuts in silence, a large one."""
    forever = seconds * 10
    return [
        Episode(0, 0, forever, (Kind.WINDOW,), amount=int(_between((1200, 1800), seed, "window", 0))),
        Episode(1, 0, forever, (Kind.TRUNCATING,), amount=int(_between((2800, 3400), seed, "window", 1))),
        Episode(2, 0, forever, (Kind.WINDOW,), amount=int(_between((11000, 13000), seed, "window", 2))),
    ]


def _some(kinds: tuple[Kind, ...], shares: tuple[float, ...], seconds: float) -> list[Episode]:
    """A share of the requests to each provider meets one of these, all the time."""
    return [Episode(p, 0, seconds * 10, kinds, share=share) for p, share in enumerate(shares)]


def _silent(_seed: int, seconds: float) -> list[Episode]:
    return _some(SILENT, (0.25, 0.15, 0.08), seconds)


def _cuts(_seed: int, seconds: float) -> list[Episode]:
    """Now and then an answer does not break off but stops coming."""
    return _some((Kind.STALL,), (0.01, 0.01, 0.01), seconds) + _some((Kind.CUT,), (0.25, 0.15, 0.05), seconds)


def _filters(_seed: int, seconds: float) -> list[Episode]:
    """What one provider's filter stops or model refuses, it stops every time; the last has no filter."""
    kinds = (Kind.CONTENT_FILTER, Kind.FILTERED, Kind.REFUSAL)
    return [replace(episode, sticky=True) for episode in _some(kinds, (0.2, 0.1), seconds)]


def _day(seed: int, seconds: float) -> list[Episode]:
    """A bit of everything: one trouble after the other at each provider, on a ground of silent failures."""
    episodes: list[Episode] = []
    shapes: tuple[tuple[Range, Range], ...] = (((3, 6), (2, 5)), ((3, 6), (4, 9)), ((1, 2), (9, 14)))
    for provider, (length, gap) in enumerate(shapes):
        for number, (start, end) in enumerate(_windows(length, gap, seconds, seed, "day", provider)):
            episodes.append(_trouble(provider, start, end, seed, number))
    episodes += [replace(episode, share=episode.share / 5) for episode in _silent(seed, seconds)]
    episodes += [replace(episode, share=episode.share / 5) for episode in _filters(seed, seconds)]
    return episodes + _context(seed, seconds) + _parameters(seed, seconds)


def _trouble(provider: int, start: float, end: float, seed: int, number: int) -> Episode:
    troubles: tuple[tuple[Kind, ...], ...] = (
        (Kind.RATE_LIMIT,),
        (Kind.DEAD_KEY,),
        (Kind.SERVER_ERROR, Kind.BAD_GATEWAY, Kind.UNAVAILABLE),
        (Kind.REFUSED,),
        (Kind.RATE_LIMIT,),
        (Kind.HANG,),
        (Kind.QUOTA,),
        (Kind.SLOW,),
        (Kind.OVERLOADED,),
        (Kind.RESET,),
        (Kind.UNKNOWN_MODEL,),
    )
    if provider == 2:  # somebody must be left to ask
        troubles = ((Kind.RATE_LIMIT,), (Kind.UNAVAILABLE,), (Kind.OVERLOADED,), (Kind.REFUSED,))
    first = int(chance(seed, "trouble", provider) * len(troubles))
    kinds = troubles[(first + number) % len(troubles)]
    if kinds[0] in LIMITED:
        return replace(_limit(provider, start, end, seed), kinds=kinds)
    slow = _between((2, 8), seed, "slow", provider, start) if Kind.SLOW in kinds else 0.0
    return Episode(provider, start, end, kinds, amount=slow)


_LONG: tuple[tuple[float, Size, Range], ...] = (
    (0.20, "document", (1900, 2400)),
    (0.15, "document", (4000, 10000)),
    (0.08, "conversation", (4000, 9000)),
    (0.07, "conversation", (14000, 20000)),
)
_FEW_LONG = tuple((share / 5, size, tokens) for share, size, tokens in _LONG)

SCENARIOS: Mapping[str, Scenario] = {
    "healthy": Scenario("nothing goes wrong", 15, _healthy),
    "storm": Scenario("429 and 503 with Retry-After in every form", 30, _storm),
    "dead": Scenario("dead keys, unknown models, exhausted quotas", 30, _dead),
    "errors": Scenario("bursts of 5xx, outages", 30, _errors),
    "blackout": Scenario("all providers down, then all limited", 30, _blackout),
    "hangs": Scenario("providers that accept and never answer", 30, _hangs),
    "slow": Scenario("slow first tokens", 30, _slow),
    "context": Scenario("context windows, one of which cuts in silence", 30, _context, Mix(sizes=_LONG)),
    "parameters": Scenario("parameters that are rejected", 30, _parameters, Mix(particular=0.4)),
    "impatient": Scenario("callers who wait for 40 ms, beside others", 30, _healthy, Mix(impatient=0.3)),
    "silent": Scenario("failures with status 200", 30, _silent, Mix(json=0.4, streamed=0.2)),
    "cuts": Scenario("answers and streams cut anywhere", 30, _cuts, Mix(json=0.2, streamed=0.5)),
    "filters": Scenario("content filters and refusals", 30, _filters),
    "day": Scenario(
        "a day with some of everything", 50, _day, Mix(sizes=_FEW_LONG, particular=0.1, impatient=0.02)
    ),
}
