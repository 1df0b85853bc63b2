"""How long each endpoint takes on a large table, on both databases: ``make bench-api ROWS=1000000``."""

from __future__ import annotations

import argparse
import statistics
import time

from fastapi import FastAPI
from fastapi.testclient import TestClient

from benchmarks.api.plans import plans_of
from benchmarks.api.rows import fill
from benchmarks.fresh import fresh_database
from cajanegra.domain.principal import ALL_TENANTS, Principal, Role
from cajanegra.server import logs_router
from cajanegra.storage.database import Database

LOGS = "/api/v1/ai/logs"
PATHS = (
    "", "?limit=500", "?status=error", "?status=timeout", "?module=imports&task=chat", "?provider=ollama",
    "?q=no%20such%20words", "?user_id=u-7",
    "?pattern=ollama_timeout", "?min_ms=5049",
    "/recent", "/slow", "/r-500", "/nothing", "/statistics?hours=24", "/statistics?hours=24&group_by=model",
    "/timeseries?hours=24", "/providers?hours=24", "/storage", "/errors", "/recoveries",
    "/recoveries/statistics?hours=24",
    "/export?limit=1000",
)  # fmt: skip
SCOPES = {"all tenants": ALL_TENANTS, "one tenant": "tenant-7"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--db", choices=["sqlite", "postgresql", "both"], default="both")
    arguments = parser.parse_args()
    for kind in ("sqlite", "postgresql"):
        if arguments.db in (kind, "both"):
            with fresh_database(kind) as database:
                _measure(database, arguments.rows, arguments.rounds)


def _measure(database: Database, rows: int, rounds: int) -> None:
    fill(database, rows)
    for name, scope in SCOPES.items():
        app = FastAPI()
        app.include_router(
            logs_router(principal=lambda scope=scope: Principal(scope, Role.ADMIN), engine=database.engine)
        )
        print(f"\n{database.dialect}, {rows:,} calls, {name}: median and worst of {rounds} in milliseconds")
        with TestClient(app) as client:
            for path in PATHS:
                with plans_of(database) as indexes:
                    status = client.get(LOGS + path).status_code
                times = [_time(client, path) for _round in range(rounds)]
                used = ", ".join(dict.fromkeys(indexes)) or "-"
                shown = f"{statistics.median(times):9.1f} {max(times):9.1f}"
                print(f"{shown}  {status}  {path or '/':42} {used}")


def _time(client: TestClient, path: str) -> float:
    began = time.perf_counter()
    client.get(LOGS + path)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
