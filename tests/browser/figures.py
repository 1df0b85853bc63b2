"""What SQL says of the seeded calls, to be compared with what the dashboard shows."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import text

from browser.conftest import Site

FAILED = "status IN ('error', 'timeout')"
RECOVERED = (
    "status IN ('success', 'fallback') AND EXISTS "
    "(SELECT 1 FROM ai_error_recovery WHERE request_log_id = ai_request_logs.id)"
)


def rows(site: Site, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """What a query finds among the calls of the time that is shown (``{within}``)."""
    within = "created_at >= :since AND created_at < :until"
    given: dict[str, Any] = {
        "since": site.since.replace(tzinfo=None, microsecond=0),
        "until": site.until.replace(tzinfo=None, microsecond=0),
    }
    if site.database.dialect == "sqlite":
        given = {name: f"{value:%Y-%m-%d %H:%M:%S}" for name, value in given.items()}
    with site.database.engine.connect() as connection:
        found = connection.execute(text(query.format(within=within)), given | values)
        return [tuple(row) for row in found]


def number(site: Site, query: str, **values: Any) -> Any:
    """The one value that a query finds."""
    return rows(site, query, **values)[0][0]


def percentile(site: Site, share: float) -> int:
    """Nearest rank of the calls' times, in milliseconds."""
    times = sorted(
        ms for (ms,) in rows(site, "SELECT processing_time_ms FROM ai_request_logs WHERE {within}")
    )
    return int(times[math.ceil(share * len(times)) - 1])


def duration(ms: int) -> str:
    """As the dashboard writes it in English."""
    if ms < 1000:
        return f"{ms}\N{NO-BREAK SPACE}ms"
    seconds = Decimal(ms) / 1000
    digits = Decimal(1).scaleb(seconds.adjusted() - 2)  # three that count
    return f"{seconds.quantize(digits, ROUND_HALF_UP).normalize():f}\N{NO-BREAK SPACE}s"


def milliseconds(shown: str) -> float:
    """What a duration that the dashboard has written means."""
    amount, unit = shown.split("\N{NO-BREAK SPACE}")
    return float(amount) * {"ms": 1, "s": 1_000, "min": 60_000}[unit]
