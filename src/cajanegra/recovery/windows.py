"""How large a prompt is for a target, and how large it may be, as its own answers and errors tell."""

from __future__ import annotations

from collections import deque

from cajanegra.recovery.memory import Memory

Key = tuple[str, str]

CHARACTERS_PER_TOKEN = 4.0
"""A rule of thumb for English, for targets that have not yet told better."""
MEMORY = 64
TOKENS_PER_MESSAGE = 4
"""What the chat formats put around each message, as a rule."""
TELLING_CHARACTERS = 150
"""A prompt must be this long for its token count to say something of the others'."""
SUSPICIOUS_CHARACTERS = 2_000
"""Shorter prompts fit every window."""
ENOUGH = 5
FAR_BELOW = 0.9
"""Tokens reported, compared with what the sparsest prompt so far would have had."""
LONGER = 1.03
"""A prompt that is so many times as long has more tokens for sure."""
_NOTHING = (0, 0)
AGREEMENT = 0.12
"""Two targets whose counts differ by no more than this have read the same prompt."""


class _Counts:
    """Tokens per character in the prompts of the last answers."""

    __slots__ = ("_ratios", "_sorted")

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=MEMORY)
        self._sorted: list[float] | None = None

    def add(self, ratio: float) -> None:
        self._ratios.append(ratio)
        self._sorted = None

    @property
    def usual(self) -> float | None:
        ratios = self._in_order()
        return ratios[len(ratios) // 2] if ratios else None

    @property
    def sparsest(self) -> float | None:
        ratios = self._in_order()
        return ratios[0] if len(ratios) >= ENOUGH else None

    def _in_order(self) -> list[float]:
        if self._sorted is None:
            self._sorted = sorted(self._ratios)
        return self._sorted


class Windows:
    """Context windows and token counts of all targets, as far as they have shown."""

    def __init__(self) -> None:
        self._windows = Memory[Key, int]()
        self._proven = Memory[Key, tuple[int, int]]()
        """The most tokens that a target has counted, and the characters of that prompt."""
        self._counts = Memory[Key, _Counts]()
        self._all = _Counts()

    def window(self, key: Key, known: int | None) -> int | None:
        """Tokens that a target can hold: the smaller of what is known and what it has shown."""
        shown = self._windows.get(key)
        return shown if known is None else known if shown is None else min(known, shown)

    def density(self, key: Key) -> float:
        """Tokens per character of a prompt at a target, as its last answers had them."""
        counts = self._counts.get(key)
        return (counts.usual if counts is not None else None) or 1 / CHARACTERS_PER_TOKEN

    def may_be_cut(self, key: Key, characters: int, known: int | None) -> bool:
        """Whether nobody knows if a target reads the whole of so long a prompt."""
        if characters < SUSPICIOUS_CHARACTERS:
            return False
        tokens = characters * self.density(key)
        return tokens > max(self._proven.get(key, _NOTHING)[0], known or 0)

    def learn_window(self, key: Key, tokens: int) -> None:
        """A target has said or shown that it holds no more."""
        if tokens > 0:
            self._windows[key] = tokens

    def learn_count(self, key: Key, characters: int, messages: int, tokens: int) -> None:
        """A target has read a prompt and said how many tokens it was."""
        if characters < TELLING_CHARACTERS:
            return
        if tokens > self._proven.get(key, _NOTHING)[0]:
            self._proven[key] = (tokens, characters)
        shown = self._windows.get(key)
        if shown is not None and tokens > shown:
            self._windows[key] = tokens
        ratio = max(tokens - TOKENS_PER_MESSAGE * messages, 1) / characters
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = _Counts()
        counts.add(ratio)
        self._all.add(ratio)

    def looks_cut(self, key: Key, characters: int, tokens: int) -> bool:
        """Whether a target that counted so few tokens has hardly read the whole prompt."""
        if characters < SUSPICIOUS_CHARACTERS:
            return False
        most, of_characters = self._proven.get(key, _NOTHING)
        if tokens == most and characters > of_characters * LONGER:
            return True  # a longer prompt and the very same count: that is where it cuts
        counts = self._counts.get(key)
        sparsest = counts.sparsest if counts is not None else None
        if sparsest is None:
            sparsest = self._all.sparsest
        if sparsest is None:
            sparsest = 1 / (2 * CHARACTERS_PER_TOKEN)
        return tokens < FAR_BELOW * sparsest * characters


def agree(one: int, other: int) -> bool:
    """Whether two token counts may be of the same prompt."""
    return abs(one - other) <= AGREEMENT * max(one, other)
