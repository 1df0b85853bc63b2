"""Fixtures of the crash tests: a fleet on each kind of database, and a PostgreSQL that may be restarted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import postgres
from cajanegra.storage.database import Database
from crash.fleet import Fleet, fleet


@pytest.fixture
def ships(database: Database, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet on a database of each kind."""
    url = database.url.set(drivername=database.dialect)
    with fleet(url.render_as_string(hide_password=False), tmp_path) as ships:
        yield ships


@pytest.fixture(scope="package")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL of our own that keeps what it has committed, however it is stopped."""
    with postgres.private_cluster(durable=True) as cluster:
        yield cluster
