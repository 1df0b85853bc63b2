"""What the routes that count answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from cajanegra.server.api.models import Moment
from cajanegra.storage.facets import Facets as StoredFacets
from cajanegra.storage.percentiles import Latency as StoredLatency
from cajanegra.storage.rollups.questions import Coverage
from cajanegra.storage.sums import Figures as StoredFigures
from cajanegra.storage.usage import Usage as StoredUsage


class Covered(BaseModel):
    """What an answer is made of."""

    source: Literal["rollups", "rows", "both"] = Field(
        description="`rollups`: counts per hour; `rows`: single calls; `both`: hours, and the calls of parts "
        "of an hour or of a time before calls were counted."
    )
    counted_since: Moment | None = Field(
        description="Calls begun before this are left out: no rollup answers this, and there are too many to "
        "look at each. `null`: all are counted."
    )
    whole_hours: bool = Field(
        description="Whether the first or last hour is counted whole, since its calls have been deleted."
    )


def covered(found: Coverage) -> dict[str, Any]:
    """The fields of ``Covered``."""
    return {name: getattr(found, name) for name in Covered.model_fields}


class FacetValue(BaseModel):
    """A value, and how many calls have it."""

    value: str = Field(examples=["openai"])
    count: int


class Facets(Covered):
    """How many calls have which value, most calls first; at most 20 values of each.

    Where no rollup knows filters together, the newest 20,000 calls of the time are looked at for the values
    of the others, and `counted_since` says since when that is.
    """

    status: list[FacetValue]
    provider: list[FacetValue]
    model: list[FacetValue]
    module: list[FacetValue]
    task: list[FacetValue]
    error_code: list[FacetValue]
    tenant_id: list[FacetValue] = Field(description="Empty for those who see one tenant.")
    complete: bool = Field(
        description="Whether all calls of the time were counted: there is no `counted_since`."
    )

    @classmethod
    def of(cls, found: StoredFacets) -> Self:
        """From what the database has."""
        values: dict[str, Any] = {
            name: [FacetValue(value=value, count=count) for value, count in counted]
            for name, counted in found.values.items()
        }
        complete = found.coverage.counted_since is None
        return cls(**{"tenant_id": [], **values}, complete=complete, **covered(found.coverage))


class Latency(BaseModel):
    """Percentiles (nearest rank) in milliseconds, within 1 %; `null` where nothing was measured."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    @classmethod
    def of(cls, found: StoredLatency) -> Self:
        """From what the database has."""
        return cls(p50_ms=found.p50_ms, p95_ms=found.p95_ms, p99_ms=found.p99_ms)


class Figures(BaseModel):
    """What a set of calls comes to."""

    total: int = Field(description="Calls.")
    answered: int = Field(description="With the status `success` or `fallback`.")
    failed: int = Field(description="That nobody answered.")
    recovered: int = Field(description="Answered after at least one recovery step.")
    by_status: dict[str, int]
    status_shares: dict[str, float] = Field(description="The same as shares of all, 0 to 1.")
    answered_share: float | None = Field(description="0 to 1; `null` without calls.")
    recovered_share: float | None = Field(
        description="Of the calls that did not succeed at once, those that were answered all the same."
    )
    tokens: int = Field(description="Of the answers, as far as they are known.")
    costs: dict[str, float] = Field(description="By currency, as far as they are known.")
    latency: Latency = Field(description="From begin to finish.")
    time_to_first_token: Latency = Field(description="Of streamed answers.")

    @classmethod
    def of(cls, found: StoredFigures) -> Self:
        """From what the database has."""
        total, troubled = found.total, found.failed + found.recovered
        return cls(
            total=total,
            answered=found.answered,
            failed=found.failed,
            recovered=found.recovered,
            by_status=found.by_status,
            status_shares={name: count / total for name, count in found.by_status.items()},
            answered_share=found.answered / total if total else None,
            recovered_share=found.recovered / troubled if troubled else None,
            tokens=found.tokens,
            costs=found.costs,
            latency=Latency.of(found.latency),
            time_to_first_token=Latency.of(found.first_token),
        )


class Group(Figures):
    """The calls that have one value in common."""

    value: str | None = Field(description="`null` where they have none.", examples=["openai"])

    @classmethod
    def of_group(cls, value: str, found: StoredFigures) -> Self:
        """From what the database has."""
        return cls(value=value or None, **dict(Figures.of(found)))


class Statistics(Figures, Covered):
    """What the calls come to."""

    since: Moment | None
    until: Moment | None
    groups: list[Group] = Field(description="With `group_by`: the largest groups first, at most 100.")
    others: int = Field(description="Calls in groups that are not listed.")


class Point(Figures):
    """The calls of one bucket."""

    start: Moment


class Series(BaseModel):
    """Calls over time."""

    value: str | None = Field(description="With `group_by`: what these calls have in common.")
    points: list[Point] = Field(description="Every bucket, those without calls included.")


class Timeseries(Covered):
    """Calls over time, in buckets of equal length."""

    since: Moment
    until: Moment
    bucket: str = Field(description="How long a bucket is.", examples=["1h"])
    series: Sequence[Series] = Field(description="One, or with `group_by` the 20 with most calls.")


class Model(Figures):
    """The calls that one model answered, or was the last to be asked."""

    model: str | None = Field(examples=["gpt-4o-mini"])


class ProviderState(BaseModel):
    """What the recovery engine has learned about a provider, in whatever process."""

    model: str | None = Field(description="`null` for the whole account.")
    kind: str | None = Field(description="The failure for which it rests; `null` when it answers again.")
    until: Moment = Field(description="When it may be asked again.")
    asked: bool = Field(description="Whether the provider itself asked to be left alone.")
    observed_at: Moment


class Provider(Figures):
    """One provider, as the calls met it."""

    provider: str = Field(examples=["openai"])
    last_call_at: Moment | None
    models: list[Model]
    states: list[ProviderState] = Field(description="Shown to those alone who see all tenants.")


class Providers(Covered):
    """The providers that the calls met, most calls first."""

    items: list[Provider]


class TableSize(BaseModel):
    """How much room a table takes."""

    table: str = Field(examples=["ai_request_logs"])
    rows: int
    exact_rows: bool = Field(description="Whether the rows were counted, or are the server's estimate.")
    table_bytes: int | None = Field(description="`null` for a tenant: the table is shared.")
    index_bytes: int | None
    total_bytes: int | None


class Growth(BaseModel):
    """How fast the tables of calls grow."""

    hours: float = Field(description="How long was looked back: seven days, or to the oldest call.")
    calls_per_day: float
    bytes_per_day: float = Field(
        description="That these add to the tables of calls, steps and contents, indexes included."
    )
    retention_days: int = Field(description="After how many days `cajanegra cleanup` deletes calls.")


class Storage(BaseModel):
    """How much room the record takes."""

    tables: list[TableSize]
    total_bytes: int | None
    growth: Growth | None = Field(description="`null` without calls in the last week, and for a tenant.")


class Usage(BaseModel):
    """Tokens by what they were, and their cost."""

    calls: int
    tokens: int = Field(description="Of the answers in all, as far as they are known.")
    input_tokens: int = Field(description="Of the prompts, cached ones included.")
    output_tokens: int = Field(description="Of the answers, reasoning included.")
    cached_tokens: int
    reasoning_tokens: int
    costs: dict[str, float] = Field(description="By currency, as far as prices are known.")
    unpriced_calls: int = Field(description="Answered calls whose cost is not known.")
    unpriced_tokens: int = Field(description="The tokens of these.")

    @classmethod
    def of(cls, found: StoredUsage) -> Self:
        """From what the database has."""
        return cls(
            calls=found.calls,
            tokens=found.tokens,
            input_tokens=found.input,
            output_tokens=found.output,
            cached_tokens=found.cached,
            reasoning_tokens=found.reasoning,
            costs=dict(found.costs),
            unpriced_calls=found.unpriced_calls,
            unpriced_tokens=found.unpriced_tokens,
        )


class UsageGroup(Usage):
    """What the calls used that have one value in common."""

    value: str | None = Field(description="`null` where they have none.", examples=["gpt-4o-mini"])


class UnpricedModel(BaseModel):
    """A model whose answers have no cost."""

    provider: str = Field(examples=["ovh"])
    model: str | None
    calls: int
    tokens: int


class UsageStatistics(Usage, Covered):
    """What calls used."""

    groups: list[UsageGroup] = Field(description="Most tokens first, at most 100.")
    others: int = Field(description="Calls in groups that are not listed.")
    unpriced: list[UnpricedModel] = Field(description="Most tokens first, at most 100.")
