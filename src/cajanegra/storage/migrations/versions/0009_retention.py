"""What retention and partitioned storage have to remember: runs, holds, erasures, the latest request ids."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.storage.migrations.adopt import adopt, refuse_rows

revision = "0009"
down_revision = "0008"

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_metadata = sa.MetaData()

sa.Table(
    "cajanegra_recent_calls",
    _metadata,
    sa.Column("key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Index("cajanegra_recent_calls_created", "created_at"),
)

sa.Table(
    "cajanegra_holds",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("tenant_id", sa.String(36)),
    sa.Column("request_id", sa.String(50)),
    sa.Column("request_log_id", sa.BigInteger),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("placed_by", sa.String(100)),
    sa.Column("placed_at", sa.DateTime, nullable=False),
    sa.Index("cajanegra_holds_call", "request_log_id"),
    sa.Index("cajanegra_holds_tenant", "tenant_id"),
    sqlite_autoincrement=True,
)

sa.Table(
    "cajanegra_erasures",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("subject", sa.String(10), nullable=False),
    sa.Column("tenant_id", sa.String(36)),
    sa.Column("subject_hash", sa.String(64), nullable=False),
    sa.Column("requested_by", sa.String(100)),
    sa.Column("counts", _JSON, nullable=False),
    sa.Column("began_at", sa.DateTime, nullable=False),
    sa.Column("ended_at", sa.DateTime),
    sqlite_autoincrement=True,
)

sa.Table(
    "cajanegra_retention_runs",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("started_by", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("counts", _JSON, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("began_at", sa.DateTime, nullable=False),
    sa.Column("updated_at", sa.DateTime, nullable=False),
    sa.Column("ended_at", sa.DateTime),
    sqlite_autoincrement=True,
)


def upgrade() -> None:
    """Create the tables."""
    context.config.attributes["changes"] += adopt(op.get_bind(), _metadata)


def downgrade() -> None:
    """Drop them; holds and receipts only where that was asked for."""
    if not context.config.attributes["drop_data"]:
        refuse_rows(op.get_bind(), ["cajanegra_holds", "cajanegra_erasures"])
    for name in reversed(_metadata.tables):
        op.drop_table(name, if_exists=True)
