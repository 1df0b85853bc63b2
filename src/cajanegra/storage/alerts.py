"""What is told to whom, in a table that all processes share, so that nobody is told twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select, update

from cajanegra.domain.alert import Alert, Delivery, Explained, PatternState, Traffic
from cajanegra.domain.ids import derived_id
from cajanegra.storage import alert_sources, leases
from cajanegra.storage.database import Database, inserting, reading, writing
from cajanegra.storage.fitting import fit_json, fit_text, fit_time
from cajanegra.storage.tables import ALERTS

LEASE = "alerts"
KEPT = timedelta(days=90)
"""How long what was told last of a subject is remembered."""
MAX_DUE = 500
"""Deliveries that are taken at once."""

_ALERTS = ALERTS.c


class Alerts:
    """A ``ports.AlertStore`` on PostgreSQL or SQLite."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def lead(self, holder: str, now: datetime, until: datetime) -> bool:
        """See ``ports.AlertStore.lead``."""
        return leases.take(self._db, LEASE, holder, now, until)

    def resign(self, holder: str) -> None:
        """See ``ports.AlertStore.resign``."""
        leases.give_back(self._db, LEASE, holder)

    def patterns(self, now: datetime) -> Sequence[PatternState]:
        """See ``ports.AlertStore.patterns``."""
        with reading(self._db) as connection:
            return alert_sources.pattern_states(connection, now)

    def traffic(self, since: datetime) -> Sequence[Traffic]:
        """See ``ports.AlertStore.traffic``."""
        with reading(self._db) as connection:
            return alert_sources.traffic(connection, since)

    def explained(self, names: Collection[str]) -> Mapping[str, Explained]:
        """See ``ports.AlertStore.explained``."""
        with reading(self._db) as connection:
            return alert_sources.explained(connection, names)

    def file(
        self, alerts: Sequence[Alert], targets: Collection[str], now: datetime, cooldown: timedelta, most: int
    ) -> list[Alert]:
        """See ``ports.AlertStore.file``."""
        filed: dict[tuple[str, str], Alert] = {}
        with writing(self._db) as connection:
            connection.execute(delete(ALERTS).where(_ALERTS.found_at < fit_time(now - KEPT)))
            for target in sorted(targets):
                rows: list[int] = []
                for alert in alerts:
                    row_id = self._claim_subject(connection, target, alert, now, cooldown)
                    if row_id is not None:
                        rows.append(row_id)
                        filed.setdefault((alert.kind, alert.subject), alert)
                if len(rows) > most:
                    _fold(connection, rows[most - 1], rows[most:])
        return list(filed.values())

    def due(self, targets: Collection[str], now: datetime) -> Sequence[Delivery]:
        """See ``ports.AlertStore.due``."""
        query = (
            select(ALERTS)
            .where(
                _ALERTS.state == "waiting",
                _ALERTS.next_try_at <= fit_time(now),
                _ALERTS.target.in_(targets),
            )
            .order_by(_ALERTS.found_at, _ALERTS.id)
            .limit(MAX_DUE)
        )
        with reading(self._db) as connection:
            rows = connection.execute(query).mappings()
            return [found for row in rows if (found := _delivery(dict(row))) is not None]

    def take(self, delivery: Delivery, next_try_at: datetime) -> bool:
        """See ``ports.AlertStore.take``."""
        untried = _this(delivery) & (_ALERTS.tries == delivery.tries) & (_ALERTS.state == "waiting")
        values = {"tries": delivery.tries + 1, "next_try_at": fit_time(next_try_at)}
        with writing(self._db) as connection:
            return connection.execute(update(ALERTS).where(untried).values(values)).rowcount > 0

    def settle(self, delivery: Delivery, now: datetime, error: str | None, *, give_up: bool = False) -> None:
        """See ``ports.AlertStore.settle``."""
        values: dict[str, Any] = {"error": fit_text(error, 500)}
        if error is None:
            values |= {"state": "told", "told_at": fit_time(now)}
        elif give_up:
            values["state"] = "failed"
        with writing(self._db) as connection:
            connection.execute(update(ALERTS).where(_this(delivery)).values(values))

    def latest(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """What was found last of each subject, newest first, with how far telling it has got.

        Raises:
            StorageError: the database cannot be read.
        """
        query = select(ALERTS).order_by(_ALERTS.found_at.desc(), _ALERTS.id.desc()).limit(limit)
        with reading(self._db) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def close(self) -> None:
        """Give back every connection."""
        self._db.close()

    def _claim_subject(
        self, connection: Connection, target: str, alert: Alert, now: datetime, cooldown: timedelta
    ) -> int | None:
        """The id of the row, unless this was told already, or something of the subject a moment ago."""
        at = fit_time(now)
        values = {
            "episode": alert.episode,
            "state": "waiting",
            "tries": 0,
            "more": 0,
            "alert": fit_json(msgspec.to_builtins(alert)),
            "error": None,
            "found_at": at,
            "next_try_at": at,
            "told_at": None,
        }
        statement = inserting(ALERTS, self._db.dialect).values(
            target=target, kind=alert.kind, subject=alert.subject, **values
        )
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=["target", "kind", "subject"],
            set_={name: new[name] for name in values},
            where=(_ALERTS.episode != new.episode) & (_ALERTS.found_at <= fit_time(now - cooldown)),
        )
        found: int | None = connection.execute(statement.returning(_ALERTS.id)).scalar()
        return found


def _fold(connection: Connection, into: int, rows: Sequence[int]) -> None:
    connection.execute(update(ALERTS).where(_ALERTS.id == into).values(more=len(rows)))
    connection.execute(update(ALERTS).where(_ALERTS.id.in_(rows)).values(state="folded"))


def _this(delivery: Delivery) -> Any:
    alert = delivery.alert
    return (
        (_ALERTS.target == delivery.target)
        & (_ALERTS.kind == alert.kind)
        & (_ALERTS.subject == alert.subject)
        & (_ALERTS.episode == alert.episode)
    )


def _delivery(row: Mapping[str, Any]) -> Delivery | None:
    try:
        alert = msgspec.convert(row["alert"], Alert)
    except msgspec.ValidationError:  # of a newer version, which tells it
        return None
    key = derived_id(row["target"], alert.kind, alert.subject, alert.episode)
    return Delivery(f"alert_{key}", row["target"], alert, row["tries"], row["more"])
