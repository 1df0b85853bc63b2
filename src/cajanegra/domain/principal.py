"""Who asks, and what they may see: one tenant or all, as writer, reader or admin."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any, Final

import msgspec

from cajanegra.errors import UsageError


class AllTenants(Enum):
    """The scope of no single tenant; a value of its own, so that nobody gets it by leaving one out."""

    ALL_TENANTS = "all tenants"


ALL_TENANTS: Final = AllTenants.ALL_TENANTS

Scope = str | AllTenants
"""Whose rows are meant: one tenant's, by its id, or ``ALL_TENANTS``."""


class Role(StrEnum):
    """What a key is for."""

    WRITER = "writer"
    """Records calls, gives feedback, and asks providers through the gateway."""
    READER = "reader"
    """Sees what was recorded."""
    ADMIN = "admin"
    """Both, and deletes and decides."""


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Who makes a request.

    Attributes:
        scope: the tenant that they belong to, or ``ALL_TENANTS``.
        role: what they may do.
        name: who they are, for the record of changes; not a secret.

    Raises:
        UsageError: the scope is empty or ``None``, or there is no such role.
    """

    scope: Scope
    role: Role
    name: str = ""

    def __post_init__(self) -> None:
        given: Any = self.scope  # hosts without a type checker give None
        if not isinstance(given, (str, AllTenants)) or not given:
            raise UsageError("a principal has a tenant's id or ALL_TENANTS as its scope, and never none")
        if type(self.role) is not Role:
            if self.role not in set(Role):
                raise UsageError(f"{self.role!r} is not a role; choose one of {', '.join(Role)}")
            msgspec.structs.force_setattr(self, "role", Role(self.role))

    def may(self, role: Role) -> bool:
        """Whether they may do what this role is for; an admin may do everything."""
        return self.role in (role, Role.ADMIN)
