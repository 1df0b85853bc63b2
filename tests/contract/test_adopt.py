from __future__ import annotations

import pytest
from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    text,
)

from cajanegra.errors import SchemaError
from cajanegra.models import Base
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from cajanegra.storage.verify import verify
from snapshot import GUIDE, run_script, snapshot

ROWS = """
INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used) VALUES ('r1', 'chat', 5, 'ollama');
INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used, tenant_id, status, request_metadata)
    VALUES ('r2', 'analysis', 7, 'openai', 'acme', 'error', '{"a": 1}');
INSERT INTO ai_error_analysis (error_pattern, error_message_pattern) VALUES ('ollama_timeout', 'timed out');
INSERT INTO ai_error_recovery (request_log_id, strategy_name) VALUES (1, 'retry');
"""


def wrong(database: Database) -> list[str]:
    return [f"{item.table} {item.item} {item.state}" for item in verify(database) if item.state != "present"]


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def run(database: Database, *statements: str) -> None:
    with database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_the_guides_sql_is_adopted_with_its_rows(empty_database: Database) -> None:
    run_script(empty_database, GUIDE + ROWS)
    before = rows(
        empty_database, "SELECT request_id, tenant_id, status, temperature FROM ai_request_logs ORDER BY 1"
    )
    assert migrate.upgrade(empty_database).state == "adopted"
    assert wrong(empty_database) == []
    assert before == [("r1", None, "success", 0.3), ("r2", "acme", "error", 0.3)]
    query = "SELECT request_id, tenant_id, status, temperature FROM ai_request_logs ORDER BY id"
    assert rows(empty_database, query) == before
    assert rows(empty_database, "SELECT id, request_log_id, strategy_name FROM ai_error_recovery") == [
        (1, 1, "retry")
    ]
    assert rows(empty_database, "SELECT id, error_pattern FROM ai_error_analysis") == [(1, "ollama_timeout")]
    assert migrate.upgrade(empty_database).state == "current"


def test_an_adopted_schema_is_like_a_created_one(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    created = snapshot(empty_database)
    Base.metadata.drop_all(empty_database.engine)
    run_script(empty_database, GUIDE + ROWS)
    migrate.upgrade(empty_database)
    assert snapshot(empty_database) == created


def test_create_all_is_adopted_with_its_rows(empty_database: Database) -> None:
    Base.metadata.create_all(empty_database.engine)
    run_script(empty_database, ROWS)
    assert migrate.upgrade(empty_database) == migrate.Upgrade("adopted", None, migrate.head())
    assert rows(empty_database, "SELECT count(*) FROM ai_request_logs") == [(2,)]
    assert wrong(empty_database) == []


def host_models() -> MetaData:
    """What a host's own models may be: no server defaults, unique indexes, nullable columns, a column of its own."""
    metadata = MetaData()
    Table(
        "ai_request_logs",
        metadata,
        Column("id", Integer, primary_key=True, index=True),
        Column("request_id", String(50), unique=True, index=True, nullable=False),
        Column("task", String(20)),
        Column("prompt_length", Integer, nullable=False),
        Column("temperature", Float),
        Column("provider_used", String(20), nullable=False),
        Column("status", String(20)),
        Column("error_message", Text),
        Column("created_at", DateTime, index=True),
        Column("cost center", String(9), server_default="none"),
    )
    Table(
        "ai_error_recovery",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("request_log_id", Integer),
        Column("strategy_name", String(50), nullable=False),
        Column("recovery_result", JSON().with_variant(Text(), "postgresql")),
    )
    return metadata


def test_a_hosts_simpler_models_are_completed(empty_database: Database) -> None:
    host_models().create_all(empty_database.engine)
    run(
        empty_database,
        'INSERT INTO ai_request_logs (id, request_id, prompt_length, provider_used, "cost center")'
        " VALUES (7, 'r7', 3, 'ollama', 'c9')",
        "INSERT INTO ai_error_recovery (id, request_log_id, strategy_name) VALUES (4, 7, 'fallback')",
    )
    assert migrate.upgrade(empty_database).state == "adopted"
    query = 'SELECT id, request_id, task, status, created_at, tenant_id, "cost center" FROM ai_request_logs'
    assert rows(empty_database, query) == [(7, "r7", "unknown", None, None, None, "c9")]
    assert rows(empty_database, "SELECT id, request_log_id FROM ai_error_recovery") == [(4, 7)]
    indexes = {index["name"] for index in inspect(empty_database.engine).get_indexes("ai_request_logs")}
    assert {"ix_ai_request_logs_request_id", "idx_ai_logs_request_id"} <= indexes
    # PostgreSQL's types are never changed under a running application: verify says so instead.
    left = ["ai_error_recovery recovery_result different"] if empty_database.dialect == "postgresql" else []
    assert wrong(empty_database) == left


def test_an_index_that_somebody_dropped_comes_back(database: Database) -> None:
    run(database, "DROP INDEX idx_ai_logs_provider")
    assert wrong(database) == ["ai_request_logs idx_ai_logs_provider missing"]
    upgrade = migrate.upgrade(database)
    assert (upgrade.state, upgrade.changes) == ("completed", ("created index idx_ai_logs_provider",))
    assert wrong(database) == []


def test_duplicates_are_named_and_nothing_is_changed(empty_database: Database) -> None:
    run_script(
        empty_database, GUIDE.replace("request_id VARCHAR(50) UNIQUE NOT NULL", "request_id VARCHAR(50)")
    )
    one = "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used) VALUES ('r1', 'chat', 5, 'x')"
    run(empty_database, one, one)
    before = snapshot(empty_database)
    with pytest.raises(
        SchemaError, match=r"1 values of ai_request_logs\.request_id are in more than one row"
    ):
        migrate.upgrade(empty_database)
    assert snapshot(empty_database) == before
    assert migrate.current(empty_database) is None
    assert rows(empty_database, "SELECT count(*) FROM ai_request_logs") == [(2,)]


@pytest.mark.postgres
def test_ids_that_are_no_integers_are_refused(empty_postgres_url: str) -> None:
    with Database(empty_postgres_url) as database:
        run_script(database, GUIDE.replace("id SERIAL PRIMARY KEY", "id UUID PRIMARY KEY"))
        with pytest.raises(SchemaError, match=r"ai_request_logs\.id is UUID and must be an integer"):
            migrate.upgrade(database)


def test_sqlite_never_gives_an_id_again(empty_sqlite_url: str) -> None:
    with Database(empty_sqlite_url) as database:
        run_script(database, GUIDE.replace("id SERIAL", "id INTEGER") + ROWS)
        migrate.upgrade(database)
        run(database, "DELETE FROM ai_request_logs WHERE id = 2")
        run_script(database, ROWS.splitlines()[1].replace("r1", "r3"))
        assert rows(database, "SELECT id, request_id FROM ai_request_logs") == [(1, "r1"), (3, "r3")]


def test_a_rebuilt_table_keeps_its_highest_id(sqlite_url: str) -> None:
    with Database(sqlite_url) as database:
        run_script(database, ROWS)
        run(database, "DELETE FROM ai_request_logs", "ALTER TABLE ai_request_logs DROP COLUMN user_feedback")
        assert migrate.upgrade(database).changes == ("rebuilt ai_request_logs",)
        run_script(database, ROWS.splitlines()[1])
        assert rows(database, "SELECT id FROM ai_request_logs") == [(3,)]


def test_a_rebuilt_table_keeps_triggers_and_views(empty_sqlite_url: str) -> None:
    with Database(empty_sqlite_url) as database:
        run_script(database, GUIDE + ROWS)
        run_script(
            database,
            """
            CREATE TABLE seen (request_id);
            CREATE VIEW failed AS SELECT request_id FROM ai_request_logs WHERE status = 'error';
            CREATE TRIGGER see AFTER INSERT ON ai_request_logs BEGIN INSERT INTO seen VALUES (new.request_id); END;
            """,
        )
        migrate.upgrade(database)
        run_script(database, ROWS.splitlines()[1].replace("r1", "r3"))
        assert rows(database, "SELECT * FROM failed") == [("r2",)]
        assert rows(database, "SELECT * FROM seen") == [("r3",)]
