"""Pages of calls by each filter, at any depth and in either direction."""

from __future__ import annotations

import statistics
import time
from datetime import timedelta

from benchmarks.scale.rows import BEGIN, DAYS
from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.places import Direction, Place, encode
from cajanegra.storage.reads import SCAN_STEP, SCANNING, calls

DEPTHS = (0.0, 0.5, 0.99)
"""Shares of the time that lie above the page."""
FILTERS = {
    "none": CallFilter(ALL_TENANTS),
    "tenant": CallFilter("tenant-7"),
    "status": CallFilter(ALL_TENANTS, status="error"),
    "tenant and status": CallFilter("tenant-7", status="timeout"),
    "time": CallFilter(ALL_TENANTS, since=BEGIN, until=BEGIN + timedelta(days=DAYS)),
    "module and task": CallFilter(ALL_TENANTS, module="module-1", task="task-2"),
    "provider": CallFilter(ALL_TENANTS, provider="provider-3"),
    "user": CallFilter(ALL_TENANTS, user_id="user-7"),
    "user who is not there": CallFilter(ALL_TENANTS, user_id="nobody"),
    "text that is nowhere": CallFilter(ALL_TENANTS, q="no such words"),
}


def measure(database: Database, rows: int, rounds: int) -> None:
    """Print the milliseconds of a page of 50."""
    print(
        f"{'page of 50, by':28}{'direction':>10}"
        + "".join(f"{f'depth {rows * depth:,.0f}':>20}" for depth in DEPTHS)
    )
    for name, where in FILTERS.items():
        for direction in ("older", "newer"):
            shown = [_page(database, where, direction, depth, rounds) for depth in DEPTHS]
            print(
                f"{name:28}{direction:>10}" + "".join(f"{ms:14.1f} ({found:3})" for ms, found in shown),
                flush=True,
            )


def _page(
    database: Database, where: CallFilter, direction: Direction, depth: float, rounds: int
) -> tuple[float, int]:
    at = BEGIN + timedelta(days=DAYS * (1 - depth))
    cursor = encode(Place(direction, at.replace(tzinfo=None), ""), where, "calls")
    times, found = [], 0
    for _ in range(rounds):
        begin = time.perf_counter()
        page = calls(database, where, limit=50, cursor=cursor, scan=SCAN_STEP, seconds=SCANNING)
        found = len(page.items)
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times), found
