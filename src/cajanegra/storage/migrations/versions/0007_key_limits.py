"""What API keys may use the gateway for, and what they have used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from cajanegra.storage.migrations.adopt import adopt, refuse_rows

revision = "0007"
down_revision = "0006"

_metadata = sa.MetaData()

sa.Table(
    "cajanegra_key_limits",
    _metadata,
    sa.Column("key_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("models", sa.Text),
    sa.Column("requests_per_minute", sa.Integer),
    sa.Column("tokens_per_minute", sa.Integer),
    sa.Column("monthly_budget", sa.Float),
)

sa.Table(
    "cajanegra_key_usage",
    _metadata,
    sa.Column("key_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("period", sa.String(16), primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("cost", sa.BigInteger, nullable=False),
)


def upgrade() -> None:
    """Create the tables."""
    context.config.attributes["changes"] += adopt(op.get_bind(), _metadata)


def downgrade() -> None:
    """Drop them; limits only where that was asked for, since keys without them may do more."""
    if not context.config.attributes["drop_data"]:
        refuse_rows(op.get_bind(), ["cajanegra_key_limits"])
    for name in reversed(_metadata.tables):
        op.drop_table(name, if_exists=True)
