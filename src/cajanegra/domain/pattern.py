"""Error patterns: the name under which failures of one root cause are counted."""

from __future__ import annotations


def pattern_name(provider: str, kind: str) -> str:
    """The pattern of a failure, such as ``ollama_timeout``."""
    return f"{provider}_{kind}"
