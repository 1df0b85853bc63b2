"""What is yet to be counted: a writer leaves it beside the rows of the calls, in the same transaction.

Whether a call is counted is so decided with whether it is there. Adding to the counters themselves would make
writers wait for one another, and cost more rows than the calls have; one process at a time does that for all
of them (``folding``).
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple
from sqlalchemy import ColumnElement, Connection, select

from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.domain.record import CallRecord, StepRecord
from cajanegra.storage import loading
from cajanegra.storage.counted import CountedCalls, CountedStep, places_of
from cajanegra.storage.fitting import MAX_TEXT, fit_text, fitter
from cajanegra.storage.fitting_columns import Values, json_text, time_text
from cajanegra.storage.rollups.cubes import KEY
from cajanegra.storage.sums import (
    ANSWERED,
    MAX_TOKENS,
    TOKEN_TYPES,
    whole_cost,
    whole_tokens,
)
from cajanegra.storage.tables import ERROR_RECOVERY, ROLLUP_DELTAS

Counted = tuple[Values, CountedCalls]
"""For each of some calls the tenant on whose behalf it was, and the calls."""
OfTenant = tuple[str, CountedCalls]
"""Calls of one tenant."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[int, CountedCalls])
_COLUMNS = ("tenant_id", "calls")
TEXTS = (
    "provider_used", "provider_model", "model_requested", "module", "task", "status", "error_code", "user_id",
)  # fmt: skip
"""Columns of ``ai_request_logs`` by which calls are counted."""
READ = ("id", "tenant_id", "created_at", *TEXTS, "tokens_used", "processing_time_ms", "response_metadata")
"""Columns of which it is made up what is counted of a call."""
MAX_MS = 2**63
"""Milliseconds beyond it are none: they would not fit where they are added up."""
_ANSWERED = frozenset(map(str, ANSWERED))
_fit_strategy = fitter(ERROR_RECOVERY.c.strategy_name)
_fit_ms = fitter(ERROR_RECOVERY.c.recovery_time_ms)


def counted(columns: Mapping[str, Values], records: Sequence[CallRecord]) -> Counted:
    """What is counted of calls.

    Args:
        columns: of their rows, as the database is given them.
        records: the same calls.
    """
    metadata = [_object(record.response_metadata) for record in records]
    steps = [[*map(_step_of, record.steps)] if record.steps else () for record in records]
    return _counted(columns, metadata, steps)


def counted_rows(columns: Mapping[str, Values], steps: Mapping[int, Sequence[Mapping[str, Any]]]) -> Counted:
    """What is counted of calls that are in the database; what nobody has dated is in no hour.

    Args:
        columns: of their rows, as the database gives them, with their ids.
        steps: the rows of their recovery steps, by the id of the call.
    """
    dated = [at is not None for at in columns["created_at"]]
    columns = {name: [*itertools.compress(values, dated)] for name, values in columns.items()}
    done = [(*map(_step_of_row, steps.get(call, ())),) for call in columns["id"]]
    times = [*map(time_text, columns["created_at"])]
    metadata = [*map(_object, columns["response_metadata"])]
    return _counted({**columns, "created_at": times}, metadata, done)


def replaced(
    row: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Values],
    record: CallRecord,
) -> list[Counted]:
    """A call that is counted anew in the hour in which it began, and taken out as it was.

    Args:
        row: as it was.
        steps: the rows of its recovery steps before.
        columns: of its row now, but for the time.
        record: the call as it is now.
    """
    tenants, was = counted_rows({name: [value] for name, value in row.items()}, {row["id"]: steps})
    if not was:
        return []
    now = counted({**columns, "created_at": was.at}, [record])
    return [(tenants, msgspec.structs.replace(was, weight=[-1])), now]


def of_tenants(calls: Iterable[Counted]) -> Iterator[OfTenant]:
    """The same calls, those of each tenant together."""
    parts = [part for part in calls if part[1]]
    if not parts:
        return
    joined = CountedCalls.joined([some for _tenants, some in parts])
    tenants = [*itertools.chain.from_iterable(tenants for tenants, _some in parts)]
    for tenant, places in places_of(tenants).items():
        yield tenant, joined.pick(places)


def prepare(calls: Iterable[Counted], dialect: str) -> loading.Load:
    """Do what can be done without the database to note calls as yet to be counted."""
    of = dict(of_tenants(calls))
    packed = [_packed(some, dialect) for some in of.values()]
    return loading.prepare(dialect, ROLLUP_DELTAS.name, _COLUMNS, [[*of], packed])


def leave(connection: Connection, calls: loading.Load) -> None:
    """Note calls as yet to be counted."""
    if calls.rows:
        loading.load(connection, ROLLUP_DELTAS.name, _COLUMNS, [calls])


def waiting(connection: Connection, *conditions: ColumnElement[bool]) -> Iterator[OfTenant]:
    """The calls that are yet to be counted."""
    columns = ROLLUP_DELTAS.c
    for tenant, packed in connection.execute(select(columns.tenant_id, columns.calls).where(*conditions)):
        yield tenant, unpacked(packed)


def waiting_of(connection: Connection, whose: Scope) -> Iterator[OfTenant]:
    """Those of a tenant, or of all."""
    is_all = isinstance(whose, AllTenants)
    return waiting(connection, *([] if is_all else [ROLLUP_DELTAS.c.tenant_id == whose]))


def unpacked(packed: bytes) -> CountedCalls:
    """The calls of one row; none where nobody can read it, so that it does not hold up all others."""
    try:
        size, calls = _DECODER.decode(zlib.decompress(packed))
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
        return CountedCalls()
    return _with_each(calls, lambda values: [*values] * size if len(values) == 1 else values)


def _counted(
    columns: Mapping[str, Values],
    metadata: Sequence[Mapping[str, Any]],
    steps: Sequence[Sequence[CountedStep]],
) -> Counted:
    texts = [columns["created_at"], *(_filled(columns[name]) for name in TEXTS)]
    answered = [*map(_ANSWERED.__contains__, columns["status"])]
    costs, currencies, first_tokens = _measured(metadata)
    measures = (
        _filled(columns["tokens_used"], 0),
        columns["processing_time_ms"],
        first_tokens,
        costs,
        currencies,
        [cost is None and done for cost, done in zip(costs, answered, strict=True)],
        [bool(some) and done for some, done in zip(steps, answered, strict=True)],
        *(_tokens([known.get(name, 0) for known in metadata]) for name in TOKEN_TYPES),
        steps,
        [1] * len(answered),
    )
    return _filled(columns["tenant_id"]), CountedCalls.of(texts, measures)


def _filled(values: Values, nothing: Any = "") -> Values:
    return [value or nothing for value in values] if None in values else values


def _object(metadata: Any) -> Mapping[str, Any]:
    return metadata if type(metadata) is dict or isinstance(metadata, Mapping) else {}


def _measured(metadata: Sequence[Mapping[str, Any]]) -> tuple[Values, Values, Values]:
    """Costs, their currencies, and the times until the first token."""
    costs: Values = [known.get("cost") for known in metadata]
    currencies: Values = [""] * len(costs)
    if any(cost is not None for cost in costs):
        costs = [*map(whole_cost, costs)]
        currencies = [
            "" if cost is None else _currency(known.get("cost_currency"))
            for cost, known in zip(costs, metadata, strict=True)
        ]
    first_tokens: Values = [known.get("ttft_ms") for known in metadata]
    if any(first is not None for first in first_tokens):
        first_tokens = [*map(_time, first_tokens)]
    return costs, currencies, first_tokens


def _time(ms: Any) -> float | None:
    return ms if type(ms) in (int, float) and abs(ms) < MAX_MS else None


def _tokens(values: Values) -> Values:
    if not any(values):
        return [0] * len(values)
    if {*map(type, values)} == {int} and min(values) >= 0 and max(values) <= MAX_TOKENS:
        return values
    return [*map(whole_tokens, values)]


def _step_of(record: StepRecord) -> CountedStep:
    return _step(
        _fit_strategy(record.strategy_name) or "unknown",
        record.recovery_result,
        successful=record.was_successful,
        ms=_fit_ms(record.recovery_time_ms),
    )


def _step_of_row(row: Mapping[str, Any]) -> CountedStep:
    return _step(
        row["strategy_name"],
        row["recovery_result"],
        successful=row["was_successful"] == "true",
        ms=row["recovery_time_ms"],
    )


def _step(strategy: str, result: Any, *, successful: bool, ms: int | None) -> CountedStep:
    result = _object(result)
    trigger = _object(result.get("trigger"))
    return CountedStep(
        _text(trigger.get("kind"), KEY),
        _text(trigger.get("pattern"), 2 * KEY),
        strategy,
        _text(result.get("provider"), KEY),
        successful,
        ms,
        whole_tokens(result.get("tokens")),
        whole_cost(result.get("cost")),
    )


def _text(value: Any, size: int) -> str:
    return fit_text(value, size) or "" if isinstance(value, str) else ""


def _currency(name: Any) -> str:
    if name is None:
        return "unknown"
    return _text(name, MAX_TEXT) if isinstance(name, str) else json_text(name) or "unknown"


def _packed(calls: CountedCalls, dialect: str) -> Any:
    """Calls as they are stored: of a column in which all are alike one, and compressed, which is quicker."""
    alike = _with_each(calls, lambda values: values[:1] if values.count(values[0]) == len(values) else values)
    packed = zlib.compress(_ENCODER.encode((len(calls), alike)), 1)
    return f"\\x{packed.hex()}" if dialect == "postgresql" else packed


def _with_each(calls: CountedCalls, change: Callable[[Values], Values]) -> CountedCalls:
    """The calls with each column changed in which there is something."""
    return CountedCalls(*(change(values) if values else values for values in astuple(calls)))
