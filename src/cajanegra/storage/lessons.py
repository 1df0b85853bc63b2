"""What the recovery engines of all processes read: corrections, and what recovery steps came to."""

from __future__ import annotations

from collections.abc import Sequence

from cajanegra.domain.outcome import Outcome
from cajanegra.errors import SchemaError
from cajanegra.ports import StoredCorrection
from cajanegra.storage.corrections import corrections, of_merged
from cajanegra.storage.database import Database
from cajanegra.storage.outcomes import outcomes


class StoredLessons:
    """A ``ports.Lessons`` on PostgreSQL or SQLite."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._merges = True

    def corrections(self) -> Sequence[StoredCorrection]:
        """The corrections that are enabled now; see ``ports.Lessons.corrections``."""
        stored = corrections(self._db)
        if not self._merges:
            return stored
        try:
            return [*stored, *of_merged(self._db, stored)]
        except SchemaError:  # the guide's tables alone
            self._merges = False
            return stored

    def outcomes(self, after: int, limit: int) -> Sequence[Outcome]:
        """What the latest steps came to; see ``ports.Lessons.outcomes``."""
        return outcomes(self._db, after=after, limit=limit)
