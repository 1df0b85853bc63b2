"""What calls are counted with beside their number: types of tokens, and answers without a price."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from cajanegra.storage.migrations.adopt import has_column

revision = "0010"
down_revision = "0009"

_TABLE = "cajanegra_rollups"
_NAMES = (
    "detailed", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "unpriced_calls",
    "unpriced_tokens",
)  # fmt: skip


def upgrade() -> None:
    """Add the columns; rows that are there say by ``detailed`` that they do not know."""
    table = sa.Table(_TABLE, sa.MetaData(), *(sa.Column(name, sa.BigInteger) for name in _NAMES))
    for name in _NAMES:
        if not has_column(op.get_bind(), table.c[name]):
            op.add_column(_TABLE, sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0")))
            context.config.attributes["changes"].append(f"completed {_TABLE}: column {name}")


def downgrade() -> None:
    """Drop them, and the rows of recovery steps, which an earlier version does not keep."""
    op.execute(f"DELETE FROM {_TABLE} WHERE cube IN ('step', 'all_step', 'remedy', 'all_remedy')")  # noqa: S608
    for name in reversed(_NAMES):
        op.drop_column(_TABLE, name)
