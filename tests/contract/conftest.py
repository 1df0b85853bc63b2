"""The API that the contract tests call: started once for each host and database, and emptied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_service import Service, emptied, served
from conftest import BOTH
from databases import Databases


@pytest.fixture(scope="session")
def api_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The spools of the services outlive the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", params=BOTH)
def api_url(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("api") / "cajanegra.sqlite"
        shutil.copyfile(sqlite_template, path)
        yield f"sqlite:///{path}"
        return
    databases: Databases = request.getfixturevalue("postgres_databases")
    with databases.migrated() as url:
        yield url


@pytest.fixture(scope="session", params=["standalone", "mounted"])
def running_service(request: pytest.FixtureRequest, api_url: str, api_state: None) -> Iterator[Service]:
    with served(request.param, api_url) as found:
        yield found


@pytest.fixture
def service(running_service: Service) -> Service:
    """The API with an empty record."""
    emptied(running_service)
    return running_service
