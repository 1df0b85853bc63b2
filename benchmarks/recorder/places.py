"""Where a measurement happens: a fresh database of each kind with a spool of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

import postgres
from cajanegra.models import AIRequestLog
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from databases import Databases

KINDS = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Place:
    """A database with the product's tables, and a directory."""

    url: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to record here."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CAJANEGRA_")}
        return {
            **kept,
            "CAJANEGRA_DATABASE__URL": self.url,
            "CAJANEGRA_SPOOL__DIR": str(self.directory / "spool"),
            "CAJANEGRA_SPOOL__MAX_BYTES": str(64 * 2**30),
        }

    def start(self, module: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start ``python -m MODULE`` here."""
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.Popen(command, env=self.environment, text=True, **options)

    def run(self, module: str, *arguments: str, code: int = 0) -> str:
        """Run ``python -m MODULE`` here to its end; what it printed."""
        process = self.start(module, *arguments, stdout=subprocess.PIPE)
        output, _ = process.communicate()
        if process.returncode != code:
            raise RuntimeError(f"{module} {' '.join(arguments)} ended with {process.returncode}")
        return output

    def count(self) -> int:
        """Calls in the database."""
        with Database(self.url) as database, database.engine.connect() as connection:
            found: int = connection.execute(select(func.count()).select_from(AIRequestLog)).scalar_one()
            return found

    def newest(self) -> int:
        """The greatest id, which costs next to nothing to ask for; ids are given without gaps here."""
        with Database(self.url) as database, database.engine.connect() as connection:
            return connection.execute(select(func.max(AIRequestLog.id))).scalar_one() or 0


@contextlib.contextmanager
def places() -> Iterator[Places]:
    """Places, with the PostgreSQL server that the tests would use."""
    with postgres.server() as server:
        databases = Databases(server)
        try:
            yield Places(databases)
        finally:
            databases.close()


@dataclass(frozen=True)
class Places:
    """Makes places and removes them."""

    databases: Databases

    @contextlib.contextmanager
    def fresh(self, kind: str) -> Iterator[Place]:
        """A place that nobody has used."""
        directory = Path(tempfile.mkdtemp(prefix="cajanegra-bench-"))
        try:
            if kind == "postgresql":
                with self.databases.migrated() as url:
                    yield Place(url, directory)
                return
            url = f"sqlite:///{directory / 'calls.db'}"
            with Database(url) as database:
                migrate.upgrade(database)
            yield Place(url, directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
