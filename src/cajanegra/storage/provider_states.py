"""What processes tell one another of the providers, in a table of one row per account and model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from cajanegra.ports import ProviderState
from cajanegra.storage.database import Database, inserting, reading, writing
from cajanegra.storage.tables import PROVIDER_STATES

_LAST = datetime(9999, 12, 31)  # noqa: DTZ001 - times are stored in UTC without saying so
_STATES = PROVIDER_STATES.c


class ProviderStates:
    """A ``ports.SharedState`` on PostgreSQL or SQLite."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def publish(self, states: Sequence[ProviderState]) -> None:
        """Tell all other processes; see ``ports.SharedState.publish``."""
        if not states:
            return
        statement = inserting(PROVIDER_STATES, self._db.dialect)
        new = statement.excluded
        changes = {column.name: new[column.name] for column in _STATES if column.name != "scope"}
        upsert = statement.on_conflict_do_update(
            index_elements=["scope"], set_=changes, where=_STATES.observed_at <= new.observed_at
        )
        with writing(self._db) as connection:
            # In one order, so that two processes never wait for one another's rows.
            connection.execute(upsert, sorted(map(_row, states), key=lambda row: row["scope"]))

    def read(self, since: float) -> Sequence[ProviderState]:
        """What was learned since then; see ``ports.SharedState.read``."""
        query = select(PROVIDER_STATES).where(_STATES.observed_at >= _time(since))
        with reading(self._db) as connection:
            return [_state(row) for row in connection.execute(query).mappings()]

    def close(self) -> None:
        """Give back every connection."""
        self._db.close()


def _row(state: ProviderState) -> dict[str, Any]:
    scope = hashlib.sha256(f"{state.account}\0{state.model}".encode(errors="replace")).hexdigest()
    return {
        "scope": scope,
        "account": state.account[:64],
        "model": state.model,
        "provider": state.provider[:20],
        "kind": state.kind[:50],
        "held_until": _time(state.until),
        "was_asked": int(state.asked),
        "observed_at": _time(state.observed_at),
    }


def _state(row: Any) -> ProviderState:
    return ProviderState(
        row["account"],
        row["model"],
        row["provider"],
        row["kind"],
        row["held_until"].replace(tzinfo=UTC).timestamp(),
        bool(row["was_asked"]),
        row["observed_at"].replace(tzinfo=UTC).timestamp(),
    )


def _time(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(max(seconds, 0.0), UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return _LAST
