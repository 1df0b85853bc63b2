"""Fixtures shared by all tests: databases of both kinds, migrated and empty."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import postgres
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from databases import Databases

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
_OF_PROGRAMS = ("browser", "e2e", "integration")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave whole programs on SQLite to the long run: that both databases do the same, contract tests show."""
    for item in items:
        tried = getattr(item, "callspec", None)
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        if tried is not None and room in _OF_PROGRAMS and "sqlite" in tried.params.values():
            item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True)
def own_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each test's events wait in a spool of its own, in this process and in those it starts."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """The PostgreSQL server of this run; its client programs come first on ``PATH``."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(postgres.server())
        except postgres.NoServerError as error:
            pytest.exit(str(error), returncode=1)
        path = os.environ["PATH"]
        if server.programs is not None:
            os.environ["PATH"] = f"{server.programs}{os.pathsep}{path}"
        yield server
        os.environ["PATH"] = path


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: postgres.Server) -> Iterator[Databases]:
    databases = Databases(postgres_server)
    yield databases
    databases.close()


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database with the product's tables."""
    with postgres_databases.migrated() as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database without tables."""
    with postgres_databases.empty() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite"
    with Database(f"sqlite:///{path}") as database:
        migrate.upgrade(database)
    return path


@pytest.fixture(scope="module")
def module_database(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A fresh SQLite database with the product's tables, for all tests of a module."""
    path = tmp_path_factory.mktemp("record") / "calls.db"
    shutil.copyfile(sqlite_template, path)
    with Database(f"sqlite:///{path}") as database:
        yield database


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a fresh SQLite file with the product's tables."""
    path = tmp_path / "cajanegra.sqlite"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'empty.sqlite'}"


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of each kind with the product's tables."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    with Database(request.getfixturevalue(name)) as database:
        yield database


@pytest.fixture(params=BOTH)
def empty_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of each kind without tables."""
    name = "empty_sqlite_url" if request.param == "sqlite" else "empty_postgres_url"
    with Database(request.getfixturevalue(name)) as database:
        yield database
