"""cajanegra: the flight recorder for AI calls.

The whole everyday surface is ``AIClient``, ``Recorder`` and ``Settings``; the errors are in
``cajanegra.errors``, the tables in ``cajanegra.models``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cajanegra.client import AIClient, Recorder
    from cajanegra.settings import Settings

__all__ = ["AIClient", "Recorder", "Settings"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that importing the package costs nothing."""
    if name == "Settings":
        from cajanegra.settings import Settings

        return Settings
    if name in __all__:
        from cajanegra import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
