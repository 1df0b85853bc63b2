"""Which of several endpoints of a provider is asked first: by what each has to do, and how fast it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from cajanegra.recovery.health import Health
from cajanegra.recovery.target import Target

EXPLORED = 0.05
"""Share of calls whose endpoint is chosen by weight alone, so that one that was slow is measured again."""


def balanced(
    targets: Sequence[Target], health: Health, task: str, *, streamed: bool, chance: Callable[[], float]
) -> Sequence[Target]:
    """The same targets, with those that differ in endpoint or key alone in the order that suits the moment.

    First is whoever would answer soonest: the time that it usually takes (median of its last answers), times
    the attempts that are under way there, divided by its weight. One of which nothing is known is taken for
    as fast as the fastest. Those that rest because they failed are passed over by the call itself.

    Args:
        targets: in order of preference.
        health: what all calls have learned.
        task: of the call.
        streamed: whether its answer is streamed.
        chance: a random number in [0, 1).
    """
    if len(targets) == 1 or len({one.place for one in targets}) == len(targets):
        return targets
    ordered: list[Target] = []
    for _place, among in groupby(targets, key=lambda one: one.place):
        group = list(among)
        ordered += (
            group if len(group) == 1 else _ordered(group, health, task, streamed=streamed, chance=chance)
        )
    return ordered


def _ordered(
    group: list[Target], health: Health, task: str, *, streamed: bool, chance: Callable[[], float]
) -> list[Target]:
    if chance() < EXPLORED:
        return sorted(group, key=lambda one: chance() ** (1 / one.weight), reverse=True)
    usual = [health.paces.of(one.key, task, streamed=streamed).measured for one in group]
    fastest = min((seconds for seconds in usual if seconds is not None), default=1.0)
    scores = [
        ((fastest if seconds is None else seconds) * (health.under_way(one) + 1) / one.weight, chance())
        for one, seconds in zip(group, usual, strict=True)
    ]
    return [one for _score, one in sorted(zip(scores, group, strict=True), key=lambda pair: pair[0])]
