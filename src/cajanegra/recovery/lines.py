"""Calls that have nobody to ask stand in line; those are woken who can go, and no others."""

from __future__ import annotations

import asyncio
import bisect
import itertools
import threading
from collections.abc import Awaitable, Callable, Sequence

from cajanegra.recovery.target import Target

HESITATION = 0.05
"""Seconds per attempt made for which a call leaves a probe to another one, which has more attempts left."""


class Place:
    """Where one call stands: in the lines of all targets that it waits for, or in none.

    Attributes:
        attempts: how many the call has made.
    """

    __slots__ = ("asleep", "attempts", "keeps_time", "lines", "loop", "number", "rung")

    def __init__(self, number: int) -> None:
        self.number = number
        """The order in which calls began."""
        self.attempts = 0
        self.lines: list[Line] = []
        self.asleep = False
        self.keeps_time = False
        """Whether it sleeps until one of its lines may move, so that the others need not."""
        self.loop: asyncio.AbstractEventLoop
        self.rung: asyncio.Future[None]

    @property
    def hesitation(self) -> float:
        """Seconds for which a probe is left to calls that have more attempts left."""
        return HESITATION * self.attempts


class Line:
    """The calls that wait for one target: awake on their way to look, or asleep."""

    __slots__ = ("_by_age", "_by_attempts", "awake", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.awake = 0
        self._by_age: list[tuple[int, Place]] = []
        self._by_attempts: list[tuple[int, int, Place]] = []

    def __len__(self) -> int:
        return self.awake + len(self._by_age)

    def next(self, *, probes: bool) -> Place | None:
        """The sleeper whose turn it is: who came first, or for a probe who has most attempts left."""
        if not self._by_age:
            return None
        return self._by_attempts[0][2] if probes else self._by_age[0][1]

    def add(self, place: Place) -> None:
        """A call falls asleep."""
        bisect.insort(self._by_age, (place.number, place))
        bisect.insort(self._by_attempts, (place.attempts, place.number, place))

    def remove(self, place: Place) -> None:
        """A sleeper wakes up."""
        del self._by_age[bisect.bisect_left(self._by_age, (place.number,))]
        del self._by_attempts[bisect.bisect_left(self._by_attempts, (place.attempts, place.number))]


class Lines:
    """All lines. Safe for all threads and event loops.

    Args:
        room: how many more may ask a target now, and whether the next one of them probes. Where that depends
            on the time alone, one: somebody has to keep it.
    """

    def __init__(self, room: Callable[[Target], tuple[float, bool]]) -> None:
        self.version = 0
        """Another one whenever anything may have changed."""
        self._room = room
        self._lock = threading.Lock()
        self._lines: dict[str, dict[str, Line]] = {}
        self._standing = 0
        self._numbers = itertools.count()

    def __len__(self) -> int:
        """Calls that stand in line."""
        return self._standing

    def place(self) -> Place:
        """The place of a call that begins, in no line yet."""
        return Place(next(self._numbers))

    def ahead(self, target: Target) -> int:
        """Calls that stand in a target's line."""
        account, model = target.key
        line = self._lines.get(account, {}).get(model)
        return 0 if line is None else len(line)

    def stand_for(self, account: str) -> bool:
        """Whether calls wait for any model of an account."""
        return account in self._lines

    async def pause(
        self,
        place: Place,
        targets: Sequence[Target],
        version: int,
        sleep: Callable[[bool], Awaitable[None]],
    ) -> None:
        """Wait until it is the call's turn, or ``sleep`` has ended. It stands in line until it leaves.

        Args:
            place: the call's.
            targets: whom it waits for.
            version: of the lines when the call found that it had to wait.
            sleep: told whether the call is the one that keeps the time for a line.
        """
        with self._lock:
            if version != self.version:
                return
            self._fall_asleep(place, targets)
        slept = asyncio.ensure_future(sleep(place.keeps_time))
        try:
            await asyncio.wait((place.rung, slept), return_when=asyncio.FIRST_COMPLETED)
        finally:
            slept.cancel()
            place.rung.cancel()
            with self._lock:
                self._rise(place)

    def leave(self, place: Place) -> None:
        """The call goes: it asks somebody, or gives up."""
        if place.lines:
            with self._lock:
                self._leave(place, ())

    def look(self, account: str) -> None:
        """Something has changed about an account: wake those who can go."""
        self.version += 1
        if account not in self._lines:
            return
        with self._lock:
            for line in list(self._lines.get(account, {}).values()):
                self._look(line)

    def _fall_asleep(self, place: Place, targets: Sequence[Target]) -> None:
        place.loop = asyncio.get_running_loop()
        place.rung = place.loop.create_future()
        self._leave(place, targets)
        place.lines = [self._line(target) for target in targets]
        self._standing += bool(place.lines)
        place.asleep = True
        for line in place.lines:
            line.add(place)
        place.keeps_time = not place.lines or any(line.next(probes=True) is place for line in place.lines)
        for line in place.lines:
            if self._room(line.target)[1]:
                self._see_to_time(line)

    def _see_to_time(self, line: Line) -> None:
        """Have somebody keep the time until the next probe: who wakes up sees that it is the first now."""
        first = line.next(probes=True)
        if first is not None and not first.keeps_time and not line.awake:
            self._wake(first)

    def _leave(self, place: Place, but: Sequence[Target]) -> None:
        """Step out of all lines, of which some may be entered again at once."""
        self._rise(place)
        lines, place.lines = place.lines, []
        self._standing -= bool(lines)
        for line in lines:
            line.awake -= 1
            if any(line.target.key == target.key for target in but):
                self._remove_if_empty(line)
            else:
                self._look(line)

    def _rise(self, place: Place) -> None:
        if place.asleep:
            place.asleep = place.keeps_time = False
            for line in place.lines:
                line.remove(place)
                line.awake += 1

    def _look(self, line: Line) -> None:
        room, probes = self._room(line.target)
        free = room - line.awake
        while free > 0 and (place := line.next(probes=probes)) is not None:
            free -= self._wake(place)
        if probes:
            self._see_to_time(line)
        self._remove_if_empty(line)

    def _wake(self, place: Place) -> bool:
        self._rise(place)
        try:
            place.loop.call_soon_threadsafe(_ring, place.rung)
        except RuntimeError:  # the loop was closed with its calls
            for line in place.lines:
                line.awake -= 1
            self._standing -= 1
            place.lines = []
            return False
        return True

    def _line(self, target: Target) -> Line:
        account, model = target.key
        lines = self._lines.setdefault(account, {})
        line = lines.get(model)
        if line is None:
            line = lines[model] = Line(target)
        return line

    def _remove_if_empty(self, line: Line) -> None:
        account, model = line.target.key
        lines = self._lines.get(account, {})
        if not len(line) and lines.pop(model, None) is not None and not lines:
            del self._lines[account]


def _ring(rung: asyncio.Future[None]) -> None:
    if not rung.done():
        rung.set_result(None)
