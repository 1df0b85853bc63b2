"""A database of its own for a benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import postgres
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from databases import Databases


@contextmanager
def fresh_database(kind: str) -> Iterator[Database]:
    """One with the product's tables, ``sqlite`` or ``postgresql``, which is gone at the end."""
    with ExitStack() as stack:
        if kind == "sqlite":
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            database = stack.enter_context(Database(f"sqlite:///{Path(directory) / 'calls.db'}"))
            migrate.upgrade(database)
        else:
            databases = Databases(stack.enter_context(postgres.server()))
            stack.callback(databases.close)
            database = stack.enter_context(Database(stack.enter_context(databases.migrated())))
        yield database
