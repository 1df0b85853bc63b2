"""How much the crash tests do: little with every change, a lot in ``make crash``."""

from __future__ import annotations

import os

KILLS = int(os.environ.get("CRASH_KILLS", "4"))
"""Processes that are killed at random, on each kind of database."""
LONG = "CRASH_KILLS" in os.environ
ROUNDS = 10 if LONG else 2
"""Outages of each kind."""
