"""How far each recorder's events are in the database, and what came before the row of its call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.storage.migrations.adopt import adopt, refuse_rows

revision = "0002"
down_revision = "0001"

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_NOW = sa.text("CURRENT_TIMESTAMP")
_metadata = sa.MetaData()

sa.Table(
    "cajanegra_tracks",
    _metadata,
    sa.Column("track", sa.String(36), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.DateTime, nullable=False, server_default=_NOW),
)

sa.Table(
    "cajanegra_waiting",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("request_id", sa.String(50), nullable=False),
    sa.Column("tenant_id", sa.String(36)),
    sa.Column("payload", _JSON, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False, server_default=_NOW),
    sa.Index("cajanegra_waiting_request", "request_id"),
    sa.Index("cajanegra_waiting_created", "created_at"),
    sqlite_autoincrement=True,
)


def upgrade() -> None:
    """Create what is missing."""
    context.config.attributes["changes"] += adopt(op.get_bind(), _metadata)


def downgrade() -> None:
    """Drop the tables; ones with rows only where that was asked for."""
    if not context.config.attributes["drop_data"]:
        refuse_rows(op.get_bind(), ["cajanegra_waiting"])
    for name in reversed(_metadata.tables):
        op.drop_table(name, if_exists=True)
