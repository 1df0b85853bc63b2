"""Alembic's entry: runs our migrations on the connection that ``storage.migrate`` opened and locked."""

from __future__ import annotations

from typing import Any

from alembic import context

from cajanegra.storage.growing_ids import compare_type
from cajanegra.storage.tables import VERSION_TABLE, Base, include_name


def _include_object(_item: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    # Alembic makes the version table itself and hides it from what it reflects.
    return not (kind == "table" and name == VERSION_TABLE)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_name=include_name,
    include_object=_include_object,
    compare_type=compare_type,
    compare_server_default=True,
)

with context.begin_transaction():
    context.run_migrations()
