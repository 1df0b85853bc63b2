"""The type of ids that go up with every call: 32 bits in the guide's schema, 64 where somebody needs more."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer
from sqlalchemy.types import TypeEngine


class _Bound(Integer):
    """How such an id is sent to a database that is told the type of each value."""

    __visit_name__ = "BIGINT"
    render_bind_cast = True


class GrowingId(Integer):
    """An ``INTEGER`` that ``db partition --bigint`` makes a ``BIGINT``; when it is bound it has 64 bits."""

    def adapt(self, cls: type[Any], **kw: Any) -> Any:
        """The form that a driver needs."""
        return _Bound() if cls.render_bind_cast else super().adapt(cls, **kw)

    def __repr__(self) -> str:  # for migrations that Alembic writes
        return "Integer()"


# Alembic writes the type into a host's migration under its module's name, where it is to be ``sa.Integer()``.
GrowingId.__module__ = "sqlalchemy.types"


def is_widened(expected: TypeEngine[Any], found: TypeEngine[Any]) -> bool:
    """Whether a column differs from its model by being wider, as it may be."""
    return isinstance(expected, GrowingId) and isinstance(found, BigInteger)


def compare_type(
    _context: Any,
    _found: Column[Any],
    _expected: Column[Any],
    found_type: TypeEngine[Any],
    expected_type: TypeEngine[Any],
) -> bool | None:
    """Alembic's ``compare_type`` hook: leaves ids alone that ``cajanegra db partition --bigint`` has widened.

    Without it ``alembic revision --autogenerate`` of a host would propose to narrow them again. It goes into
    ``context.configure`` of the host's ``env.py``.
    """
    return False if is_widened(expected_type, found_type) else None
