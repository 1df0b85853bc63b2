from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from cajanegra.errors import StorageError, UsageError
from cajanegra.storage import migrate
from cajanegra.storage.backup import backup, restore
from cajanegra.storage.database import Database
from cajanegra.storage.verify import verify

TEXT = "a\ttab, a\nline, \\N, ñ, 😀 and 'quotes'"
ALL = "SELECT id, request_id, error_message FROM ai_request_logs ORDER BY id"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a backup.dump"


@pytest.fixture
def filled(database: Database) -> Database:
    for name in ("r1", "r2", "r3"):
        add(database, name)
    run(database, "DELETE FROM ai_request_logs WHERE request_id = 'r2'")
    run(database, "INSERT INTO ai_error_recovery (request_log_id, strategy_name) VALUES (3, 'retry')")
    return database


def run(database: Database, statement: str, **values: object) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(statement), values)


def add(database: Database, request_id: str) -> None:
    insert = (
        "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used, error_message)"
        " VALUES (:id, 'chat', 5, 'ollama', :text)"
    )
    run(database, insert, id=request_id, text=TEXT)


def rows(database: Database, query: str = ALL) -> list[tuple[object, ...]]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_what_was_lost_comes_back(filled: Database, path: Path) -> None:
    before = rows(filled)
    backup(filled, path)
    migrate.downgrade(filled, "base", drop_data=True)
    restore(filled, path)
    assert rows(filled) == before == [(1, "r1", TEXT), (3, "r3", TEXT)]
    assert rows(filled, "SELECT request_log_id, strategy_name FROM ai_error_recovery") == [(3, "retry")]
    assert {finding.state for finding in verify(filled)} == {"present"}
    add(filled, "r4")
    assert rows(filled)[-1][0] not in (1, 2, 3)


def test_rows_are_replaced_only_when_forced(filled: Database, path: Path) -> None:
    backup(filled, path)
    before = rows(filled)
    add(filled, "r4")
    with pytest.raises(UsageError, match="ai_request_logs, ai_error_recovery would be overwritten; --force"):
        restore(filled, path)
    assert len(rows(filled)) == 3
    restore(filled, path, force=True)
    assert rows(filled) == before


def test_a_file_is_overwritten_only_when_forced(filled: Database, path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists; --force overwrites it"):
        backup(filled, path)
    assert path.read_text() == "precious"
    backup(filled, path, force=True)
    restore(filled, path, force=True)


def test_a_backup_is_one_file_for_its_owner_only(filled: Database, path: Path) -> None:
    backup(filled, path)
    assert [file.name for file in path.parent.iterdir() if "backup" in file.name] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_progress_reaches_the_end(filled: Database, path: Path) -> None:
    seen: list[tuple[int, int]] = []
    backup(filled, path, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0
    seen.clear()
    restore(filled, path, force=True, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen == sorted(seen)


def test_a_broken_backup_changes_nothing(filled: Database, path: Path) -> None:
    backup(filled, path)
    add(filled, "r4")
    before = rows(filled)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(StorageError, match=r"restored|refused") as caught:
        restore(filled, path, force=True)
    assert "\n" not in str(caught.value)
    assert rows(filled) == before


def test_rows_that_do_not_fit_change_nothing(filled: Database, path: Path) -> None:
    run(filled, "UPDATE ai_request_logs SET task = 'x'")
    if filled.dialect == "postgresql":
        run(filled, "ALTER TABLE ai_request_logs ALTER task TYPE VARCHAR(99)")
        run(filled, "UPDATE ai_request_logs SET task = repeat('secret', 9)")
    else:
        run(filled, "ALTER TABLE ai_request_logs RENAME TO old")
        run(filled, "CREATE TABLE ai_request_logs AS SELECT * FROM old")
        run(filled, "UPDATE ai_request_logs SET task = NULL")
    backup(filled, path)
    if filled.dialect == "postgresql":
        run(filled, "UPDATE ai_request_logs SET task = 'y'")
        run(filled, "ALTER TABLE ai_request_logs ALTER task TYPE VARCHAR(20)")
    else:
        run(filled, "DROP TABLE ai_request_logs")
        run(filled, "ALTER TABLE old RENAME TO ai_request_logs")
    before = rows(filled)
    with pytest.raises(StorageError) as caught:
        restore(filled, path, force=True)
    assert "secret" not in str(caught.value)
    assert rows(filled) == before


def test_what_is_no_backup_is_refused(filled: Database, path: Path) -> None:
    path.write_bytes(b"-- a dump in plain SQL")
    with pytest.raises(UsageError, match=f"is no backup of a {filled.dialect} database"):
        restore(filled, path, force=True)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        restore(filled, path.with_name("absent"))
    assert len(rows(filled)) == 2


def test_a_file_that_cannot_be_written(filled: Database, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: No such file or directory"):
        backup(filled, tmp_path / "absent" / "backup.dump")


def test_without_tables_there_is_nothing_to_back_up(empty_database: Database, path: Path) -> None:
    with pytest.raises(StorageError, match=r"has no tables of cajanegra to back up|does not exist"):
        backup(empty_database, path)
    assert not path.exists()


@pytest.mark.postgres
def test_only_the_products_tables_are_in_it(postgres_url: str, empty_postgres_url: str, path: Path) -> None:
    with Database(postgres_url) as source, Database(empty_postgres_url) as target:
        run(source, "CREATE TABLE of_the_host (id INTEGER)")
        add(source, "r1")
        backup(source, path)
        restore(target, path)
        assert rows(target, "SELECT count(*) FROM ai_request_logs") == [(1,)]
        assert rows(target, "SELECT to_regclass('of_the_host')") == [(None,)]


def test_sqlite_keeps_the_hosts_tables_when_it_restores(sqlite_url: str, path: Path) -> None:
    with Database(sqlite_url) as database:
        add(database, "r1")
        backup(database, path)
        run(database, "CREATE TABLE of_the_host (id INTEGER)")
        restore(database, path, force=True)
        assert rows(database, "SELECT count(*) FROM of_the_host") == [(0,)]


@pytest.mark.postgres
def test_a_missing_pg_dump_is_one_clear_line(
    postgres_url: str, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("cajanegra.storage.backup_postgresql.INSTALLED", tmp_path)
    with (
        Database(postgres_url) as database,
        pytest.raises(StorageError, match="pg_dump is not installed; it comes"),
    ):
        backup(database, path)
    assert not path.exists()


@pytest.mark.postgres
def test_the_password_is_never_an_argument(
    postgres_url: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = tmp_path / "bin" / "pg_dump"
    spy.parent.mkdir()
    spy.write_text(
        "#!/bin/sh\n"
        f'printf \'%s\\n%s\' "$*" "$PGPASSWORD" > {shlex.quote(str(tmp_path / "seen"))}\n'
        "echo 'pg_dump: error: enough' >&2\nexit 1\n"
    )
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}{os.pathsep}{os.environ['PATH']}")
    with Database(postgres_url) as database:
        if not database.url.password:
            database.url = database.url.set(password="a b:c@d")  # noqa: S106 - not a secret
        password = database.url.password
        with pytest.raises(StorageError, match="pg_dump failed: pg_dump: error: enough"):
            backup(database, path)
    arguments, given = (tmp_path / "seen").read_text().split("\n")
    assert given == password
    assert str(password) not in arguments
    assert "--table=public.ai_request_logs" in arguments
