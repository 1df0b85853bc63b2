"""``/statistics``, ``/timeseries``, ``/providers`` and ``/storage``: calls in numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from cajanegra.domain.principal import AllTenants
from cajanegra.server.access import Reader
from cajanegra.server.api import figure_models as models
from cajanegra.server.api.conditional import NOT_MODIFIED, ConditionalRoute
from cajanegra.server.api.queries import Grouping, WindowQuery
from cajanegra.storage import overview, statistics, timeseries, usage
from cajanegra.storage.sizes import growth, own_rows, sizes

router = APIRouter(route_class=ConditionalRoute, tags=["figures"])


class StatisticsQuery(WindowQuery):
    """Which calls, and by what they are grouped."""

    group_by: Annotated[Grouping | None, Field(description="Figures for each value of this, too.")] = None


class UsageQuery(WindowQuery):
    """Which calls, and by what their tokens are grouped."""

    group_by: Annotated[Grouping, Field(description="Tokens and cost for each value of this.")] = "model"


class TimeseriesQuery(StatisticsQuery):
    """Which calls, in which buckets."""

    bucket: Annotated[
        Literal["1m", "5m", "15m", "1h", "6h", "1d"] | None,
        Field(
            description="How long a bucket is; default is the shortest that gives at most 200, and 1,000 in "
            "all series together, as far as days do; from an hour on for more than six hours. At most 1,000 "
            "of a series. Those of less than an hour look at every call."
        ),
    ] = None


@router.get("/statistics", responses=NOT_MODIFIED)
def show_statistics(access: Reader, query: Annotated[StatisticsQuery, Query()]) -> models.Statistics:
    """Totals, rates, tokens, cost and percentiles; of all calls that are meant, and by group."""
    where = query.in_window(access.scope)
    found = statistics.groups(access.reads, where, query.group_by)
    return models.Statistics(
        since=where.since,
        until=where.until,
        groups=[models.Group.of_group(value, entry) for value, entry in found.groups],
        others=found.others if query.group_by else 0,
        **models.covered(found.coverage),
        **dict(models.Figures.of(found.all)),
    )


@router.get("/statistics/usage", responses=NOT_MODIFIED)
def show_usage(access: Reader, query: Annotated[UsageQuery, Query()]) -> models.UsageStatistics:
    """Tokens by what they were, what they cost, and the models whose prices are not known."""
    found = usage.usage(access.reads, query.in_window(access.scope), query.group_by)
    return models.UsageStatistics(
        groups=[
            models.UsageGroup(value=value or None, **dict(models.Usage.of(entry)))
            for value, entry in found.groups
        ],
        others=found.others,
        unpriced=[
            models.UnpricedModel(
                provider=one.provider, model=one.model or None, calls=one.calls, tokens=one.tokens
            )
            for one in found.unpriced
        ],
        **models.covered(found.coverage),
        **dict(models.Usage.of(found.all)),
    )


@router.get("/timeseries", responses=NOT_MODIFIED)
def show_timeseries(access: Reader, query: Annotated[TimeseriesQuery, Query()]) -> models.Timeseries:
    """The same over time; buckets without calls are there, too."""
    since, until = query.window(datetime.now(UTC))
    where = query.filter(access.scope, since=since)
    found = timeseries.timeseries(
        access.reads, where, since=since, until=until, bucket=query.bucket, by=query.group_by
    )
    return models.Timeseries(
        since=since,
        until=until,
        bucket=found.bucket,
        series=[
            models.Series(
                value=one.value or None,
                points=[
                    models.Point(start=start, **dict(models.Figures.of(entry))) for start, entry in one.points
                ],
            )
            for one in found.series
        ],
        **models.covered(found.coverage),
    )


@router.get("/providers", responses=NOT_MODIFIED)
def list_providers(access: Reader, query: Annotated[WindowQuery, Query()]) -> models.Providers:
    """The providers and their models as the calls met them, most calls first."""
    found = overview.providers(access.reads, query.in_window(access.scope))
    return models.Providers(items=[_provider(use) for use in found.uses], **models.covered(found.coverage))


@router.get("/storage", responses=NOT_MODIFIED)
def show_storage(access: Reader) -> models.Storage:
    """Rows and bytes of the tables; a tenant is shown its own rows."""
    if not isinstance(access.scope, AllTenants):
        rows = own_rows(access.reads, access.scope)
        tables = [_own(table, count) for table, count in rows.items()]
        return models.Storage(tables=tables, total_bytes=None, growth=None)
    found = sizes(access.reads)
    grown = growth(access.reads, found, datetime.now(UTC))
    return models.Storage(
        tables=[models.TableSize.model_validate(size, from_attributes=True) for size in found],
        total_bytes=sum(size.total_bytes for size in found),
        growth=None
        if grown is None
        else models.Growth(
            hours=grown.hours,
            calls_per_day=grown.calls_per_day,
            bytes_per_day=grown.bytes_per_day,
            retention_days=access.context.settings.retention.default_days,
        ),
    )


def _provider(use: overview.ProviderUse) -> models.Provider:
    return models.Provider(
        provider=use.name,
        last_call_at=use.figures.last_at,
        models=[
            models.Model(model=name or None, **dict(models.Figures.of(part))) for name, part in use.models
        ],
        states=[
            models.ProviderState(
                model=state.model or None,
                kind=state.kind or None,
                until=datetime.fromtimestamp(state.until, UTC),
                asked=state.asked,
                observed_at=datetime.fromtimestamp(state.observed_at, UTC),
            )
            for state in use.states
        ],
        **dict(models.Figures.of(use.figures)),
    )


def _own(table: str, rows: int) -> models.TableSize:
    return models.TableSize(
        table=table, rows=rows, exact_rows=True, table_bytes=None, index_bytes=None, total_bytes=None
    )
