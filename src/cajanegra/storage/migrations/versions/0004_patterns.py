"""What is known of error patterns: whom and when they hit, what recovered them, and what was decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.storage.migrations.adopt import adopt, refuse_rows

revision = "0004"
down_revision = "0003"

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_metadata = sa.MetaData()

sa.Table(
    "cajanegra_patterns",
    _metadata,
    sa.Column("pattern", sa.String(100), primary_key=True),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("recovered", sa.BigInteger, nullable=False),
    sa.Column("first_occurred", sa.DateTime),
    sa.Column("last_occurred", sa.DateTime),
    sa.Column("grouping_version", sa.Integer),
    sa.Column("regressed_at", sa.DateTime),
    sa.Column("merged_into", sa.String(100)),
    sa.Column("kept", _JSON),
    sa.Index("cajanegra_patterns_merged", "merged_into"),
)

sa.Table(
    "cajanegra_pattern_tenants",
    _metadata,
    sa.Column("pattern", sa.String(100), primary_key=True),
    sa.Column("tenant_id", sa.String(36), primary_key=True),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("recovered", sa.BigInteger, nullable=False),
    sa.Column("first_occurred", sa.DateTime, nullable=False),
    sa.Column("last_occurred", sa.DateTime, nullable=False),
    sa.Index("cajanegra_pattern_tenants_tenant", "tenant_id"),
)

sa.Table(
    "cajanegra_pattern_hours",
    _metadata,
    sa.Column("pattern", sa.String(100), primary_key=True),
    sa.Column("tenant_id", sa.String(36), primary_key=True),
    sa.Column("hour", sa.DateTime, primary_key=True),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Index("cajanegra_pattern_hours_hour", "hour"),
)

sa.Table(
    "cajanegra_pattern_facets",
    _metadata,
    sa.Column("pattern", sa.String(100), primary_key=True),
    sa.Column("tenant_id", sa.String(36), primary_key=True),
    sa.Column("facet", sa.String(20), primary_key=True),
    sa.Column("value", sa.String(50), primary_key=True),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("last_occurred", sa.DateTime, nullable=False),
)

sa.Table(
    "cajanegra_occurrences",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("pattern", sa.String(100), nullable=False),
    sa.Column("request_log_id", sa.Integer, nullable=False),
    sa.Column("tenant_id", sa.String(36), nullable=False),
    sa.Column("occurred_at", sa.DateTime, nullable=False),
    sa.UniqueConstraint("pattern", "request_log_id"),
    sa.Index("cajanegra_occurrences_call", "request_log_id"),
    sa.Index("cajanegra_occurrences_pattern", "pattern", "occurred_at"),
    sqlite_autoincrement=True,
)

sa.Table(
    "cajanegra_pattern_changes",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("pattern", sa.String(100), nullable=False),
    sa.Column("change", sa.String(20), nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    sa.Column("changed_by", sa.String(100)),
    sa.Column("changed_at", sa.DateTime, nullable=False),
    sa.Index("cajanegra_pattern_changes_pattern", "pattern", "id"),
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
