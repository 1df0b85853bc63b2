"""The API that the contract tests call: started once for each host and database, and emptied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_service import Host, Service, emptied, served
from databases import Databases


@pytest.fixture(scope="session")
def api_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The spools of the services outlive the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


HOSTS = [
    ("standalone", "sqlite"),
    pytest.param(("mounted", "postgresql"), marks=pytest.mark.postgres),
]
"""The API by itself and in an application of others, and the databases: each of them once."""


@pytest.fixture(scope="session", params=HOSTS, ids="-".join)
def host(request: pytest.FixtureRequest) -> tuple[Host, str]:
    found: tuple[Host, str] = request.param
    return found


@pytest.fixture(scope="session")
def api_url(
    request: pytest.FixtureRequest,
    host: tuple[Host, str],
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    if host[1] == "sqlite":
        path = tmp_path_factory.mktemp("api") / "cajanegra.sqlite"
        shutil.copyfile(sqlite_template, path)
        yield f"sqlite:///{path}"
        return
    databases: Databases = request.getfixturevalue("postgres_databases")
    with databases.migrated() as url:
        yield url


@pytest.fixture(scope="session")
def running_service(host: tuple[Host, str], api_url: str, api_state: None) -> Iterator[Service]:
    with served(host[0], api_url) as found:
        yield found


@pytest.fixture
def service(running_service: Service) -> Service:
    """The API with an empty record."""
    emptied(running_service)
    return running_service
