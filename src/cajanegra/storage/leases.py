"""Work that one process at a time does for all of them: whoever holds its lease.

A row with an end, and no advisory lock: those of a session get lost behind a transaction pooler, and those of
a transaction end with each of the many transactions that such work takes.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, or_

from cajanegra.storage.database import Database, inserting, writing
from cajanegra.storage.fitting import fit_time
from cajanegra.storage.tables import LEASES

_LEASES = LEASES.c


def take(db: Database, name: str, holder: str, now: datetime, until: datetime) -> bool:
    """Take a lease, or keep it for longer; whether the holder has it now.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    statement = inserting(LEASES, db.dialect).values(name=name, holder=holder, held_until=fit_time(until))
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": new.holder, "held_until": new.held_until},
        where=or_(_LEASES.holder == new.holder, _LEASES.held_until < fit_time(now)),
    )
    with writing(db) as connection:
        return connection.execute(statement.returning(_LEASES.name)).scalar() is not None


def give_back(db: Database, name: str, holder: str) -> None:
    """Let others take it at once.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    with writing(db) as connection:
        connection.execute(delete(LEASES).where(_LEASES.name == name, _LEASES.holder == holder))
