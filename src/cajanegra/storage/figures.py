"""What sets of calls come to, by their rows in ``ai_request_logs``: as many are looked at as there are."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    Select,
    String,
    Subquery,
    and_,
    case,
    column,
    exists,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.domain import sketch
from cajanegra.storage.fitting_columns import time_text
from cajanegra.storage.sums import ANSWERED, COST_UNITS, MAX_COST, MAX_TOKENS, TOKEN_TYPES, Sums
from cajanegra.storage.tables import ERROR_RECOVERY, REQUEST_LOGS

_LOGS = REQUEST_LOGS.c
_STATUS = func.coalesce(sql_cast(_LOGS.status, String), "").label("call_status")
_STATE: ColumnElement[str] = column("call_status", String)

Keys = Mapping[str, ColumnElement[Any]]
"""What calls are grouped by: expressions and their names."""
Group = tuple[Any, ...]
"""A value for each of the keys."""


@dataclass(frozen=True, slots=True)
class GroupedBy:
    """How calls are grouped.

    Attributes:
        keys: by what; none: all are one group, which is ``()``.
        only: of some keys, the values that matter.
    """

    keys: Keys
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)


def sums_of_rows(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], groupings: Sequence[GroupedBy]
) -> list[dict[Group, Sums]]:
    """What the calls that meet the conditions come to, per group; each is looked at once for all groupings.

    Args:
        connection: reads the database.
        conditions: which calls.
        groupings: how they are grouped, once by each. Where one has more keys than another, those that both
            have come first and are of the same types.
    """
    dialect = connection.dialect.name
    keys = {name: expression for one in groupings for name, expression in one.keys.items()}
    labels = [expression.label(f"by_{name}") for name, expression in keys.items()]
    read = read_once([*labels, *_read(dialect)], conditions)
    calls = select(*read.c).cte("each")
    also = _STATE, currency_of(dialect)
    found: list[dict[Group, Sums]] = [{} for _one in groupings]
    for number, group, values in grouped(connection, calls, groupings, also, _measured(dialect)):
        state, money, count, recovered, tokens, costs, last, times, first = values
        one = Sums(
            calls=count,
            answered=count if state in ANSWERED else 0,
            recovered=int(recovered),
            tokens=int(tokens),
            statuses={state: count},
            costs={} if money is None else {str(money): int(costs)},
            latency=sketch_of(times),
            first_token=sketch_of(first),
            last_at=time_text(last) if isinstance(last, datetime) else last,
        )
        found[number].setdefault(group, Sums()).add(one)
    return found


def grouped(
    connection: Connection,
    calls: CTE,
    groupings: Sequence[GroupedBy],
    also: Sequence[ColumnElement[Any]],
    sums: Sequence[ColumnElement[Any]],
) -> Iterator[tuple[int, Group, Sequence[Any]]]:
    """What calls come to by each grouping: its number, the group, and the values of ``also`` and of the sums.

    Args:
        connection: reads the database, which looks at the calls once.
        calls: has a column ``by_`` for each key.
        groupings: see ``sums_of_rows``.
        also: what each group is divided by, too.
        sums: what is added up.
    """
    most = max(len(one.keys) for one in groupings)
    queries: list[Select[Any]] = []
    for number, one in enumerate(groupings):
        keys = [calls.c[f"by_{name}"] for name in one.keys]
        filled_up = [literal("")] * (most - len(keys))
        only = (calls.c[f"by_{name}"].in_(values) for name, values in one.only.items())
        query = select(literal(number), *keys, *filled_up, *also, *sums).select_from(calls)
        queries.append(query.where(*only).group_by(*keys, *also))
    for number, *row in connection.execute(union_all(*queries)):
        yield number, tuple(row[: len(groupings[number].keys)]), row[most:]


def read_once(columns: Sequence[ColumnElement[Any]], conditions: Sequence[ColumnElement[bool]]) -> Subquery:
    """What is read of the calls that meet the conditions, to be worked with by the names of the columns."""
    # Without OFFSET databases put an expression wherever its name stands, and read the JSON for each anew.
    return select(*columns).where(*conditions).offset(0).subquery("calls")


@functools.cache
def money_read(dialect: str) -> Sequence[ColumnElement[Any]]:
    """What ``cost_of`` and ``currency_of`` are made of."""
    return (
        number_in(_LOGS.response_metadata, "cost", dialect).label("cost"),
        _LOGS.response_metadata["cost_currency"].as_string().label("currency"),
    )


@functools.cache
def _read(dialect: str) -> Sequence[ColumnElement[Any]]:
    """What is read of a call; made once, since to make it takes longer than to read a few rows."""
    return (
        _STATUS,
        case((_is_recovered(), 1), else_=0).label("recovered"),
        _LOGS.tokens_used,
        _LOGS.created_at,
        _LOGS.processing_time_ms,
        number_in(_LOGS.response_metadata, "ttft_ms", dialect).label("first_token"),
        *money_read(dialect),
    )


@functools.cache
def _measured(dialect: str) -> Sequence[ColumnElement[Any]]:
    """What is added up of it."""
    return (
        func.count(),
        func.coalesce(func.sum(column("recovered")), 0),
        func.coalesce(func.sum(column("tokens_used")), 0),
        func.coalesce(func.sum(cost_of(column("cost"), dialect)), 0),
        func.max(column("created_at", _LOGS.created_at.type)),
        func.aggregate_strings(sql_cast(column("processing_time_ms"), String), ","),
        func.aggregate_strings(sql_cast(column("first_token"), String), ","),
    )


def number_in(of: ColumnElement[Any], key: str, dialect: str) -> ColumnElement[float]:
    """A number in a JSON object; NULL where there is none, or something else."""
    if dialect == "postgresql":
        value = sql_cast(of, JSONB)[key]
        return case((func.jsonb_typeof(value) == "number", sql_cast(value.as_string(), Float)))
    path = f'$."{key}"'
    is_number = func.json_type(of, path).in_(("integer", "real"))
    return case((is_number, func.json_extract(of, path)))


def cost_of(cost: ColumnElement[float], dialect: str) -> ColumnElement[int]:
    """The cost that a number is, as ``sums.whole_cost`` has it."""
    units = case((cost.between(-MAX_COST, MAX_COST), cost)) * COST_UNITS + 0.5
    return _whole(units, dialect)


def tokens_of(tokens: ColumnElement[float], dialect: str) -> ColumnElement[int]:
    """The tokens that a number is, as ``sums.whole_tokens`` has them."""
    return func.coalesce(_whole(case((tokens.between(0, MAX_TOKENS), tokens)), dialect), 0)


@functools.cache
def details_read(dialect: str) -> Sequence[ColumnElement[Any]]:
    """What ``details_measured`` is made of, beside tokens and money."""
    return (
        _STATUS,
        *(number_in(_LOGS.response_metadata, name, dialect).label(name) for name in TOKEN_TYPES),
    )


@functools.cache
def details_measured(dialect: str) -> Sequence[ColumnElement[int]]:
    """What of a call is added up in ``Sums`` from ``detailed`` on."""
    is_unpriced = and_(_STATE.in_(ANSWERED), cost_of(column("cost"), dialect).is_(None))
    return [
        literal(1),
        *(tokens_of(column(name), dialect) for name in TOKEN_TYPES),
        case((is_unpriced, 1), else_=0),
        case((is_unpriced, column("tokens")), else_=0),
    ]


def sum_of(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """How many rows meet a condition."""
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _is_recovered() -> ColumnElement[bool]:
    steps = select(literal(1)).where(ERROR_RECOVERY.c.request_log_id == _LOGS.id)
    return and_(_LOGS.status.in_(ANSWERED), exists(steps))


@functools.cache
def currency_of(dialect: str) -> ColumnElement[str]:
    """The currency of a call's cost; NULL where it has none."""
    is_known = cost_of(column("cost"), dialect).is_not(None)
    return case((is_known, func.coalesce(column("currency"), "unknown"))).label("of_currency")


def _whole(number: ColumnElement[float], dialect: str) -> ColumnElement[int]:
    """A number without its fraction."""
    # PostgreSQL's cast would round, and SQLite's cuts off.
    return sql_cast(func.trunc(number) if dialect == "postgresql" else number, BigInteger)


def sketch_of(times: str | None) -> int:
    """The sketch of times as one text."""
    if not times:
        return sketch.EMPTY
    return sketch.of_times({float(ms): count for ms, count in Counter(times.split(",")).items()})
