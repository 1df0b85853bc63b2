"""What operations are told of, and which process sees to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.storage.migrations.adopt import adopt, refuse_rows

revision = "0005"
down_revision = "0004"

_metadata = sa.MetaData()

sa.Table(
    "cajanegra_alerts",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("target", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("episode", sa.String(40), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("more", sa.Integer, nullable=False),
    sa.Column("alert", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("found_at", sa.DateTime, nullable=False),
    sa.Column("next_try_at", sa.DateTime, nullable=False),
    sa.Column("told_at", sa.DateTime),
    sa.UniqueConstraint("target", "kind", "subject"),
    sa.Index("cajanegra_alerts_due", "state", "next_try_at"),
    sqlite_autoincrement=True,
)

sa.Table(
    "cajanegra_leases",
    _metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("holder", sa.String(36), nullable=False),
    sa.Column("held_until", sa.DateTime, nullable=False),
)


def upgrade() -> None:
    """Create the tables."""
    context.config.attributes["changes"] += adopt(op.get_bind(), _metadata)


def downgrade() -> None:
    """Drop them; what was told only where that was asked for, since it would be told again."""
    if not context.config.attributes["drop_data"]:
        refuse_rows(op.get_bind(), ["cajanegra_alerts"])
    op.drop_table("cajanegra_leases", if_exists=True)
    op.drop_table("cajanegra_alerts", if_exists=True)
