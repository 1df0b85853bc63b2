"""The REST API: an application of its own, or a router in a host's; needs ``cajanegra[server]``."""

from __future__ import annotations

try:
    import fastapi as _fastapi  # noqa: F401 - asked for here, so that what is missing is said once and clearly
except ModuleNotFoundError as error:
    raise ImportError("the server needs its extra: pip install 'cajanegra[server]'") from error

from cajanegra.domain.principal import ALL_TENANTS, Principal, Role
from cajanegra.server.app import create_app
from cajanegra.server.router import logs_router

__all__ = ["ALL_TENANTS", "Principal", "Role", "create_app", "logs_router"]
