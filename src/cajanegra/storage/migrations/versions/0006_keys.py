"""API keys, and the browsers that have given one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from cajanegra.storage.migrations.adopt import adopt, refuse_rows

revision = "0006"
down_revision = "0005"

_metadata = sa.MetaData()

sa.Table(
    "cajanegra_keys",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("prefix", sa.String(20), nullable=False, unique=True),
    sa.Column("key_hash", sa.String(64), nullable=False),
    sa.Column("name", sa.String(100)),
    sa.Column("role", sa.String(10), nullable=False),
    sa.Column("tenant_id", sa.String(36)),
    sa.Column("created_at", sa.DateTime, nullable=False, server_default=sa.text("CURRENT_TIMESTAMP")),
    sa.Column("expires_at", sa.DateTime),
    sa.Column("revoked_at", sa.DateTime),
    sa.Column("last_used_at", sa.DateTime),
    sqlite_autoincrement=True,
)

sa.Table(
    "cajanegra_sessions",
    _metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("key_id", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False, server_default=sa.text("CURRENT_TIMESTAMP")),
    sa.Column("expires_at", sa.DateTime, nullable=False),
)


def upgrade() -> None:
    """Create the tables."""
    context.config.attributes["changes"] += adopt(op.get_bind(), _metadata)


def downgrade() -> None:
    """Drop the tables; keys, which nobody can make again, only where that was asked for."""
    if not context.config.attributes["drop_data"]:
        refuse_rows(op.get_bind(), ["cajanegra_keys"])
    for name in reversed(_metadata.tables):
        op.drop_table(name, if_exists=True)
