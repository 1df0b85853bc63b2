"""What is looked at first: the providers as the calls met them, and the slowest calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from cajanegra.domain.principal import AllTenants
from cajanegra.ports import ProviderState
from cajanegra.storage.database import Database, reading, snapshot
from cajanegra.storage.filters import CallFilter, id_in
from cajanegra.storage.provider_states import ProviderStates
from cajanegra.storage.reads import Row, check_limit, oldest_of_newest, rows_of, seen_by
from cajanegra.storage.rollups.answers import answer
from cajanegra.storage.rollups.questions import Coverage, Question
from cajanegra.storage.sums import Figures, Sums
from cajanegra.storage.tables import REQUEST_LOGS

LOOKED_AT = 100_000
"""Calls among which the slowest are looked for: the newest."""
MAX_PROVIDERS = 200

_LOGS = REQUEST_LOGS.c


@dataclass(frozen=True, slots=True)
class ProviderUse:
    """One provider, as the calls met it.

    Attributes:
        name: its name in the record.
        figures: what its calls come to: those that it answered, or was the last to be asked.
        models: the same for each of its models, most calls first; the name is empty where it is not known.
        states: what processes have told one another about it; empty in the scope of a tenant, since other
            tenants' calls have a part in it.
    """

    name: str
    figures: Figures
    models: Sequence[tuple[str, Figures]]
    states: Sequence[ProviderState] = field(default=())


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers that calls met, most calls first, and what the answer is made of."""

    uses: Sequence[ProviderUse]
    coverage: Coverage


def providers(db: Database, where: CallFilter) -> Providers:
    """The providers that the calls met, most calls first; at most 200.

    Raises:
        UsageError: a filter makes no sense.
        StorageError: the database cannot be read.
    """
    with snapshot(db) as connection:
        found = answer(db, connection, Question(where, ("provider", "model")))
    whole: dict[str, Sums] = {}
    parts: dict[str, list[tuple[str, Figures]]] = {}
    for (provider, model), sums in found.groups.items():
        whole.setdefault(provider, Sums()).add(sums)
        parts.setdefault(provider, []).append((model, sums.figures()))
    states = ProviderStates(db).read(0.0) if isinstance(where.scope, AllTenants) else ()
    uses = [
        ProviderUse(
            name,
            sums.figures(),
            sorted(parts[name], key=lambda part: (-part[1].total, part[0])),
            [state for state in states if state.provider == name],
        )
        for name, sums in whole.items()
    ]
    uses.sort(key=lambda use: (-use.figures.total, use.name))
    return Providers(uses[:MAX_PROVIDERS], found.coverage)


def slowest(db: Database, where: CallFilter, *, limit: int = 50) -> Sequence[Row]:
    """The calls that took longest, among the newest 100,000 of the filter's tenant, status and time.

    Raises:
        UsageError: the limit is not between 1 and 500, or a filter makes no sense.
        StorageError: the database cannot be read.
    """
    check_limit(limit)
    key = id_in(where.scope)
    query = select(REQUEST_LOGS).where(
        *where.conditions(db.dialect), _LOGS.processing_time_ms.is_not(None), _LOGS.created_at.is_not(None)
    )
    with reading(db) as connection:
        oldest = oldest_of_newest(connection, where, LOOKED_AT)
        if oldest is not None:
            query = query.where(_LOGS.created_at >= oldest)
        order = (_LOGS.processing_time_ms.desc(), _LOGS.created_at.desc(), key.desc())
        rows = rows_of(connection, query.order_by(*order).limit(limit))
    return [seen_by(where.scope, row) for row in rows]
