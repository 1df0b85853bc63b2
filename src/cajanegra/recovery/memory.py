"""What is learned of many things, of so many at most."""

from __future__ import annotations

from typing import TypeVar

MOST = 10_000
"""Models that are remembered: applications and gateways may be asked for any name."""

K = TypeVar("K")
V = TypeVar("V")


class Memory(dict[K, V]):
    """A dict that forgets what it has known for the longest time before it grows beyond ``MOST``."""

    def __setitem__(self, key: K, value: V) -> None:
        if key not in self and len(self) >= MOST:
            self.pop(next(iter(self)), None)
        super().__setitem__(key, value)
