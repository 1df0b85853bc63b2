"""Statistics that cost the same however many calls there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

from cajanegra.storage.migrations.adopt import adopt

revision = "0008"
down_revision = "0007"

_json = sa.JSON().with_variant(JSONB(), "postgresql")
_metadata = sa.MetaData()

sa.Table(
    "cajanegra_rollups",
    _metadata,
    sa.Column("cube", sa.String(10), primary_key=True),
    sa.Column("tenant_id", sa.String(36), primary_key=True),
    sa.Column("grain", sa.String(2), primary_key=True),
    sa.Column("start", sa.DateTime, primary_key=True),
    sa.Column("key1", sa.String(50), primary_key=True),
    sa.Column("key2", sa.String(50), primary_key=True),
    sa.Column("key3", sa.String(50), primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("answered", sa.BigInteger, nullable=False),
    sa.Column("recovered", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("statuses", _json, nullable=False),
    sa.Column("costs", _json, nullable=False),
    sa.Column("latency", sa.LargeBinary, nullable=False),
    sa.Column("first_token", sa.LargeBinary, nullable=False),
    sa.Column("last_at", sa.DateTime),
    sa.Index("cajanegra_rollups_start", "start"),
)

sa.Table(
    "cajanegra_rollup_deltas",
    _metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("tenant_id", sa.String(36), nullable=False),
    sa.Column("calls", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

sa.Table(
    "cajanegra_rollup_state",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("complete_since", sa.DateTime),
    sa.Column("sealed_until", sa.DateTime, nullable=False),
    sa.Column("rows_since", sa.DateTime),
)


def upgrade() -> None:
    """Create the tables; until 'cajanegra rollups rebuild', calls that are there already are counted anew."""
    context.config.attributes["changes"] += adopt(op.get_bind(), _metadata)


def downgrade() -> None:
    """Drop them: all of it but the counts of deleted calls can be had from the calls again."""
    for name in reversed(_metadata.tables):
        op.drop_table(name, if_exists=True)
