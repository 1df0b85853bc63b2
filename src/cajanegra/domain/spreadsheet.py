"""Texts in CSV files that spreadsheets would run."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would run as a formula (OWASP, "CSV Injection")."""


def escaped(text: str) -> str:
    """A text that no spreadsheet takes for a formula; ``unescaped`` gives it back as it was."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def unescaped(text: str) -> str:
    """What ``escaped`` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text
