"""Calls of 30 days, made inside the database: 50 tenants, 5 providers, 12 models, 6 tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from cajanegra.storage.database import Database

DAYS = 30
TENANTS = 50
PROVIDERS = 5
MODELS = 12
TASKS = 6
MODULES = 3
USERS = 40
"""Of each tenant."""
END = datetime(2026, 11, 24, tzinfo=UTC)
"""The calls end here; so nothing depends on when they are made."""
BEGIN = END - timedelta(days=DAYS)

_COLUMNS = (
    "request_id, tenant_id, module, user_id, task, prompt_length, model_requested, provider_used,"
    " provider_model, status, tokens_used, processing_time_ms, error_message, error_code, retry_count,"
    " fallback_used, request_metadata, response_metadata, created_at, updated_at"
)
# Two draws from each number, by multiplicative hashing (Knuth, TAOCP 3, 6.4), so that values are not in step.
_DRAWN = "(n * 2654435761) % 4294967296 AS a, (n * 40503 + 12345) % 2147483648 * 2246822519 % 4294967296 AS b"
_FAILED = "b % 100 < 4"
_FELL_BACK = "b % 100 BETWEEN 4 AND 8"
_METADATA = (
    """'{{"attempts": 1, "cost": 0.000' || (100 + a % 900) || ', "cost_currency": "USD", "ttft_ms": '"""
    """ || (40 + b % 700) || ', "input_tokens": ' || (20 + a % 700)"""
    """ || ', "output_tokens": ' || (30 + a % 200) || '}}'"""
)
_MODEL = f"(a / 3 % {MODELS})"
# In SQLite || comes before every other operator.
_SELECT = f"""
SELECT {{request_id}}, 'tenant-' || (a % {TENANTS}), 'module-' || (b % {MODULES}),
  'user-' || (a / 50 % {USERS}),
  'task-' || (a / 7 % {TASKS}), 400, 'model-' || {_MODEL}, 'provider-' || ({_MODEL} % {PROVIDERS}),
  'model-' || {_MODEL},
  CASE WHEN {_FAILED} THEN CASE WHEN b % 2 = 0 THEN 'error' ELSE 'timeout' END
    WHEN {_FELL_BACK} THEN 'fallback' ELSE 'success' END,
  CASE WHEN {_FAILED} THEN NULL ELSE 50 + a % 900 END,
  CAST(exp(5 + 4.0 * (a % 10007) / 10007) AS integer),
  CASE WHEN {_FAILED} THEN 'it failed after ' || (a % 60) || ' s' END,
  CASE WHEN {_FAILED} THEN CASE WHEN b % 2 = 0 THEN 'rate_limit' ELSE 'timeout' END END, 0,
  CASE WHEN {_FELL_BACK} THEN 'provider-0' END, {{request}}, {{response}}, {{at}}, {{at}}
FROM drawn
"""  # noqa: S608 - nothing in it comes from outside
_POSTGRESQL = f"""
INSERT INTO ai_request_logs ({_COLUMNS})
WITH drawn AS MATERIALIZED
  (SELECT n, {_DRAWN} FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n)
""" + _SELECT.format(  # noqa: S608
    request_id="md5(CAST(n AS text))",
    request="'{}'",
    response=f"CASE WHEN {_FAILED} THEN '{{\"attempts\": 1}}' ELSE {_METADATA.format()} END::jsonb",
    at="CAST(:begin AS timestamp) + n * CAST(:step AS interval)",
)
_SQLITE = f"""
INSERT INTO ai_request_logs ({_COLUMNS})
WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last),
  drawn AS (SELECT n, {_DRAWN} FROM numbers)
""" + _SELECT.format(  # noqa: S608
    request_id="'r-' || n",
    request="'{}'",
    response=f"CASE WHEN {_FAILED} THEN '{{\"attempts\": 1}}' ELSE {_METADATA.format()} END",
    at="strftime('%Y-%m-%d %H:%M:%f000', :begin, '+' || (n * :step) || ' seconds')",
)
_STEPS = """
INSERT INTO ai_error_recovery
  (request_log_id, strategy_name, step_number, action_taken, was_successful, recovery_time_ms,
   recovery_result)
SELECT id, CASE id % 4 WHEN 0 THEN 'retry' ELSE 'fallback' END, 1, 'provider-1 -> provider-0',
  CASE id % 7 WHEN 0 THEN 'false' ELSE 'true' END, 100 + id % 3000,
  {json}
FROM ai_request_logs WHERE status = 'fallback'
"""
# Patterns are met as often as products of two numbers are the same: few of them make up most.
_STEP_RESULT = (
    """'{"trigger": {"kind": "kind-' || (id % 8) || '", "pattern": "pattern-' || (id % 13 * (id % 17))"""
    """ || '"}, "provider": "provider-' || (id % 5) || '", "tokens": 40, "cost": 0.0004}'"""
)
_AT_ONCE = 500_000


def fill(database: Database, rows: int) -> None:
    """Put so many calls into an empty database, evenly over the days; analysed."""
    step = DAYS * 86_400 / rows
    known = {"begin": BEGIN.strftime("%Y-%m-%d %H:%M:%S")}
    for first in range(0, rows, _AT_ONCE):
        numbers = {"first": first, "last": min(first + _AT_ONCE, rows) - 1}
        with database.transaction() as connection:
            if database.dialect == "postgresql":
                connection.execute(text(_POSTGRESQL), {**known, **numbers, "step": f"{step} seconds"})
            else:
                connection.execute(text(_SQLITE), {**known, **numbers, "step": step})
    with database.transaction() as connection:
        result = f"CAST({_STEP_RESULT} AS jsonb)" if database.dialect == "postgresql" else _STEP_RESULT
        connection.execute(text(_STEPS.format(json=result.replace(":", "\\:"))))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE" if database.dialect == "postgresql" else "ANALYZE"))
