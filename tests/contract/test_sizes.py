from __future__ import annotations

import pytest
from sqlalchemy import text

from cajanegra.errors import SchemaError
from cajanegra.models import Base
from cajanegra.storage import sizes
from cajanegra.storage.database import Database

ROW = text(
    "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used, error_message)"
    " VALUES (:id, 'chat', 5, 'ollama', :message)"
)

GUIDE_QUERY = """
SELECT
    schemaname,
    tablename,
    pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) AS size
FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
  AND tablename LIKE 'ai_%'
ORDER BY pg_total_relation_size(schemaname||'.'||tablename) DESC;
"""


def add_rows(database: Database, count: int) -> None:
    with database.engine.begin() as connection:
        connection.execute(ROW, [{"id": f"r{number}", "message": "x" * 500} for number in range(count)])


def test_every_table_with_its_rows_and_bytes(database: Database) -> None:
    add_rows(database, 200)
    found = {size.table: size for size in sizes.sizes(database)}
    assert set(found) >= {"ai_request_logs", "ai_error_analysis", "ai_error_recovery", "cajanegra_contents"}
    logs = found["ai_request_logs"]
    assert (logs.rows, logs.exact_rows) == (200, True)
    assert logs.table_bytes >= 200 * 500
    assert logs.index_bytes > 0
    assert logs.total_bytes == logs.table_bytes + logs.index_bytes
    assert found["ai_error_recovery"].rows == 0
    assert next(iter(found)) == "ai_request_logs"


def test_more_rows_take_more_room(database: Database) -> None:
    before = next(size for size in sizes.sizes(database) if size.table == "ai_request_logs")
    add_rows(database, 400)
    after = next(size for size in sizes.sizes(database) if size.table == "ai_request_logs")
    assert after.total_bytes > before.total_bytes + 400 * 500


def test_without_tables_it_says_what_to_do(empty_database: Database) -> None:
    with pytest.raises(SchemaError, match="'cajanegra db upgrade' creates them"):
        sizes.sizes(empty_database)


@pytest.mark.postgres
def test_rows_of_a_large_table_are_the_servers_estimate(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "COUNT_UP_TO_BYTES", 0)
    with Database(postgres_url) as database:
        add_rows(database, 100)
        with database.engine.begin() as connection:
            connection.execute(text("ANALYZE ai_request_logs"))
            connection.execute(text("DELETE FROM ai_request_logs WHERE request_id = 'r1'"))
        logs = next(size for size in sizes.sizes(database) if size.table == "ai_request_logs")
    assert (logs.rows, logs.exact_rows) == (100, False)


@pytest.mark.postgres
def test_the_guides_own_query_shows_the_same_bytes(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        add_rows(database, 300)
        with database.engine.connect() as connection:
            shown = [
                (row.tablename, row.size)
                for row in connection.exec_driver_sql(GUIDE_QUERY.replace("%", "%%"))
            ]
            pretty = text("SELECT pg_size_pretty(CAST(:bytes AS bigint))")
            ours = [
                (size.table, connection.execute(pretty, {"bytes": size.total_bytes}).scalar_one())
                for size in sizes.sizes(database)
                if size.table.startswith("ai_")
            ]
    assert shown == ours


def test_sqlite_without_dbstat_measures_the_content(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database(sqlite_url) as database:
        add_rows(database, 100)
        real = {size.table: size for size in sizes.sizes(database)}["ai_request_logs"]
        with database.engine.connect() as connection:
            table_bytes, index_bytes = sizes._content(connection, Base.metadata.tables["ai_request_logs"])
    assert real.measured == "dbstat"
    assert real.table_bytes / 2 < table_bytes < real.table_bytes
    assert 0 < index_bytes < real.index_bytes
