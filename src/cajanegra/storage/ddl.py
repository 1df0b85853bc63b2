"""The schema as plain SQL, for those who run their own: every statement may run again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from cajanegra.errors import UsageError
from cajanegra.storage import migrate
from cajanegra.storage.tables import VERSION_TABLE, Base

_DIALECTS: dict[str, type[Dialect]] = {"postgresql": postgresql.dialect, "sqlite": sqlite.dialect}


def sql(dialect: Literal["postgresql", "sqlite"] | str) -> str:  # noqa: PYI051 - the names that mean something
    """A script that creates what is missing of the product's tables, in one transaction.

    It also notes the revision, so that ``cajanegra db upgrade`` goes on from there.

    Raises:
        UsageError: there is no such dialect.
    """
    if dialect not in _DIALECTS:
        raise UsageError(f"{dialect!r} is no dialect; use {' or '.join(_DIALECTS)}")
    statements = ["BEGIN", *_statements(_DIALECTS[dialect]()), "COMMIT"]
    return "".join(f"{statement};\n" for statement in statements)


def _statements(dialect: Dialect) -> Iterator[str]:
    for table in Base.metadata.tables.values():
        create = str(CreateTable(table, if_not_exists=True).compile(dialect=dialect))
        yield "\n".join(line.rstrip().replace("\t", "    ") for line in create.strip().splitlines())
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect))
    yield (
        f"INSERT INTO {VERSION_TABLE} (version_num) "  # noqa: S608 - a script made of constants
        f"SELECT '{migrate.head()}' WHERE NOT EXISTS (SELECT 1 FROM {VERSION_TABLE})"
    )
