"""What the API counts of 30 days: from the rollups, and the same from the rows."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, text

from benchmarks.scale.rows import BEGIN, END
from cajanegra.domain.principal import ALL_TENANTS, Scope
from cajanegra.storage.database import Database, snapshot
from cajanegra.storage.facets import facets
from cajanegra.storage.figures import GroupedBy, sums_of_rows
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.overview import providers
from cajanegra.storage.recoveries import flows, remedies, targets
from cajanegra.storage.rollups import rows
from cajanegra.storage.rollups.cubes import Dimension
from cajanegra.storage.rollups.questions import Measure, Question
from cajanegra.storage.rollups.rows import of_rows
from cajanegra.storage.rollups.step_rows import StepDimension, of_steps
from cajanegra.storage.statistics import Grouping, groups
from cajanegra.storage.step_figures import sums_of_steps
from cajanegra.storage.timeseries import timeseries
from cajanegra.storage.usage import usage

Conditions = Sequence[ColumnElement[bool]]
Times = dict[str, float]
"""Milliseconds of each view."""


@dataclass(frozen=True)
class View:
    """Something that is shown.

    Attributes:
        name: what it is called here.
        ask: asks for it as the API does.
        rows: asks the rows of all the time for the same, with the conditions that say which.
        scope: whose calls.
    """

    name: str
    ask: Callable[[Database], Any]
    rows: Callable[[Connection, Conditions], Any]
    scope: Scope = ALL_TENANTS


def _figures(*by: Dimension) -> Callable[[Connection, Conditions], Any]:
    grouping = GroupedBy({name: of_rows(name) for name in by})
    return lambda connection, conditions: sums_of_rows(connection, conditions, [grouping])


def _counts(measure: Measure, *by: tuple[Dimension, ...]) -> Callable[[Connection, Conditions], Any]:
    asked = [Question(CallFilter(ALL_TENANTS), one, measure=measure) for one in by]
    return lambda connection, conditions: rows.answers(connection, asked, conditions)


def _steps(*by: StepDimension) -> Callable[[Connection, Conditions], Any]:
    def ask(connection: Connection, conditions: Conditions) -> Any:
        dialect = connection.dialect.name
        return sums_of_steps(connection, conditions, {name: of_steps(name, dialect) for name in by})

    return ask


def _statistics(name: str, by: Grouping | None, scope: Scope = ALL_TENANTS) -> View:
    where = CallFilter(scope, since=BEGIN, until=END)
    return View(name, lambda database: groups(database, where, by), _figures(*([by] if by else [])), scope)


def _series(name: str, by: Grouping | None, scope: Scope = ALL_TENANTS, bucket: str | None = None) -> View:
    where = CallFilter(scope, until=END)

    def ask(database: Database) -> Any:
        return timeseries(database, where, since=BEGIN, until=END, bucket=bucket, by=by)

    return View(name, ask, _figures(*([by] if by else [])), scope)


def _providers(name: str, scope: Scope = ALL_TENANTS) -> View:
    where = CallFilter(scope, since=BEGIN, until=END)
    return View(name, lambda database: providers(database, where), _figures("provider", "model"), scope)


def _facets(name: str, scope: Scope = ALL_TENANTS, **filters: str) -> View:
    where = CallFilter(scope, since=BEGIN, until=END, **filters)  # type: ignore[arg-type]
    rows_of = _counts(
        "calls", ("status",), ("provider",), ("model",), ("module",), ("task",), ("error_code",), ("tenant",)
    )
    return View(name, lambda database: facets(database, where), rows_of, scope)


def _usage(name: str, by: Grouping, scope: Scope = ALL_TENANTS) -> View:
    where = CallFilter(scope, since=BEGIN, until=END)
    rows_of = _counts("usage", (), (by,), ("provider", "model"))
    return View(name, lambda database: usage(database, where, by), rows_of, scope)


def _recoveries(
    name: str, ask: Callable[[Database, CallFilter], Any], *by: StepDimension, scope: Scope = ALL_TENANTS
) -> View:
    where = CallFilter(scope, since=BEGIN, until=END)
    return View(name, lambda database: ask(database, where), _steps(*by), scope)


_ODD = timedelta(minutes=17)
_PARTS = CallFilter(ALL_TENANTS, since=BEGIN + _ODD, until=END - timedelta(days=1) + _ODD)
VIEWS = (
    _statistics("statistics", None),
    *(
        _statistics(f"statistics by {by}", by)
        for by in ("provider", "model", "module", "task", "status", "error_code", "tenant", "user")
    ),
    _series("series", None),
    *(_series(f"series by {by}", by) for by in ("provider", "model", "tenant", "user")),
    _series("series of days by provider", "provider", bucket="1d"),
    _providers("providers"),
    _statistics("statistics of a tenant", None, "tenant-7"),
    _statistics("statistics of a tenant by model", "model", "tenant-7"),
    _statistics("statistics of a tenant by user", "user", "tenant-7"),
    _series("series of a tenant by provider", "provider", "tenant-7"),
    _providers("providers of a tenant", "tenant-7"),
    _facets("facets"),
    _facets("facets of a tenant", "tenant-7"),
    _facets("facets of a module and its tasks", module="module-1"),
    *(_usage(f"usage by {by}", by) for by in ("model", "provider", "tenant", "user")),
    _usage("usage of a tenant by user", "user", "tenant-7"),
    _recoveries("recovery, flow", flows, "kind", "strategy"),
    _recoveries("recovery, targets", targets, "strategy", "provider"),
    _recoveries("recovery, by pattern", remedies, "pattern", "strategy"),
    _recoveries("recovery of a tenant by pattern", remedies, "pattern", "strategy", scope="tenant-7"),
    View("statistics from 17 past to 17 past", lambda database: groups(database, _PARTS, None), _figures()),
    View(
        "facets from 17 past to 17 past",
        lambda database: facets(database, _PARTS),
        _facets("").rows,
    ),
    View(
        "usage from 17 past to 17 past",
        lambda database: usage(database, _PARTS, "model"),
        _usage("", "model").rows,
    ),
)


def measure(database: Database, rounds: int, small: Times) -> Times:
    """Print what each view takes, beside the same on a tenth of the rows and from the rows alone."""
    print(f"{'view of 30 days':42}{'ms':>8}{'of a tenth':>12}{'from rows':>12}{'ratio':>8}")
    found: Times = {}
    for view in VIEWS:
        found[view.name] = took = _median(lambda view=view: view.ask(database), rounds)  # type: ignore[misc]
        by_rows = _from_rows(database, view)
        before = f"{took / small[view.name]:11.2f}x" if view.name in small else f"{'':12}"
        print(f"{view.name:42}{took:8.1f}{before}{by_rows:12.0f}{by_rows / took:7.0f}x", flush=True)
    _show_errors(database)
    return found


def _median(ask: Callable[[], Any], rounds: int) -> float:
    ask()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def _from_rows(database: Database, view: View) -> float:
    """Milliseconds of the same figures, grouped by the database over all rows of the time."""
    conditions = CallFilter(view.scope, since=BEGIN, until=END).conditions(database.dialect)
    begin = time.perf_counter()
    with snapshot(database) as connection:
        view.rows(connection, conditions)
    return 1000 * (time.perf_counter() - begin)


def _show_errors(database: Database) -> None:
    """Print how far the percentiles are from those of the sorted times."""
    where = CallFilter(ALL_TENANTS, since=BEGIN, until=END)
    worst = 0.0
    for provider, found in groups(database, where, "provider").groups:
        with database.engine.connect() as connection:
            query = text(
                "SELECT processing_time_ms FROM ai_request_logs WHERE provider_used = :provider ORDER BY 1"
            )
            times = list(connection.execute(query, {"provider": provider}).scalars())
        for share, told in (
            (0.5, found.latency.p50_ms),
            (0.95, found.latency.p95_ms),
            (0.99, found.latency.p99_ms),
        ):
            exact = times[math.ceil(share * len(times)) - 1]
            worst = max(worst, abs((told or 0) - exact) / exact)
    print(f"percentiles of the providers: at most {100 * worst:.2f} % off the sorted times")
