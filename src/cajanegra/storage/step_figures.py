"""What recovery steps come to, by their rows in ``ai_error_recovery``: as many are looked at as there are."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, case, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.storage.figures import Group, Keys, cost_of, number_in, sketch_of, sum_of, tokens_of
from cajanegra.storage.sums import STEP_CURRENCY, Sums
from cajanegra.storage.tables import ERROR_RECOVERY, REQUEST_LOGS

_STEPS = ERROR_RECOVERY.c
_RESULT = _STEPS.recovery_result


def sums_of_steps(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], keys: Keys
) -> dict[Group, Sums]:
    """What the steps of the calls that meet the conditions come to, per group."""
    dialect = connection.dialect.name
    by = [expression.label(f"by_{name}") for name, expression in keys.items()]
    joined = ERROR_RECOVERY.join(REQUEST_LOGS, REQUEST_LOGS.c.id == _STEPS.request_log_id)
    query = select(*by, *_measured(dialect)).select_from(joined).where(*conditions).group_by(*by)
    found: dict[Group, Sums] = {}
    for row in connection.execute(query):
        steps, successes, tokens, unpriced, costs, times = row[len(by) :]
        found[tuple(row[: len(by)])] = Sums(
            calls=steps,
            answered=successes,
            tokens=int(tokens),
            costs={STEP_CURRENCY: int(costs)} if unpriced < steps else {},
            latency=sketch_of(times),
            detailed=steps,
            unpriced_calls=unpriced,
        )
    return found


@functools.cache
def _measured(dialect: str) -> Sequence[ColumnElement[Any]]:
    cost = cost_of(number_in(_RESULT, "cost", dialect), dialect)
    return (
        func.count(),
        sum_of(_STEPS.was_successful == "true"),
        func.coalesce(func.sum(tokens_of(number_in(_RESULT, "tokens", dialect), dialect)), 0),
        sum_of(cost.is_(None)),
        func.coalesce(func.sum(cost), 0),
        func.aggregate_strings(sql_cast(_STEPS.recovery_time_ms, String), ","),
    )


@functools.cache
def text_in(path: tuple[str, ...], size: int, dialect: str) -> ColumnElement[str]:
    """A text in a step's ``recovery_result``, cut; empty where there is none, or something else."""
    if dialect == "postgresql":
        value = sql_cast(_RESULT, JSONB)[path]
        is_text: ColumnElement[Any] = func.jsonb_typeof(value) == "string"
        text: ColumnElement[str] = value.as_string()
    else:
        place = "$." + ".".join(f'"{name}"' for name in path)
        is_text = func.json_type(_RESULT, place) == "text"
        text = func.json_extract(_RESULT, place)
    return case((is_text, func.substr(text, 1, size)), else_="")
