"""A large table, made inside the database."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text

from cajanegra.storage.database import Database
from cajanegra.storage.rollups.rebuilding import rebuild

_COLUMNS = (
    "request_id, tenant_id, module, user_id, task, prompt_length, provider_used, provider_model, status,"
    " tokens_used, processing_time_ms, error_message, error_code, retry_count, request_metadata,"
    " response_metadata, created_at, updated_at"
)
_FAILED = "n / 50 % 20 = 0"
_POSTGRESQL = f"""
INSERT INTO ai_request_logs ({_COLUMNS})
SELECT 'r-' || n, 'tenant-' || (n % 50), (ARRAY['copilot', 'imports', 'incidents'])[1 + n / 50 % 3],
  'u-' || (n / 50 % 1000), 'chat', 100, (ARRAY['openai', 'ollama'])[1 + n / 50 % 2], 'model-' || (n / 50 % 7),
  CASE WHEN {_FAILED} THEN 'error' ELSE 'success' END, n % 500, 50 + n * 7919::bigint % 5000,
  CASE WHEN {_FAILED} THEN 'it timed out after ' || (n % 60) || ' s' END,
  CASE WHEN {_FAILED} THEN 'timeout' END, 0, '{{}}',
  CASE WHEN {_FAILED} THEN '{{"attempts": 1, "patterns": ["ollama_timeout"]}}'::jsonb
    ELSE '{{"attempts": 1, "ttft_ms": 80}}'::jsonb END,
  now() AT TIME ZONE 'utc' - n * interval '600 milliseconds', now() AT TIME ZONE 'utc'
FROM generate_series(0, :rows - 1) AS n
"""  # noqa: S608 - nothing in it comes from outside
_SQLITE = f"""
INSERT INTO ai_request_logs ({_COLUMNS})
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows - 1)
SELECT 'r-' || n, 'tenant-' || (n % 50),
  CASE n / 50 % 3 WHEN 0 THEN 'copilot' WHEN 1 THEN 'imports' ELSE 'incidents' END, 'u-' || (n / 50 % 1000),
  'chat', 100, CASE n / 50 % 2 WHEN 0 THEN 'openai' ELSE 'ollama' END, 'model-' || (n / 50 % 7),
  CASE WHEN {_FAILED} THEN 'error' ELSE 'success' END, n % 500, 50 + n * 7919 % 5000,
  CASE WHEN {_FAILED} THEN 'it timed out after ' || (n % 60) || ' s' END,
  CASE WHEN {_FAILED} THEN 'timeout' END, 0, '{{}}',
  CASE WHEN {_FAILED} THEN '{{"attempts": 1, "patterns": ["ollama_timeout"]}}'
    ELSE '{{"attempts": 1, "ttft_ms": 80}}' END,
  strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('-%.1f seconds', n * 0.6)),
  strftime('%Y-%m-%d %H:%M:%f000', 'now')
FROM numbers
"""  # noqa: S608
_STEPS = """
INSERT INTO ai_error_recovery
  (request_log_id, strategy_name, step_number, action_taken, was_successful, recovery_time_ms,
   recovery_result)
SELECT id, 'fallback', 1, 'ollama -> openai', 'true', 300, '{"trigger": {"pattern": "ollama_timeout"}}'
FROM ai_request_logs WHERE id / 50 % 30 = 0
"""


def fill(database: Database, rows: int) -> None:
    """So many calls of 50 tenants, one in 20 failed, one in 30 recovered."""
    with database.transaction() as connection:
        connection.execute(text(_POSTGRESQL if database.dialect == "postgresql" else _SQLITE), {"rows": rows})
        connection.execute(text(_STEPS))
    rebuild(database, datetime.now(UTC))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE" if database.dialect == "postgresql" else "ANALYZE"))
