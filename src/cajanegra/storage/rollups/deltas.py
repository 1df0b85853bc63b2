"""What is yet to be counted: a writer leaves it beside the rows of the calls, in the same transaction.

Whether a call is counted is so decided with whether it is there. Adding to the counters themselves would make
writers wait for one another, and cost more rows than the calls have; one process at a time does that for all
of them (``folding``).
"""

from __future__ import annotations

import itertools
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, select

from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.domain.record import CallRecord, StepRecord
from cajanegra.storage import loading
from cajanegra.storage.fitting import fit_text, fitter
from cajanegra.storage.fitting_columns import Values, json_text, time_text
from cajanegra.storage.rollups.cubes import KEY
from cajanegra.storage.sums import (
    ANSWERED,
    MAX_TOKENS,
    TOKEN_TYPES,
    CountedCall,
    CountedStep,
    whole_cost,
    whole_tokens,
)
from cajanegra.storage.tables import ERROR_RECOVERY, ROLLUP_DELTAS

Counted = tuple[str, CountedCall]
"""A call, and the tenant on whose behalf it was."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[CountedCall])
_COLUMNS = ("tenant_id", "calls")
TEXTS = (
    "provider_used", "provider_model", "model_requested", "module", "task", "status", "error_code", "user_id",
)  # fmt: skip
"""Columns of ``ai_request_logs`` by which calls are counted."""
READ = ("id", "tenant_id", "created_at", *TEXTS, "tokens_used", "processing_time_ms", "response_metadata")
"""Columns of which it is made up what is counted of a call."""
_fit_strategy = fitter(ERROR_RECOVERY.c.strategy_name)
_fit_ms = fitter(ERROR_RECOVERY.c.recovery_time_ms)


def counted(columns: Mapping[str, Values], records: Sequence[CallRecord]) -> list[Counted]:
    """What is counted of calls.

    Args:
        columns: of their rows, as the database is given them.
        records: the same calls.
    """
    metadata = [_object(record.response_metadata) for record in records]
    steps = [[*map(_step_of, record.steps)] if record.steps else () for record in records]
    return _counted(columns, metadata, steps)


def counted_rows(
    columns: Mapping[str, Values], steps: Mapping[int, Sequence[Mapping[str, Any]]]
) -> list[Counted]:
    """What is counted of calls that are in the database; what nobody has dated is in no hour.

    Args:
        columns: of their rows, as the database gives them, with their ids.
        steps: the rows of their recovery steps, by the id of the call.
    """
    done = [[*map(_step_of_row, steps.get(call, ()))] for call in columns["id"]]
    times = [time_text(at) or "" for at in columns["created_at"]]
    metadata = [*map(_object, columns["response_metadata"])]
    return [one for one in _counted({**columns, "created_at": times}, metadata, done) if one[1].at]


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
    before = counted_rows({name: [value] for name, value in row.items()}, {row["id"]: steps})
    if not before:
        return []
    ((tenant, was),) = before
    was.weight = -1
    return [(tenant, was), *counted({**columns, "created_at": [was.at]}, [record])]


def leave(connection: Connection, calls: Iterable[Counted]) -> None:
    """Note calls as yet to be counted."""
    of: dict[str, list[CountedCall]] = defaultdict(list)
    for tenant, call in calls:
        of[tenant].append(call)
    if of:
        packed = [_packed(some, connection.dialect.name) for some in of.values()]
        loading.load_columns(connection, ROLLUP_DELTAS.name, _COLUMNS, [[*of], packed])


def waiting(connection: Connection, *conditions: ColumnElement[bool]) -> Iterator[Counted]:
    """The calls that are yet to be counted."""
    columns = ROLLUP_DELTAS.c
    return unpacked(connection.execute(select(columns.tenant_id, columns.calls).where(*conditions)))


def waiting_of(connection: Connection, whose: Scope) -> Iterator[Counted]:
    """Those of a tenant, or of all."""
    is_all = isinstance(whose, AllTenants)
    return waiting(connection, *([] if is_all else [ROLLUP_DELTAS.c.tenant_id == whose]))


def unpacked(rows: Iterable[Any]) -> Iterator[Counted]:
    """The calls of rows of tenant and packed calls."""
    return itertools.chain.from_iterable(
        zip(itertools.repeat(tenant), unpacked_calls(packed)) for tenant, packed in rows
    )


def unpacked_calls(packed: bytes) -> Sequence[CountedCall]:
    """The calls of one row."""
    return _DECODER.decode(zlib.decompress(packed))


def _counted(
    columns: Mapping[str, Values],
    metadata: Sequence[Mapping[str, Any]],
    steps: Sequence[Sequence[CountedStep]],
) -> list[Counted]:
    costs, currencies, first_tokens = zip(*map(_measured, metadata), strict=True)
    calls = map(
        CountedCall,
        columns["created_at"],
        *(_filled(columns[name]) for name in TEXTS),
        itertools.repeat(1),
        [bool(done) and status in ANSWERED for done, status in zip(steps, columns["status"], strict=True)],
        columns["tokens_used"],
        costs,
        currencies,
        columns["processing_time_ms"],
        first_tokens,
        *(_tokens([known.get(name, 0) for known in metadata]) for name in TOKEN_TYPES),
        steps,
    )
    return [*zip(_filled(columns["tenant_id"]), calls, strict=True)]


def _filled(values: Values) -> Values:
    return [value or "" for value in values] if None in values else values


def _object(metadata: Any) -> Mapping[str, Any]:
    return metadata if type(metadata) is dict or isinstance(metadata, Mapping) else {}


def _measured(metadata: Mapping[str, Any]) -> tuple[int | None, str, float | None]:
    """Cost, its currency, and the time until the first token."""
    cost = whole_cost(metadata.get("cost"))
    first = metadata.get("ttft_ms")
    if type(first) not in (int, float) or first != first or first in (float("inf"), float("-inf")):  # noqa: PLR0124
        first = None
    return cost, "" if cost is None else _currency(metadata.get("cost_currency")), first


def _tokens(values: Values) -> Values:
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
    return name if isinstance(name, str) else json_text(name) or "unknown"


def _packed(calls: Sequence[CountedCall], dialect: str) -> Any:
    """Calls as they are stored: a fifth of their size, which is quicker to write."""
    packed = zlib.compress(_ENCODER.encode(calls), 1)
    return f"\\x{packed.hex()}" if dialect == "postgresql" else packed
