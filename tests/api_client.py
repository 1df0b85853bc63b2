"""The server's application in this process, called as over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.testclient import TestClient

from cajanegra import Settings
from cajanegra.domain.principal import Role, Scope
from cajanegra.server import create_app
from cajanegra.storage import keys
from cajanegra.storage.database import Database
from records import NOW

HERE = "http://127.0.0.1:8420"


def settings_for(database: Database, **sections: Any) -> Settings:
    return Settings(database={"url": database.url.render_as_string(hide_password=False)}, **sections)


@contextmanager
def client_of(app: Any, address: str = "127.0.0.1") -> Iterator[TestClient]:
    """A client on an address, which runs the application's lifespan."""
    with TestClient(app, base_url=HERE, client=(address, 50_000), raise_server_exceptions=False) as client:
        yield client


@contextmanager
def served(database: Database, **server: Any) -> Iterator[TestClient]:
    """A client of the server for a database, on the same machine."""
    with client_of(create_app(settings_for(database, server=server))) as client:
        yield client


def key_for(database: Database, scope: Scope, role: Role) -> dict[str, str]:
    """The header with a new key."""
    _key, secret = keys.create(database, scope=scope, role=role, now=NOW)
    return bearer(secret.text)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
