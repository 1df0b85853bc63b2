from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from cajanegra.storage import health, migrate
from cajanegra.storage.database import Database
from cajanegra.storage.health import Check
from cajanegra.storage.partitioning import partition
from snapshot import GUIDE, run_script

ROW = "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used) VALUES ('r1', 'chat', 5, 'x')"


def run(database: Database, *statements: str) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))


def find(database: Database, name: str) -> Check:
    return next(check for check in health.checks(database) if check.name == name)


def run_mend(database: Database, check: Check) -> None:
    """Do what the check says, word for word."""
    mend = check.mend.removeprefix("as the owner: ")
    if mend == "cajanegra db upgrade":
        migrate.upgrade(database)
    else:
        run(database, *mend.split("; "))


def test_a_migrated_database_is_well(database: Database) -> None:
    found = health.checks(database)
    assert [(check.name, check.state) for check in found if check.state != "ok"] == []
    assert [check.mend for check in found if check.mend] == []
    names = [check.name for check in found]
    assert names[:7] == ["connection", "tables", "revision", "columns", "indexes", "duplicates", "privileges"]


def test_relation_does_not_exist(database: Database) -> None:
    run(database, "DROP TABLE ai_error_analysis")
    check = find(database, "tables")
    assert (check.state, check.detail) == ("failed", "missing: ai_error_analysis")
    run_mend(database, check)
    assert find(database, "tables").state == "ok"


@pytest.mark.postgres
def test_an_empty_database_is_not_called_well(empty_postgres_url: str) -> None:
    with Database(empty_postgres_url) as database:
        names = {check.name: check.state for check in health.checks(database)}
    assert names["tables"] == "failed"
    assert not names.keys() & {"columns", "indexes", "privileges", "duplicates"}


def test_looking_does_not_make_a_sqlite_file(empty_sqlite_url: str) -> None:
    with Database(empty_sqlite_url) as database:
        found = health.checks(database)
        assert database.url.database
        assert not Path(database.url.database).exists()
    assert [(check.name, check.state) for check in found] == [("connection", "warning")]


def test_an_unreachable_server_is_one_check() -> None:
    with Database("postgresql://acme:s3cret@127.0.0.1:1/nothing") as database:
        (check,) = health.checks(database)
    assert (check.name, check.state) == ("connection", "failed")
    assert "cannot be reached" in check.detail
    assert "s3cret" not in check.detail
    assert check.mend


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    path.write_text("this is a text, long enough to be read as a header of a database file" * 20)
    with Database(f"sqlite:///{path}") as database:
        (check,) = health.checks(database)
    assert (check.name, check.state) == ("connection", "failed")
    assert "file is not a database" in check.detail


def test_a_missing_column(database: Database) -> None:
    run(database, "ALTER TABLE ai_request_logs DROP COLUMN error_code")
    check = find(database, "columns")
    assert (check.state, check.mend) == ("failed", "cajanegra db upgrade")
    assert "ai_request_logs (error_code) column missing" in check.detail
    run_mend(database, check)
    assert find(database, "columns").state == "ok"


@pytest.mark.postgres
def test_columns_of_another_kind_are_mended_by_what_it_says(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        run(
            database,
            ROW,
            "ALTER TABLE ai_request_logs ALTER request_metadata TYPE JSON, ALTER created_at TYPE TIMESTAMPTZ",
            "ALTER TABLE ai_request_logs ALTER status SET DEFAULT 'ok', ALTER retry_count SET DEFAULT 9",
            "ALTER TABLE ai_error_recovery ADD COLUMN cost INTEGER NOT NULL",
        )
        check = find(database, "columns")
        assert check.state == "failed"
        run_mend(database, check)
        assert find(database, "columns") == Check("columns", "ok", "all there and as they must be")


def test_slow_migrations_indexes_are_made_apart(database: Database) -> None:
    run(database, "DROP INDEX idx_ai_logs_provider", "DROP INDEX idx_ai_logs_module_task")
    check = find(database, "indexes")
    assert check.state == "warning"
    assert ("CONCURRENTLY" in check.mend) == (database.dialect == "postgresql")
    run_mend(database, check)
    assert find(database, "indexes").state == "ok"


def test_duplicate_key_value(empty_database: Database) -> None:
    run_script(
        empty_database, GUIDE.replace("request_id VARCHAR(50) UNIQUE NOT NULL", "request_id VARCHAR(50)")
    )
    if empty_database.dialect == "sqlite":
        columns = (
            "id INTEGER PRIMARY KEY, request_id TEXT, task TEXT, prompt_length INTEGER, provider_used TEXT"
        )
        run(empty_database, "DROP TABLE ai_request_logs", f"CREATE TABLE ai_request_logs ({columns})")
    run(empty_database, ROW, ROW)
    check = find(empty_database, "duplicates")
    assert check.state == "failed"
    assert "1 values of ai_request_logs.request_id are in more than one row" in check.detail
    statement = check.mend.removeprefix("keep the newest of each: ").removesuffix(
        "; then cajanegra db upgrade"
    )
    run(empty_database, statement)
    migrate.upgrade(empty_database)
    assert find(empty_database, "duplicates").state == "ok"
    with empty_database.engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM ai_request_logs")).scalars().all() == [2]


def test_a_database_that_no_migration_has_seen(empty_database: Database) -> None:
    run_script(empty_database, GUIDE)
    assert find(empty_database, "revision").state == "warning"
    migrate.upgrade(empty_database)
    run(empty_database, "UPDATE cajanegra_version SET version_num = '9999'")
    assert find(empty_database, "revision").mend == "upgrade cajanegra"


@pytest.fixture
def restricted(postgres_url: str) -> Iterator[tuple[Database, Database]]:
    """A database as its owner sees it, and as a role without privileges does."""
    role = f"cajanegra_test_{secrets.token_hex(4)}"
    with Database(postgres_url) as owner:
        run(owner, f'CREATE ROLE "{role}"')
        try:
            with Database(f"{postgres_url}?options=-crole%3D{role}") as user:
                yield owner, user
        finally:
            run(owner, f'DROP OWNED BY "{role}"', f'DROP ROLE "{role}"')


@pytest.mark.postgres
def test_permission_denied(restricted: tuple[Database, Database]) -> None:
    owner, user = restricted
    check = find(user, "privileges")
    assert check.state == "failed"
    assert (
        "lacks SELECT, INSERT, UPDATE, DELETE on ai_request_logs, USAGE on public.ai_request_logs_id_seq"
        in check.detail
    )
    assert find(user, "revision").state == "warning"
    assert find(user, "sequences").state == "warning"
    run_mend(owner, check)
    assert {item.state for item in health.checks(user)} == {"ok"}
    run(user, ROW)


@pytest.mark.postgres
def test_sequences_that_a_restore_by_hand_left_behind(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        run(database, ROW.replace("(request_id", "(id, request_id").replace("('r1'", "(7, 'r7'"))
        check = find(database, "sequences")
        assert (check.state, check.mend.startswith("SELECT setval")) == ("failed", True)
        run_mend(database, check)
        assert find(database, "sequences").state == "ok"
        run(database, ROW)


@pytest.mark.postgres
def test_time_zone_and_clock(postgres_url: str) -> None:
    with Database(f"{postgres_url}?options=-ctimezone%3DAmerica/Lima") as database:
        check = find(database, "time zone")
        assert check.state == "warning"
        assert check.mend.endswith("SET timezone TO 'UTC'")
        run_mend(database, check)
        found = health.checks(database, clock=lambda: time.time() - 60)
    clock = next(check for check in found if check.name == "clock")
    assert clock.state == "warning"
    assert "the server's clock is 60.0 s ahead of this machine's" in clock.detail


@pytest.mark.postgres
def test_a_read_only_user(postgres_url: str) -> None:
    with Database(f"{postgres_url}?options=-cdefault_transaction_read_only%3Don") as database:
        assert find(database, "writable").state == "failed"


def test_a_sqlite_file_that_cannot_be_written(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everything, so the answer of the system is changed and not the mode of the file.
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    with Database(sqlite_url) as database:
        check = find(database, "privileges")
    assert check.state == "failed"
    assert check.mend.startswith("chown or chmod u+w ")


def test_a_full_disk_beside_sqlite(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cajanegra.storage.health_sqlite.LITTLE_ROOM", 1 << 60)
    with Database(sqlite_url) as database:
        assert find(database, "disk").state == "warning"


@pytest.mark.postgres
@pytest.mark.parametrize("table", ["ai_request_logs", "ai_error_recovery"])
def test_ids_that_come_to_their_end(postgres_url: str, table: str) -> None:
    with Database(postgres_url) as database:
        assert not any(check.name == "ids" for check in health.checks(database))
        run(database, f"SELECT setval('{table}_id_seq', 1288490188)")
        check = find(database, "ids")
        assert (check.state, check.detail) == ("warning", f"60% of all ids of {table} are used up")
        assert check.mend == "as the owner of the tables: cajanegra db partition --bigint"
        partition(database, bigint=True)
        assert not any(check.name == "ids" for check in health.checks(database))


@pytest.mark.postgres
def test_ids_that_are_wide_in_one_table_alone(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        run(
            database,
            "ALTER TABLE ai_request_logs ALTER id TYPE bigint",
            "ALTER SEQUENCE ai_request_logs_id_seq AS bigint",
            "SELECT setval('ai_request_logs_id_seq', 2040109465)",
        )
        assert find(database, "ids").detail == "95% of all ids of ai_request_logs are used up"
        partition(database, bigint=True)
        assert [check.name for check in health.checks(database) if check.state != "ok"] == []
