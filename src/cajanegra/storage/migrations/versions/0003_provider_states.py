"""What processes tell one another of the providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from cajanegra.storage.migrations.adopt import adopt

revision = "0003"
down_revision = "0002"

_metadata = sa.MetaData()

sa.Table(
    "cajanegra_provider_states",
    _metadata,
    sa.Column("scope", sa.String(64), primary_key=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("provider", sa.String(20), nullable=False),
    sa.Column("kind", sa.String(50), nullable=False),
    sa.Column("held_until", sa.DateTime, nullable=False),
    sa.Column("was_asked", sa.Integer, nullable=False),
    sa.Column("observed_at", sa.DateTime, nullable=False),
)


def upgrade() -> None:
    """Create the table."""
    context.config.attributes["changes"] += adopt(op.get_bind(), _metadata)


def downgrade() -> None:
    """Drop it; nothing in it outlives a few minutes."""
    op.drop_table("cajanegra_provider_states", if_exists=True)
