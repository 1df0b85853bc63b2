"""Fixtures of the crash tests: a fleet on each kind of database, and a PostgreSQL that may be restarted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import postgres
from cajanegra.storage.database import Database
from crash.fleet import Fleet, fleet
from crash.size import LONG


@pytest.fixture
def ships(database: Database, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet on a database of each kind."""
    url = database.url.set(drivername=database.dialect)
    with fleet(url.render_as_string(hide_password=False), tmp_path) as ships:
        yield ships


@pytest.fixture
def forking_ships(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet for processes that fork: in the short form on PostgreSQL alone, whose connections a fork endangers."""
    kind: str = getattr(request, "param", "postgresql")
    url = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
    with fleet(url, tmp_path) as ships:
        yield ships


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if LONG and "forking_ships" in metafunc.fixturenames:
        metafunc.parametrize("forking_ships", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="package")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL of our own that keeps what it has committed, however it is stopped."""
    with postgres.private_cluster(durable=True) as cluster:
        yield cluster
