"""cajanegra: the flight recorder for AI calls.

The whole everyday surface is ``AIClient``, ``Recorder`` and ``Settings``; the errors are in
``cajanegra.errors``, the tables in ``cajanegra.models``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cajanegra.client import AIClient
    from cajanegra.recorder import Recorder
    from cajanegra.settings import Settings

__all__ = ["AIClient", "Recorder", "Settings"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that importing the package costs nothing."""
    if name == "AIClient":
        from cajanegra.client import AIClient

        return AIClient
    if name == "Recorder":
        from cajanegra.recorder import Recorder

        return Recorder
    if name == "Settings":
        from cajanegra.settings import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
