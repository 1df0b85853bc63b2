"""How long a target usually needs, and from when on it must be taken for hanging."""

from __future__ import annotations

from collections import OrderedDict, deque

MEMORY = 64
"""Answers that are looked back on."""
REFRESH = 16
"""Answers after which that is done anew."""
ENOUGH = 8
"""Answers that must be known before they say anything."""
HIGH = 0.95
"""The quantile that the limit goes by: one slow answer in twenty is usual."""
FACTOR = 3.0
"""How many times the usual is too long."""
SHORTEST_LIMIT = 1.0
"""Seconds: no target is taken for hanging sooner."""
UNKNOWN = 1.0
"""Seconds that an answer is expected to take while nothing is known."""
MOST_PACES = 1_024


class Pace:
    """The last answers' times, in seconds."""

    __slots__ = ("_added", "_limit", "_times", "_usual")

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MEMORY)
        self._usual: float | None = None
        self._limit: float | None = None
        self._added = 0

    def add(self, seconds: float) -> None:
        """An answer took so long."""
        self._times.append(seconds)
        self._added += 1
        if self._added <= ENOUGH or self._added % REFRESH == 0:
            self._measure()

    @property
    def usual(self) -> float:
        """Median of the last answers."""
        return self._usual or UNKNOWN

    @property
    def measured(self) -> float | None:
        """The same; ``None`` while nothing is known."""
        return self._usual

    @property
    def limit(self) -> float | None:
        """Seconds after which it hangs; ``None`` while too little is known."""
        return self._limit

    def _measure(self) -> None:
        times = sorted(self._times)
        self._usual = times[len(times) // 2]
        if len(times) >= ENOUGH:
            self._limit = max(SHORTEST_LIMIT, FACTOR * times[int(len(times) * HIGH)])


class Paces:
    """A pace for each kind of work: what is asked of whom, and how the answer comes.

    The application's name of the task tells short answers from long ones better than anything else that is
    known beforehand.
    """

    def __init__(self) -> None:
        self._paces: OrderedDict[tuple[tuple[str, str], str, bool], Pace] = OrderedDict()

    def of(self, key: tuple[str, str], task: str, *, streamed: bool) -> Pace:
        """The pace of a target at a task: until the whole answer, or until the first content of a stream."""
        name = (key, task, streamed)
        pace = self._paces.get(name)
        if pace is None:
            pace = self._paces[name] = Pace()
            if len(self._paces) > MOST_PACES:
                self._paces.popitem(last=False)
        return pace
