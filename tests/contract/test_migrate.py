from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from cajanegra.errors import SchemaError, StorageError
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from cajanegra.storage.tables import Base
from snapshot import snapshot

A_STEP = "INSERT INTO ai_error_recovery (strategy_name) VALUES ('retry')"


def execute(database: Database, statement: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(statement))


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"sqlite_sequence"}


def test_a_new_database_gets_every_table(empty_database: Database) -> None:
    assert migrate.current(empty_database) is None
    upgrade = migrate.upgrade(empty_database)
    assert (upgrade.state, upgrade.from_revision, upgrade.to_revision) == ("created", None, migrate.head())
    assert tables(empty_database) == set(Base.metadata.tables)
    assert migrate.current(empty_database) == migrate.head()


def test_a_second_upgrade_does_nothing(database: Database) -> None:
    assert migrate.upgrade(database) == migrate.Upgrade("current", migrate.head(), migrate.head())


def test_down_and_up_again(database: Database) -> None:
    assert migrate.downgrade(database, "base") is None
    assert tables(database) == {"cajanegra_version"}
    assert migrate.current(database) is None
    assert migrate.upgrade(database).state == "created"


def test_one_step_down_and_up_again(database: Database) -> None:
    before, earlier = snapshot(database), migrate.revisions()[-2]
    assert migrate.downgrade(database, "-1") == earlier
    assert snapshot(database) != before
    upgrade = migrate.upgrade(database)
    assert (upgrade.state, upgrade.from_revision, upgrade.to_revision) == (
        "upgraded",
        earlier,
        migrate.head(),
    )
    assert upgrade.changes
    assert snapshot(database) == before


def test_rows_are_not_dropped_unless_asked_for(database: Database) -> None:
    execute(database, A_STEP)
    with pytest.raises(
        SchemaError, match="ai_error_recovery would be dropped with the rows in it; use --drop-data"
    ):
        migrate.downgrade(database, "base")
    assert migrate.current(database) == migrate.head()
    assert tables(database) == set(Base.metadata.tables)
    assert migrate.downgrade(database, "base", drop_data=True) is None
    assert tables(database) == {"cajanegra_version"}


def test_an_unknown_revision_is_named(database: Database) -> None:
    for change in (migrate.upgrade, migrate.downgrade):
        with pytest.raises(SchemaError, match=r"'9999'.*revisions of this version: base, 0001"):
            change(database, "9999")


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    execute(database, "UPDATE cajanegra_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match=r"revision 9999.*upgrade cajanegra"):
        migrate.upgrade(database)


UPGRADE = """
import sys
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
sys.stdin.read()
with Database(sys.argv[1]) as database:
    for change in sys.argv[2:]:
        getattr(migrate, change)(database)
    print(migrate.current(database))
"""


@pytest.mark.parametrize("change", ["upgrade", "ensure_sqlite"])
def test_processes_may_upgrade_at_once(empty_database: Database, change: str) -> None:
    if empty_database.dialect == "postgresql":
        change = "upgrade"
    url = empty_database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-W", "error", "-c", UPGRADE, url, change]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdin
        process.stdin.close()
        process.stdin = None
    results = [process.communicate(timeout=60) for process in processes]
    assert results == [(f"{migrate.head()}\n", "")] * 4
    assert migrate.upgrade(empty_database).state == "current"


def test_a_new_sqlite_file_gets_its_tables_by_itself(empty_sqlite_url: str) -> None:
    with Database(empty_sqlite_url) as database:
        migrate.ensure_sqlite(database)
        assert migrate.current(database) == migrate.head()
        migrate.ensure_sqlite(database)


def test_a_sqlite_file_with_some_of_the_tables_is_left_as_it_is(empty_sqlite_url: str) -> None:
    with Database(empty_sqlite_url) as database:
        execute(database, "CREATE TABLE ai_request_logs (id INTEGER)")
        migrate.ensure_sqlite(database)
        assert tables(database) == {"ai_request_logs"}


@pytest.mark.postgres
def test_postgresql_is_never_created_by_itself(empty_postgres_url: str) -> None:
    with Database(empty_postgres_url) as database:
        migrate.ensure_sqlite(database)
        assert tables(database) == set()


@pytest.mark.postgres
def test_an_upgrade_does_not_queue_behind_a_long_reader(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "50ms")
    with Database(postgres_url) as database, database.engine.connect() as reader:
        execute(database, "ALTER TABLE ai_error_recovery DROP COLUMN action_taken")
        reader.execute(text("SELECT count(*) FROM ai_error_recovery"))
        with pytest.raises(StorageError, match="lock timeout"):
            migrate.upgrade(database)


def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path / 'a 50% new directory' / 'calls.db'}") as database:
        assert migrate.upgrade(database).state == "created"


def test_an_unreachable_server_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with Database("postgresql://acme:s3cret@127.0.0.1:1/nothing") as database:
        for ask in (migrate.current, migrate.upgrade):
            with pytest.raises(StorageError, match="cannot be reached") as caught:
                ask(database)
            assert "s3cret" not in str(caught.value)
            assert "\n" not in str(caught.value)


def test_threads_may_upgrade_databases_of_their_own_at_once(tmp_path: Path) -> None:
    def upgraded(number: int) -> str:
        with Database(f"sqlite:///{tmp_path / str(number)}.db") as database:
            return migrate.upgrade(database).state

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(upgraded, range(16))) == ["created"] * 16
