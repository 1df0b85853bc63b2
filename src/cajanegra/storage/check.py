"""The outcome of looking at one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: ``ok``, ``warning`` (it works, but not as well or as safely as it should) or ``failed``.
        detail: what was found.
        mend: what to do, a command or SQL where one helps; empty where all is well.
    """

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    mend: str = ""
