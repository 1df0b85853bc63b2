"""The tests' own PostgreSQL: found, started, watched for leaks, and missed loudly."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

import postgres
from databases import Databases

pytestmark = pytest.mark.postgres


def test_a_connection_that_stays_open_fails_the_test(
    postgres_databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("databases._SECONDS_TO_DISCONNECT", 0.0)
    with pytest.raises(AssertionError, match="left connections open"), postgres_databases.empty() as url:
        leaked = psycopg.connect(url)
    leaked.close()


def test_each_database_is_its_own_and_is_dropped(postgres_databases: Databases) -> None:
    with postgres_databases.migrated() as first, postgres_databases.migrated() as second:
        assert first != second
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)


def test_the_environment_names_the_server(
    postgres_server: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.url
    monkeypatch.delenv("CAJANEGRA_TEST_POSTGRES_URL", raising=False)
    values = {"PGHOST": url.host or url.query.get("host"), "PGPORT": url.port, "PGUSER": url.username}
    for name, value in (values | {"PGPASSWORD": url.password, "PGDATABASE": url.database}).items():
        if value is not None:
            monkeypatch.setenv(name, str(value))
    assert postgres._named_server() == make_url(postgres._dsn(url)).set(port=url.port or 5432)


def test_a_named_server_that_is_not_there_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAJANEGRA_TEST_POSTGRES_URL", "postgresql://127.0.0.1:1/nothing")
    with (
        pytest.raises(postgres.NoServerError, match="CAJANEGRA_TEST_POSTGRES_URL names a server"),
        postgres.server(),
    ):
        pass


def test_a_private_cluster_can_be_had() -> None:
    with postgres.private_cluster() as server:
        with psycopg.connect(postgres._dsn(server.url)) as connection:
            data = connection.execute("SHOW data_directory").fetchone()
            assert connection.execute(
                "SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert data is not None
        assert not Path(data[0]).is_relative_to(Path(__file__).parents[2])
    assert not Path(data[0]).exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres._dsn(server.url))


def test_without_any_postgresql_the_run_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_program_directories", lambda: iter(()))
    with (
        pytest.raises(postgres.NoServerError, match="apt-get install postgresql"),
        postgres.private_cluster(),
    ):
        pass
