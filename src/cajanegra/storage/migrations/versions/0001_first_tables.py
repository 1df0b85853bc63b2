"""The guide's three tables and the contents; tables that are already there are adopted with their rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.storage.migrations.adopt import adopt, refuse_rows

revision = "0001"
down_revision = None

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_NOW = sa.text("CURRENT_TIMESTAMP")
_metadata = sa.MetaData()

sa.Table(
    "ai_request_logs",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("request_id", sa.String(50), nullable=False, unique=True),
    sa.Column("tenant_id", sa.String(36)),
    sa.Column("module", sa.String(50)),
    sa.Column("user_id", sa.String(36)),
    sa.Column("task", sa.String(20), nullable=False),
    sa.Column("prompt_length", sa.Integer, nullable=False),
    sa.Column("prompt_hash", sa.String(64)),
    sa.Column("temperature", sa.Float, server_default=sa.text("0.3")),
    sa.Column("max_tokens", sa.Integer),
    sa.Column("model_requested", sa.String(50)),
    sa.Column("provider_used", sa.String(20), nullable=False),
    sa.Column("provider_model", sa.String(50)),
    sa.Column("status", sa.String(20), server_default="success"),
    sa.Column("response_content_length", sa.Integer, server_default=sa.text("0")),
    sa.Column("tokens_used", sa.Integer),
    sa.Column("processing_time_ms", sa.Integer),
    sa.Column("error_message", sa.Text),
    sa.Column("error_code", sa.String(50)),
    sa.Column("retry_count", sa.Integer, server_default=sa.text("0")),
    sa.Column("fallback_used", sa.String(20)),
    sa.Column("confidence_score", sa.Float),
    sa.Column("user_feedback", sa.String(20)),
    sa.Column("correction_applied", sa.String(255)),
    sa.Column("request_metadata", _JSON),
    sa.Column("response_metadata", _JSON),
    sa.Column("created_at", sa.DateTime, server_default=_NOW),
    sa.Column("updated_at", sa.DateTime, server_default=_NOW),
    sa.Index("idx_ai_logs_status_created", "status", "created_at"),
    sa.Index("idx_ai_logs_module_task", "module", "task"),
    sa.Index("idx_ai_logs_tenant_created", "tenant_id", "created_at"),
    sa.Index("idx_ai_logs_created_at", "created_at"),
    sa.Index("idx_ai_logs_provider", "provider_used"),
    sa.Index("idx_ai_logs_request_id", "request_id"),
    sqlite_autoincrement=True,
)

sa.Table(
    "ai_error_analysis",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("error_pattern", sa.String(100), unique=True),
    sa.Column("error_code", sa.String(50)),
    sa.Column("error_message_pattern", sa.String(255), nullable=False),
    sa.Column("occurrence_count", sa.Integer, server_default=sa.text("1")),
    sa.Column("last_occurred", sa.DateTime),
    sa.Column("probable_cause", sa.Text),
    sa.Column("suggested_action", sa.Text),
    sa.Column("resolution_status", sa.String(50), server_default="open"),
    sa.Column("auto_correction_enabled", sa.String(50)),
    sa.Column("correction_config", _JSON),
    sa.Column("created_at", sa.DateTime, server_default=_NOW),
    sa.Column("updated_at", sa.DateTime, server_default=_NOW),
    sa.Column("resolved_at", sa.DateTime),
    sa.Index("idx_ai_error_pattern", "error_pattern"),
    sa.Index("idx_ai_error_last_occurred", "last_occurred"),
    sqlite_autoincrement=True,
)

sa.Table(
    "ai_error_recovery",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("request_log_id", sa.Integer),
    sa.Column("strategy_name", sa.String(50), nullable=False),
    sa.Column("step_number", sa.Integer),
    sa.Column("action_taken", sa.String(100)),
    sa.Column("was_successful", sa.String(20)),
    sa.Column("recovery_time_ms", sa.Integer),
    sa.Column("recovery_result", _JSON),
    sa.Column("created_at", sa.DateTime, server_default=_NOW),
    sa.Index("idx_ai_recovery_request", "request_log_id"),
    sa.Index("idx_ai_recovery_strategy", "strategy_name"),
    sqlite_autoincrement=True,
)

sa.Table(
    "cajanegra_contents",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("request_log_id", sa.Integer, nullable=False, unique=True),
    sa.Column("prompt", _JSON),
    sa.Column("answer", sa.Text),
    sa.Column("created_at", sa.DateTime, nullable=False, server_default=_NOW),
    sqlite_autoincrement=True,
)


def upgrade() -> None:
    """Create what is missing."""
    context.config.attributes["changes"] += adopt(op.get_bind(), _metadata)


def downgrade() -> None:
    """Drop the tables; ones with rows only where that was asked for."""
    if not context.config.attributes["drop_data"]:
        refuse_rows(op.get_bind(), list(_metadata.tables))
    for name in reversed(_metadata.tables):
        op.drop_table(name, if_exists=True)
