"""Where the spool of a database is: one directory each, since events belong to one database alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_PLACE = ("host", "hostaddr", "port", "dbname", "service", "mode", "vfs")
"""Parameters of a URL that say which database it is; all others say how to use it."""
_DIGITS = 16


def spool_directory(root: Path, database_url: str) -> Path:
    """The directory for the events of a database, named by a hash of its URL without credentials."""
    digest = hashlib.sha256(database_identity(database_url).encode("utf-8", "surrogatepass")).hexdigest()
    return root / digest[:_DIGITS]


def database_identity(url: str) -> str:
    """A database's URL as far as it says which one it is: no user, no password, no driver, no options."""
    scheme, _, rest = url.partition("://")
    backend = scheme.partition("+")[0].lower()
    if backend == "sqlite":
        path = rest.removeprefix("/").partition("?")[0]
        return f"sqlite:{Path(path).absolute() if path else ''}"
    parts = urlsplit(f"//{rest}")
    place = parts.netloc.rpartition("@")[2].lower()
    if place and ":" not in place.rpartition("]")[2]:
        place += ":5432"
    path = unquote(parts.path)
    if path in ("", "/"):  # libpq takes the user's name for the database's
        path = f"/{unquote(parts.username or '')}"
    options = sorted((name, value) for name, value in parse_qsl(parts.query) if name in _PLACE)
    return f"{backend}:{place}{path}{options}"
