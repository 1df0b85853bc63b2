"""What the rows of calls say, for what no cube knows and for the parts of an hour."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    column,
    false,
    func,
    select,
)
from sqlalchemy import cast as sql_cast

from cajanegra.storage.figures import (
    GroupedBy,
    Keys,
    cost_of,
    currency_of,
    details_measured,
    details_read,
    grouped,
    money_read,
    read_once,
    sums_of_rows,
)
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.rollups.cubes import Dimension
from cajanegra.storage.rollups.questions import Coverage, Group, Question, Source
from cajanegra.storage.rollups.windows import Window
from cajanegra.storage.sums import DETAILS, Sums
from cajanegra.storage.tables import REQUEST_LOGS

Groups = dict[Group, Sums]

_LOGS = REQUEST_LOGS.c
_TO_THE_SECOND = len("2026-11-24 12:00:00")
_OF_ROWS: Mapping[Dimension, ColumnElement[Any]] = {
    "tenant": _LOGS.tenant_id,
    "provider": _LOGS.provider_used,
    "model": func.coalesce(func.nullif(_LOGS.provider_model, ""), _LOGS.model_requested),
    "module": _LOGS.module,
    "task": _LOGS.task,
    "status": _LOGS.status,
    "error_code": _LOGS.error_code,
    "user": _LOGS.user_id,
}


@functools.cache
def of_rows(name: Dimension) -> ColumnElement[str]:
    """The value of a dimension in ``ai_request_logs``; empty where a call has none."""
    return func.coalesce(_OF_ROWS[name], "")


def newest(
    connection: Connection, where: CallFilter, within: Sequence[ColumnElement[bool]], most: int
) -> tuple[list[ColumnElement[bool]], datetime | None]:
    """The conditions of a filter, and when the oldest call was begun where no more are looked at.

    Args:
        connection: reads the database.
        where: which calls.
        within: conditions by which an index finds them, among which they are looked for.
        most: so many of these are looked at: the newest.
    """
    at = _LOGS.created_at
    beyond = select(at).where(*within, at.is_not(None)).order_by(at.desc()).offset(most).limit(1)
    oldest = connection.execute(beyond).scalar()
    # Of no index: the rows are those that 'within' finds, and SQLite would rather look at all of a module.
    among = [func.coalesce(one, false()) for one in where.among(connection.dialect.name).values()]
    found = [*within, *among]
    if oldest is None:
        return found, None
    return [at > oldest, *found], oldest + timedelta(microseconds=1)  # SQLite begins at the first bound named


def beside(
    connection: Connection, where: CallFilter, window: Window, most: int
) -> tuple[list[list[ColumnElement[bool]]], Coverage]:
    """The conditions of each part that has to be read beside the rollups, and what both together are made of.

    Args:
        connection: reads the database.
        where: which calls.
        window: of their times.
        most: so many calls of a part are looked at: the newest.
    """
    calls = replace(where, since=None, until=None)
    parts, since = [], window.counted_since
    for part in window.rows():
        conditions, oldest = newest(connection, calls, [*calls.within(), *part], most)
        since = max(filter(None, (since, oldest)), default=None)
        parts.append(conditions)
    source: Source = "rollups" if not parts else "both" if window.spans else "rows"
    return parts, Coverage(source, since, window.whole_hours)


def answers(
    connection: Connection, asked: Sequence[Question], conditions: Sequence[ColumnElement[bool]]
) -> list[Groups]:
    """What the calls that meet the conditions come to, for each of the questions."""
    if asked[0].measure == "figures":
        return _figures(connection, asked, conditions)
    return _counts(connection, asked, conditions)


def _figures(
    connection: Connection, asked: Sequence[Question], conditions: Sequence[ColumnElement[bool]]
) -> list[Groups]:
    found = [*conditions]
    buckets: dict[str, ColumnElement[Any]] = {}
    if (bucket := asked[0].bucket) is not None:
        buckets["bucket"] = _number_of(connection.dialect.name, bucket)
        found.append(_LOGS.created_at.is_not(None))
    if len(asked) == 1 and asked[0].values is not None:  # none of the others need be read
        found.append(of_rows(asked[0].by[0]).in_(asked[0].values))
    return sums_of_rows(connection, found, [_grouping(one, buckets) for one in asked])


def _grouping(asked: Question, buckets: Keys | None = None) -> GroupedBy:
    keys = dict(buckets or {})
    keys.update((name, of_rows(name)) for name in asked.by)
    return GroupedBy(keys, {} if asked.values is None else {asked.by[0]: asked.values})


def _counts(
    connection: Connection, asked: Sequence[Question], conditions: Sequence[ColumnElement[bool]]
) -> list[Groups]:
    """The same without percentiles; the database looks at each call once for all questions."""
    dialect = connection.dialect.name
    in_detail = asked[0].measure == "usage"
    names = sorted({name for one in asked for name in one.by})
    keys = [of_rows(name).label(f"by_{name}") for name in names]
    read = read_once([*keys, *_read(dialect, in_detail=in_detail)], conditions)
    names_read: list[ColumnElement[Any]] = [column(key.name) for key in keys]
    calls = select(*names_read, *_columns(dialect, in_detail=in_detail)).select_from(read).cte("each")
    also = (calls.c.of_currency,) if in_detail else ()
    measured = ("tokens", "of_cost", *DETAILS) if in_detail else ("tokens",)
    added = [func.count(), *(func.coalesce(func.sum(calls.c[name]), 0) for name in measured)]
    found: list[Groups] = [{} for _one in asked]
    groupings = [_grouping(one) for one in asked]
    for number, group, values in grouped(connection, calls, groupings, also, added):
        count, tokens, *more = values[len(also) :]
        sums = Sums(count, tokens=int(tokens))
        if in_detail:
            currency, (costs, *details) = values[0], more
            sums.with_details(details).costs = {} if currency is None else {currency: int(costs)}
        if count:
            found[number].setdefault(group, Sums()).add(sums)
    return found


@functools.cache
def _read(dialect: str, *, in_detail: bool) -> Sequence[ColumnElement[Any]]:
    """What is read of each row."""
    tokens = func.coalesce(_LOGS.tokens_used, 0).label("tokens")
    return (tokens, *money_read(dialect), *details_read(dialect)) if in_detail else (tokens,)


@functools.cache
def _columns(dialect: str, *, in_detail: bool) -> Sequence[ColumnElement[Any]]:
    """What is added up of it."""
    tokens: ColumnElement[Any] = column("tokens")
    if not in_detail:
        return (tokens,)
    details = [one.label(name) for name, one in zip(DETAILS, details_measured(dialect), strict=True)]
    return tokens, cost_of(column("cost"), dialect).label("of_cost"), currency_of(dialect), *details


def _number_of(dialect: str, length: int) -> ColumnElement[int]:
    """How many whole buckets have passed since the Unix epoch."""
    if dialect == "postgresql":
        seconds: ColumnElement[Any] = func.floor(func.extract("epoch", _LOGS.created_at) / length)
    else:
        whole = func.substr(_LOGS.created_at, 1, _TO_THE_SECOND)  # strftime would round what follows up
        seconds = sql_cast(func.strftime("%s", whole), BigInteger).op("/")(length)
    return sql_cast(seconds, BigInteger)
