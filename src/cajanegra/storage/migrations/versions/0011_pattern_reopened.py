"""Since when a pattern that came back had been resolved, and for which tenants it came back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from cajanegra.storage.migrations.adopt import has_column

revision = "0011"
down_revision = "0010"

_metadata = sa.MetaData()
_PATTERNS = sa.Table(
    "cajanegra_patterns",
    _metadata,
    sa.Column("pattern", sa.String(100), primary_key=True),
    sa.Column("regressed_at", sa.DateTime),
    sa.Column("merged_into", sa.String(100)),
    sa.Column("resolved_before", sa.DateTime),
)
_TENANTS = sa.Table(
    "cajanegra_pattern_tenants",
    _metadata,
    sa.Column("pattern", sa.String(100), primary_key=True),
    sa.Column("last_occurred", sa.DateTime, nullable=False),
    sa.Column("regressed_at", sa.DateTime),
)
_CHANGES = sa.Table(
    "cajanegra_pattern_changes",
    _metadata,
    sa.Column("pattern", sa.String(100)),
    sa.Column("change", sa.String(20)),
    sa.Column("after", sa.String(100)),
    sa.Column("changed_at", sa.DateTime),
)


def upgrade() -> None:
    """Add the columns; of patterns that are reopened now, the last failures say for whom."""
    connection, done = op.get_bind(), context.config.attributes["changes"]
    for column in (_PATTERNS.c.resolved_before, _TENANTS.c.regressed_at):
        if not has_column(connection, column):
            op.add_column(column.table.name, sa.Column(column.name, sa.DateTime))
            done.append(f"completed {column.table.name}: column {column.name}")
    changes = _CHANGES.c
    resolved = (
        sa.select(sa.func.max(changes.changed_at))
        .where(
            changes.pattern == _PATTERNS.c.pattern, changes.change == "status", changes.after == "resolved"
        )
        .scalar_subquery()
    )
    since = sa.func.coalesce(resolved, _PATTERNS.c.regressed_at)
    connection.execute(
        sa.update(_PATTERNS).where(_PATTERNS.c.regressed_at.is_not(None)).values(resolved_before=since)
    )
    reopened, name = _PATTERNS.alias(), sa.func.coalesce(_PATTERNS.c.merged_into, _PATTERNS.c.pattern)
    regressed = (
        sa.select(reopened.c.regressed_at)
        .select_from(_PATTERNS.join(reopened, reopened.c.pattern == name))
        .where(
            _PATTERNS.c.pattern == _TENANTS.c.pattern, reopened.c.resolved_before < _TENANTS.c.last_occurred
        )
        .scalar_subquery()
    )
    connection.execute(sa.update(_TENANTS).values(regressed_at=regressed))


def downgrade() -> None:
    """Drop them."""
    for column in (_TENANTS.c.regressed_at, _PATTERNS.c.resolved_before):
        op.drop_column(column.table.name, column.name)
